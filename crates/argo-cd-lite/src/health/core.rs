//! Service, Ingress, volume claims, Jobs and aggregated APIs.

use serde_json::Value;

use super::{
    Code, Health,
    value::{list, text},
};

pub(super) fn service(body: &Value) -> Health {
    let waits_for_address = text(body, &["spec", "type"]) == "LoadBalancer";
    if waits_for_address && list(body, &["status", "loadBalancer", "ingress"]).is_empty() {
        return Health::of(Code::Progressing);
    }
    Health::of(Code::Healthy)
}

pub(super) fn ingress(body: &Value) -> Health {
    if list(body, &["status", "loadBalancer", "ingress"]).is_empty() {
        return Health::of(Code::Progressing);
    }
    Health::of(Code::Healthy)
}

pub(super) fn volume_claim(body: &Value) -> Health {
    Health::of(match text(body, &["status", "phase"]) {
        "Lost" => Code::Degraded,
        "Pending" => Code::Progressing,
        "Bound" => Code::Healthy,
        _ => Code::Unknown,
    })
}

/// A condition of type `Suspended` ends the wait even when its status is `False`: that is how upstream
/// sees a resumed Job.
pub(super) fn job(body: &Value) -> Health {
    let (mut complete, mut failed, mut suspended) = (false, false, false);
    let (mut message, mut failure) = ("", "");
    for condition in list(body, &["status", "conditions"]) {
        let said = text(condition, &["message"]);
        match text(condition, &["type"]) {
            "Failed" => {
                (failed, complete) = (true, true);
                failure = said;
            }
            "Complete" => {
                complete = true;
                message = said;
            }
            "Suspended" => {
                complete = true;
                message = said;
                suspended |= text(condition, &["status"]) == "True";
            }
            _ => {}
        }
    }
    match (complete, failed, suspended) {
        (false, ..) => Health::new(Code::Progressing, message),
        (_, true, _) => Health::new(Code::Degraded, failure),
        (_, _, true) => Health::new(Code::Suspended, failure),
        _ => Health::new(Code::Healthy, message),
    }
}

pub(super) fn api_service(body: &Value) -> Health {
    let available = list(body, &["status", "conditions"])
        .iter()
        .find(|condition| text(condition, &["type"]) == "Available");
    let Some(condition) = available else {
        return Health::new(Code::Progressing, "Waiting to be processed");
    };
    let why = format!(
        "{}: {}",
        text(condition, &["reason"]),
        text(condition, &["message"])
    );
    let code = if text(condition, &["status"]) == "True" {
        Code::Healthy
    } else {
        Code::Progressing
    };
    Health::new(code, why)
}
