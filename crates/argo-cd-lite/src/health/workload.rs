//! Kinds of the `apps` group. Only `apps/v1` has these rules.

use serde_json::Value;

use super::{
    Code, Health,
    value::{at, int, list, text},
};

pub(super) fn deployment(name: &str, generation: i64, body: &Value) -> Health {
    if at(body, &["spec", "paused"]).as_bool() == Some(true) {
        return Health::new(Code::Suspended, "Deployment is paused");
    }
    if generation > int(body, &["status", "observedGeneration"]) {
        return Health::new(
            Code::Progressing,
            "Waiting for rollout to finish: observed deployment generation less than desired generation",
        );
    }
    let too_late = list(body, &["status", "conditions"])
        .iter()
        .any(|condition| {
            text(condition, &["type"]) == "Progressing"
                && text(condition, &["reason"]) == "ProgressDeadlineExceeded"
        });
    if too_late {
        return Health::new(
            Code::Degraded,
            format!("Deployment {name:?} exceeded its progress deadline"),
        );
    }
    let updated = int(body, &["status", "updatedReplicas"]);
    let total = int(body, &["status", "replicas"]);
    let available = int(body, &["status", "availableReplicas"]);
    match at(body, &["spec", "replicas"]).as_i64() {
        Some(wanted) if updated < wanted => waiting(format!(
            "{updated} out of {wanted} new replicas have been updated"
        )),
        _ if total > updated => waiting(format!(
            "{} old replicas are pending termination",
            total - updated
        )),
        _ if available < updated => waiting(format!(
            "{available} of {updated} updated replicas are available"
        )),
        _ => Health::of(Code::Healthy),
    }
}

fn waiting(what: impl std::fmt::Display) -> Health {
    Health::new(
        Code::Progressing,
        format!("Waiting for rollout to finish: {what}..."),
    )
}

pub(super) fn stateful_set(generation: i64, body: &Value) -> Health {
    let observed = int(body, &["status", "observedGeneration"]);
    if observed == 0 || generation > observed {
        return Health::new(
            Code::Progressing,
            "Waiting for statefulset spec update to be observed...",
        );
    }
    let wanted = at(body, &["spec", "replicas"]).as_i64();
    let ready = int(body, &["status", "readyReplicas"]);
    let updated = int(body, &["status", "updatedReplicas"]);
    if let Some(wanted) = wanted
        && ready < wanted
    {
        return Health::new(
            Code::Progressing,
            format!("Waiting for {} pods to be ready...", wanted - ready),
        );
    }
    let strategy = text(body, &["spec", "updateStrategy", "type"]);
    let rolling = at(body, &["spec", "updateStrategy", "rollingUpdate"]);
    if strategy == "RollingUpdate" && rolling.is_object() {
        if let (Some(wanted), Some(partition)) = (wanted, at(rolling, &["partition"]).as_i64())
            && updated < wanted - partition
        {
            return Health::new(
                Code::Progressing,
                format!(
                    "Waiting for partitioned roll out to finish: {updated} out of {} new pods have been updated...",
                    wanted - partition
                ),
            );
        }
        return Health::new(
            Code::Healthy,
            format!("partitioned roll out complete: {updated} new pods have been updated..."),
        );
    }
    if strategy == "OnDelete" {
        return Health::new(Code::Healthy, format!("statefulset has {ready} ready pods"));
    }
    let next = text(body, &["status", "updateRevision"]);
    if next != text(body, &["status", "currentRevision"]) {
        return Health::new(
            Code::Progressing,
            format!(
                "waiting for statefulset rolling update to complete {updated} pods at revision {next}..."
            ),
        );
    }
    let current = int(body, &["status", "currentReplicas"]);
    Health::new(
        Code::Healthy,
        format!("statefulset rolling update complete {current} pods at revision {next}..."),
    )
}

pub(super) fn daemon_set(name: &str, generation: i64, body: &Value) -> Health {
    if generation > int(body, &["status", "observedGeneration"]) {
        return Health::new(
            Code::Progressing,
            "Waiting for rollout to finish: observed daemon set generation less than desired generation",
        );
    }
    let updated = int(body, &["status", "updatedNumberScheduled"]);
    let wanted = int(body, &["status", "desiredNumberScheduled"]);
    let available = int(body, &["status", "numberAvailable"]);
    if text(body, &["spec", "updateStrategy", "type"]) == "OnDelete" {
        return Health::new(
            Code::Healthy,
            format!("daemon set {updated} out of {wanted} new pods have been updated"),
        );
    }
    if updated < wanted {
        return Health::new(
            Code::Progressing,
            format!(
                "Waiting for daemon set {name:?} rollout to finish: {updated} out of {wanted} new pods have been updated..."
            ),
        );
    }
    if available < wanted {
        return Health::new(
            Code::Progressing,
            format!(
                "Waiting for daemon set {name:?} rollout to finish: {available} of {wanted} updated pods are available..."
            ),
        );
    }
    Health::of(Code::Healthy)
}

pub(super) fn replica_set(generation: i64, body: &Value) -> Health {
    if generation > int(body, &["status", "observedGeneration"]) {
        return Health::new(
            Code::Progressing,
            "Waiting for rollout to finish: observed replica set generation less then desired generation",
        );
    }
    let failure = list(body, &["status", "conditions"])
        .iter()
        .find(|condition| {
            text(condition, &["type"]) == "ReplicaFailure" && text(condition, &["status"]) == "True"
        });
    if let Some(condition) = failure {
        return Health::new(Code::Degraded, text(condition, &["message"]));
    }
    let available = int(body, &["status", "availableReplicas"]);
    match at(body, &["spec", "replicas"]).as_i64() {
        Some(wanted) if available < wanted => waiting(format!(
            "{available} out of {wanted} new replicas are available"
        )),
        _ => Health::of(Code::Healthy),
    }
}
