//! Conditions, with the reasons, messages and times that clients of upstream know.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use reconcile_core::reconcile::EventNote;

use super::{progress, work::Work};
use crate::{
    api::rollout::{RolloutCondition, RolloutStatus},
    rollout::world::CheckedStrategy,
};

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

/// Brings all conditions up to date. Must be called last: it compares the status as it was with the one
/// that is about to be written.
pub(super) fn update(work: &mut Work<'_>) {
    remove(&mut work.status, kind::INVALID_SPEC);
    completed(work);
    healthy(work);
    paused(work);
    progress::update(work);
    available(work);
    failure(work);
    unsupported(work);
}

/// The newest version is the stable one. A pause does not change that.
fn completed(work: &mut Work<'_>) {
    let now = work.time();
    let was = is_true(&work.status, kind::COMPLETED);
    let done = work.is_stable();
    if was && !done {
        let (revision, hash) = (work.new_set().revision, work.newest_hash());
        work.events.push(EventNote::normal(
            "RolloutNotCompleted",
            format!("Rollout not completed, started update to revision {revision} ({hash})"),
        ));
    }
    let value = if done { "True" } else { "False" };
    let text = reason::COMPLETED.to_owned();
    set(
        &mut work.status,
        (kind::COMPLETED, value, reason::COMPLETED, text),
        &now,
    );
}

fn healthy(work: &mut Work<'_>) {
    let now = work.time();
    if !work.is_paused() && is_healthy(work) {
        let text = "Rollout is healthy".to_owned();
        set(
            &mut work.status,
            (kind::HEALTHY, "True", "RolloutHealthy", text),
            &now,
        );
    } else if find(&work.status, kind::HEALTHY).is_some() {
        let text = "Rollout is not healthy".to_owned();
        set(
            &mut work.status,
            (kind::HEALTHY, "False", "RolloutHealthy", text),
            &now,
        );
    }
}

/// All pods are of the newest version and available, and nothing is left to do.
pub(super) fn is_healthy(work: &Work<'_>) -> bool {
    let (status, wanted) = (&work.status, work.seen.spec.replicas);
    let done = match &work.seen.spec.strategy {
        CheckedStrategy::Canary(canary) => {
            let steps = i32::try_from(canary.steps.len()).unwrap_or(i32::MAX);
            status.current_step_index.is_none_or(|index| index == steps)
                && work.is_stable()
                && status.replicas == wanted
        }
        CheckedStrategy::BlueGreen(rules) => {
            let hash = &status.current_pod_hash;
            status.blue_green.active_selector == *hash
                && (rules.preview.is_none() || status.blue_green.preview_selector == *hash)
                && work.is_stable()
        }
    };
    done && status.updated_replicas == wanted && status.available_replicas == wanted
}

fn paused(work: &mut Work<'_>) {
    let now = work.time();
    let old = reason_of(&work.seen.status, kind::PROGRESSING).to_owned();
    let pausing = work.is_paused();
    let was_aborted = old == reason::ABORTED;
    if !work.aborted() && was_aborted {
        let text = "Retrying Rollout after abort".to_owned();
        work.events
            .push(EventNote::normal(reason::RETRY, text.clone()));
        set(
            &mut work.status,
            (kind::PROGRESSING, "Unknown", reason::RETRY, text),
            &now,
        );
    } else if !work.aborted() && pausing != (old == reason::PAUSED) {
        let (reason, text) = if pausing {
            (reason::PAUSED, "Rollout is paused")
        } else {
            (reason::RESUMED, "Rollout is resumed")
        };
        tell_pause(work, reason, text);
        set(
            &mut work.status,
            (kind::PROGRESSING, "Unknown", reason, text.to_owned()),
            &now,
        );
    } else if is_another_pause(work) {
        // One pause ended and the next began in the same pass.
        work.events
            .push(EventNote::normal(reason::RESUMED, "Rollout is resumed"));
        tell_pause(work, reason::PAUSED, "Rollout is paused");
    }
    let known = find(&work.status, kind::PAUSED).is_some();
    if pausing || known {
        let value = if pausing { "True" } else { "False" };
        let text = "Rollout is paused".to_owned();
        set(
            &mut work.status,
            (kind::PAUSED, value, reason::PAUSED, text),
            &now,
        );
    }
}

fn tell_pause(work: &mut Work<'_>, reason: &str, text: &str) {
    let why = work.status.pause_conditions.first();
    let note = why.map_or_else(
        || text.to_owned(),
        |why| format!("{text} ({})", why.reason.as_str()),
    );
    work.events.push(EventNote::normal(reason, note));
}

fn is_another_pause(work: &Work<'_>) -> bool {
    let (old, new) = (&work.seen.status, &work.status);
    match (new.pause_conditions.first(), old.controller_pause) {
        (Some(now), true) => !old.pause_conditions.contains(now),
        _ => false,
    }
}

fn available(work: &mut Work<'_>) {
    let (now, wanted) = (work.time(), work.seen.spec.replicas);
    let enough = match &work.seen.spec.strategy {
        CheckedStrategy::Canary(_) => {
            let available: i32 = work.sets.iter().map(|set| set.view.available).sum();
            available >= wanted
        }
        CheckedStrategy::BlueGreen(_) => work
            .by_hash(&work.status.blue_green.active_selector)
            .is_some_and(|index| work.sets[index].view.available >= wanted),
    };
    let (value, text) = if enough {
        ("True", "Rollout has minimum availability")
    } else {
        ("False", NOT_AVAILABLE)
    };
    set(
        &mut work.status,
        (kind::AVAILABLE, value, "AvailableReason", text.to_owned()),
        &now,
    );
}

fn failure(work: &mut Work<'_>) {
    let now = work.time();
    let newest = work.new_set().view.failure.clone();
    let failure = newest.or_else(|| work.sets.iter().find_map(|set| set.view.failure.clone()));
    match failure {
        Some((reason, message)) => {
            set(
                &mut work.status,
                (kind::REPLICA_FAILURE, "True", &reason, message),
                &now,
            );
        }
        None => remove(&mut work.status, kind::REPLICA_FAILURE),
    }
}

fn unsupported(work: &mut Work<'_>) {
    let now = work.time();
    let text = &work.seen.unsupported;
    if text.is_empty() {
        return remove(&mut work.status, kind::UNSUPPORTED);
    }
    let same = find(&work.status, kind::UNSUPPORTED).is_some_and(|old| old.message == *text);
    if !same {
        put(
            &mut work.status,
            (kind::UNSUPPORTED, "True", "NotSupported", text.clone()),
            &now,
        );
    }
}
