//! Conditions, with the reasons, messages and times that clients of upstream know.

use jiff::Timestamp;
use reconcile_core::conditions::{self, Condition};

use crate::api::rollout::RolloutStatus;

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

/// Sets a condition as upstream does: nothing happens when status and reason are the same.
pub(crate) fn set(status: &mut RolloutStatus, new: Condition, now: Timestamp) {
    let old = find(status, &new.kind);
    if old.is_none_or(|old| old.status != new.status || old.reason != new.reason) {
        put(status, new, now);
    }
}

/// As [`set`], but writes although status and reason are the same: the update time is the clock of the
/// progress deadline.
pub(crate) fn put(status: &mut RolloutStatus, new: Condition, now: Timestamp) {
    conditions::renew(&mut status.conditions, new, now);
}

/// Removes the condition of a type.
pub(crate) fn remove(status: &mut RolloutStatus, kind: &str) {
    conditions::remove(&mut status.conditions, kind);
}

/// The condition of a type.
pub(crate) fn find<'s>(status: &'s RolloutStatus, kind: &str) -> Option<&'s Condition> {
    conditions::find(&status.conditions, kind)
}

pub(super) fn reason_of<'s>(status: &'s RolloutStatus, kind: &str) -> &'s str {
    find(status, kind).map_or("", |condition| condition.reason.as_str())
}

pub(super) fn is_true(status: &RolloutStatus, kind: &str) -> bool {
    conditions::is_true(&status.conditions, kind)
}
