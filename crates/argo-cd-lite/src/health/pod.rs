//! Pods.

use kube::api::ObjectMeta;
use serde_json::Value;

use super::{
    Code, Health,
    value::{at, int, list, text},
};
use crate::api::ANNOTATION_IGNORE_RESTART_POLICY;

pub(super) fn pod(metadata: &ObjectMeta, body: &Value) -> Health {
    let restarts = text(body, &["spec", "restartPolicy"]);
    if restarts == "Always"
        && let Some(stuck) = stuck_containers(body)
    {
        return Health::new(Code::Degraded, stuck);
    }
    let message = text(body, &["status", "message"]);
    match text(body, &["status", "phase"]) {
        "Pending" => Health::new(Code::Progressing, message),
        "Succeeded" => Health::new(Code::Healthy, message),
        "Failed" => Health::new(Code::Degraded, failure(body, message)),
        "Running" => running(metadata, body, restarts, message),
        _ => Health::new(Code::Unknown, message),
    }
}

/// Reasons of containers that wait because something is wrong, when there are any.
fn stuck_containers(body: &Value) -> Option<String> {
    let reasons: Vec<&str> = list(body, &["status", "containerStatuses"])
        .iter()
        .filter_map(|container| {
            let waiting = at(container, &["state", "waiting"]);
            let reason = text(waiting, &["reason"]);
            let wrong = reason.starts_with("Err")
                || reason.ends_with("Error")
                || reason.ends_with("BackOff");
            wrong.then(|| text(waiting, &["message"]))
        })
        .collect();
    (!reasons.is_empty()).then(|| reasons.join(", "))
}

fn failure(body: &Value, message: &str) -> String {
    if !message.is_empty() {
        return message.to_owned();
    }
    ["initContainerStatuses", "containerStatuses"]
        .into_iter()
        .flat_map(|which| list(body, &["status", which]))
        .find_map(container_failure)
        .unwrap_or_default()
}

fn container_failure(container: &Value) -> Option<String> {
    let ended = at(container, &["state", "terminated"]);
    if !ended.is_object() {
        return None;
    }
    let (message, reason) = (text(ended, &["message"]), text(ended, &["reason"]));
    if !message.is_empty() {
        return Some(message.to_owned());
    }
    if reason == "OOMKilled" {
        return Some(reason.to_owned());
    }
    let code = int(ended, &["exitCode"]);
    (code != 0).then(|| {
        format!(
            "container {:?} failed with exit code {code}",
            text(container, &["name"])
        )
    })
}

/// A running Pod that is meant to end (a Job's) is on its way; one that is meant to stay is healthy when
/// it is ready.
fn running(metadata: &ObjectMeta, body: &Value, restarts: &str, message: &str) -> Health {
    let treated_as_service = metadata
        .annotations
        .as_ref()
        .is_some_and(|annotations| annotations.contains_key(ANNOTATION_IGNORE_RESTART_POLICY));
    if restarts != "Always" && !treated_as_service {
        return Health::new(Code::Progressing, message);
    }
    let ready = list(body, &["status", "conditions"])
        .iter()
        .any(|condition| {
            text(condition, &["type"]) == "Ready" && text(condition, &["status"]) == "True"
        });
    if ready {
        return Health::new(Code::Healthy, message);
    }
    let crashed = list(body, &["status", "containerStatuses"])
        .iter()
        .any(|container| at(container, &["lastState", "terminated"]).is_object());
    Health::new(
        if crashed {
            Code::Degraded
        } else {
            Code::Progressing
        },
        message,
    )
}
