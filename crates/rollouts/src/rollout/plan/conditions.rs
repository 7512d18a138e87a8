//! Conditions, with the reasons, messages and times that clients of upstream know.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::rollout::{RolloutCondition, RolloutStatus};

/// Condition types.
pub(crate) mod kind {
    pub(crate) const AVAILABLE: &str = "Available";
    pub(crate) const PROGRESSING: &str = "Progressing";
    pub(crate) const PAUSED: &str = "Paused";
    pub(crate) const HEALTHY: &str = "Healthy";
    pub(crate) const COMPLETED: &str = "Completed";
    pub(crate) const INVALID_SPEC: &str = "InvalidSpec";
    pub(crate) const REPLICA_FAILURE: &str = "ReplicaFailure";
    /// Not known upstream: fields of the manifest that have no effect.
    pub(crate) const UNSUPPORTED: &str = "UnsupportedFields";
}

/// Condition reasons.
pub(crate) mod reason {
    pub(crate) const PAUSED: &str = "RolloutPaused";
    pub(crate) const RESUMED: &str = "RolloutResumed";
    pub(crate) const RETRY: &str = "RolloutRetry";
    pub(crate) const ABORTED: &str = "RolloutAborted";
    pub(crate) const TIMED_OUT: &str = "ProgressDeadlineExceeded";
    pub(crate) const NEW_AVAILABLE: &str = "NewReplicaSetAvailable";
    pub(crate) const NOT_AVAILABLE: &str = "ReplicaSetNotAvailable";
    pub(crate) const UPDATED: &str = "ReplicaSetUpdated";
    pub(crate) const CREATED: &str = "NewReplicaSetCreated";
    pub(crate) const FOUND: &str = "FoundNewReplicaSet";
    pub(crate) const CREATE_ERROR: &str = "ReplicaSetCreateError";
    pub(crate) const COMPLETED: &str = "RolloutCompleted";
}

pub(super) const NOT_AVAILABLE: &str = "Rollout does not have minimum availability";

/// Sets a condition as upstream does: nothing happens when status and reason are the same; the transition
/// time changes only with the status.
pub(crate) fn set(status: &mut RolloutStatus, new: (&str, &str, &str, String), now: &Time) {
    let (kind, value, reason, message) = new;
    let old = find(status, kind);
    if old.is_some_and(|old| old.status == value && old.reason == reason) {
        return;
    }
    put(status, (kind, value, reason, message), now);
}

/// As [`set`], but writes although status and reason are the same.
pub(crate) fn put(status: &mut RolloutStatus, new: (&str, &str, &str, String), now: &Time) {
    let (kind, value, reason, message) = new;
    let old = status
        .conditions
        .iter_mut()
        .find(|condition| condition.kind == kind);
    let unchanged = old.as_ref().filter(|old| old.status == value);
    let transition =
        unchanged.map_or_else(|| Some(now.clone()), |old| old.last_transition_time.clone());
    let new = RolloutCondition {
        last_transition_time: transition,
        last_update_time: Some(now.clone()),
        message,
        reason: reason.to_owned(),
        status: value.to_owned(),
        kind: kind.to_owned(),
    };
    match old {
        Some(old) => *old = new,
        None => status.conditions.push(new),
    }
}

/// Removes a condition.
pub(crate) fn remove(status: &mut RolloutStatus, kind: &str) {
    status.conditions.retain(|condition| condition.kind != kind);
}

/// The condition of a type.
pub(crate) fn find<'s>(status: &'s RolloutStatus, kind: &str) -> Option<&'s RolloutCondition> {
    status
        .conditions
        .iter()
        .find(|condition| condition.kind == kind)
}

pub(super) fn reason_of<'s>(status: &'s RolloutStatus, kind: &str) -> &'s str {
    find(status, kind).map_or("", |condition| condition.reason.as_str())
}

pub(super) fn is_true(status: &RolloutStatus, kind: &str) -> bool {
    find(status, kind).is_some_and(|condition| condition.status == "True")
}
