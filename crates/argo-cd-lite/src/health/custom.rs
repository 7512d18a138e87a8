//! Workflow and Rollout.

use kube::api::ObjectMeta;
use serde_json::Value;

use super::{
    Code, Health,
    value::{at, list, text},
};

/// Annotation of a Rollout with the generation of the workload that it refers to.
const WORKLOAD_GENERATION: &str = "rollout.argoproj.io/workload-generation";

pub(super) fn workflow(body: &Value) -> Health {
    let code = match text(body, &["status", "phase"]) {
        "" | "Pending" | "Running" => Code::Progressing,
        "Succeeded" => Code::Healthy,
        "Failed" | "Error" => Code::Degraded,
        _ => Code::Unknown,
    };
    Health::new(code, text(body, &["status", "message"]))
}

/// While the status speaks of an older spec, nothing in it can be believed. Since 1.0 the controller of
/// Rollouts writes phase and message itself; conditions are the word of older ones.
pub(super) fn rollout(metadata: &ObjectMeta, body: &Value) -> Health {
    if !speaks_of_this_spec(metadata, body) {
        return Health::new(
            Code::Progressing,
            "Waiting for rollout spec update to be observed",
        );
    }
    let paused_by_controller = at(body, &["status", "controllerPause"]).as_bool() == Some(true);
    let pauses = list(body, &["status", "pauseConditions"]);
    if paused_by_controller && pauses.is_empty() {
        return Health::new(Code::Progressing, "waiting for rollout to unpause");
    }
    let code = match text(body, &["status", "phase"]) {
        "Healthy" => Code::Healthy,
        "Degraded" => Code::Degraded,
        "Paused" => Code::Suspended,
        "Progressing" => Code::Progressing,
        "" => return without_phase(body),
        _ => Code::Unknown,
    };
    Health::new(code, text(body, &["status", "message"]))
}

/// `status.observedGeneration` of a Rollout is a string; a hash, as very old controllers write it, tells
/// nothing. An annotation holds the generation of a referenced workload.
fn speaks_of_this_spec(metadata: &ObjectMeta, body: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::String(text) => text.parse::<i64>().ok(),
        other => other.as_i64(),
    };
    if !at(body, &["status"]).is_object() {
        return false;
    }
    let generation = metadata.generation.unwrap_or_default();
    let observed = number(at(body, &["status", "observedGeneration"]));
    if observed.is_some_and(|observed| observed < generation) {
        return false;
    }
    let workload = metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(WORKLOAD_GENERATION)?.parse::<i64>().ok());
    let referred = number(at(body, &["status", "workloadObservedGeneration"]));
    !at(body, &["spec", "workloadRef"]).is_object()
        || workload.is_none()
        || referred.is_none()
        || workload == referred
}

fn without_phase(body: &Value) -> Health {
    for condition in list(body, &["status", "conditions"]) {
        let broken = matches!(
            (text(condition, &["type"]), text(condition, &["reason"])),
            ("InvalidSpec", _) | ("Progressing", "RolloutAborted" | "ProgressDeadlineExceeded")
        );
        if broken {
            return Health::new(Code::Degraded, text(condition, &["message"]));
        }
    }
    let paused = at(body, &["spec", "paused"]).as_bool() == Some(true);
    if paused || !list(body, &["status", "pauseConditions"]).is_empty() {
        return Health::new(Code::Suspended, "Rollout is paused");
    }
    Health::of(Code::Progressing)
}
