//! Workflow and Rollout.

use serde_json::Value;

use super::{
    Code, Health,
    value::{at, list, text},
};

pub(super) fn workflow(body: &Value) -> Health {
    let code = match text(body, &["status", "phase"]) {
        "" | "Pending" | "Running" => Code::Progressing,
        "Succeeded" => Code::Healthy,
        "Failed" | "Error" => Code::Degraded,
        _ => Code::Unknown,
    };
    Health::new(code, text(body, &["status", "message"]))
}

/// `status.observedGeneration` of a Rollout is a string; while it lags behind, nothing else in the status
/// can be believed.
pub(super) fn rollout(generation: i64, body: &Value) -> Health {
    let observed = at(body, &["status", "observedGeneration"]);
    let observed = observed
        .as_str()
        .map(str::to_owned)
        .or_else(|| observed.as_i64().map(|n| n.to_string()));
    if observed != Some(generation.to_string()) {
        return Health::new(
            Code::Progressing,
            "waiting for rollout spec update to be observed",
        );
    }
    let paused_by_controller = at(body, &["status", "controllerPause"]).as_bool() == Some(true);
    if paused_by_controller && list(body, &["status", "pauseConditions"]).is_empty() {
        return Health::new(Code::Progressing, "waiting for rollout to unpause");
    }
    let code = match text(body, &["status", "phase"]) {
        "Healthy" => Code::Healthy,
        "Degraded" => Code::Degraded,
        "Paused" => Code::Suspended,
        "Progressing" | "" => Code::Progressing,
        _ => Code::Unknown,
    };
    Health::new(code, text(body, &["status", "message"]))
}
