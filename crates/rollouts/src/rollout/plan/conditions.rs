//! Conditions, with the reasons, messages and times that clients of upstream know.

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use reconcile_core::reconcile::EventNote;

use super::work::{Work, after};
use crate::{
    api::{
        analysis::AnalysisPhase,
        rollout::{RolloutCondition, RolloutStatus},
    },
    rollout::world::{CheckedStrategy, Step},
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
}

const NOT_AVAILABLE: &str = "Rollout does not have minimum availability";

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

fn reason_of<'s>(status: &'s RolloutStatus, kind: &str) -> &'s str {
    find(status, kind).map_or("", |condition| condition.reason.as_str())
}

fn is_true(status: &RolloutStatus, kind: &str) -> bool {
    find(status, kind).is_some_and(|condition| condition.status == "True")
}

/// Brings all conditions up to date. Must be called last: it compares the status as it was with the one
/// that is about to be written.
pub(super) fn update(work: &mut Work<'_>) {
    remove(&mut work.status, kind::INVALID_SPEC);
    completed(work);
    healthy(work);
    paused(work);
    progressing(work);
    available(work);
    failure(work);
    unsupported(work);
}

fn completed(work: &mut Work<'_>) {
    let now = work.time();
    let done = !work.is_paused() && work.is_stable();
    if done {
        let text = "RolloutCompleted".to_owned();
        set(
            &mut work.status,
            (kind::COMPLETED, "True", "RolloutCompleted", text),
            &now,
        );
    } else if find(&work.status, kind::COMPLETED).is_some() {
        if is_true(&work.status, kind::COMPLETED) {
            let (revision, hash) = (work.new_set().revision, work.newest_hash());
            work.events.push(EventNote::normal(
                "RolloutNotCompleted",
                format!("Rollout not completed, started update to revision {revision} ({hash})"),
            ));
        }
        let text = "RolloutCompleted".to_owned();
        set(
            &mut work.status,
            (kind::COMPLETED, "False", "RolloutCompleted", text),
            &now,
        );
    }
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
        // A Rollout without any condition yet was not paused before, so it is not resumed either.
        if pausing || !old.is_empty() && old == reason::PAUSED {
            let why = work
                .status
                .pause_conditions
                .first()
                .map(|condition| condition.reason.as_str().to_owned());
            let note = why.map_or_else(|| text.to_owned(), |why| format!("{text} ({why})"));
            work.events.push(EventNote::normal(reason, note));
            set(
                &mut work.status,
                (kind::PROGRESSING, "Unknown", reason, text.to_owned()),
                &now,
            );
        }
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

fn progressing(work: &mut Work<'_>) {
    let now = work.time();
    let name = work.new_set().view.name.clone();
    if work.aborted() {
        return aborted(work, &now);
    }
    if work.is_paused() {
        return;
    }
    let new_here = work.new_set().is_new();
    let known = find(&work.status, kind::PROGRESSING).is_some();
    if is_healthy(work) {
        let text = format!("ReplicaSet \"{name}\" has successfully progressed.");
        return set(
            &mut work.status,
            (kind::PROGRESSING, "True", reason::NEW_AVAILABLE, text),
            &now,
        );
    }
    if new_here {
        let text = format!("Created new replica set \"{name}\"");
        return put(
            &mut work.status,
            (kind::PROGRESSING, "True", reason::CREATED, text),
            &now,
        );
    }
    if !known {
        let text = format!("Found new replica set \"{name}\"");
        return put(
            &mut work.status,
            (kind::PROGRESSING, "True", reason::FOUND, text),
            &now,
        );
    }
    let was_done = reason_of(&work.status, kind::PROGRESSING) == reason::NEW_AVAILABLE;
    if made_progress(work) || was_done {
        let new = if work.is_stable() {
            (
                kind::PROGRESSING,
                "True",
                reason::NOT_AVAILABLE,
                NOT_AVAILABLE.to_owned(),
            )
        } else {
            let text = format!("ReplicaSet \"{name}\" is progressing.");
            (kind::PROGRESSING, "True", reason::UPDATED, text)
        };
        return put(&mut work.status, new, &now);
    }
    deadline(work, &name, &now);
}

fn aborted(work: &mut Work<'_>, now: &Time) {
    if reason_of(&work.status, kind::PROGRESSING) == reason::ABORTED {
        return;
    }
    let mut text = format!(
        "Rollout aborted update to revision {}",
        work.new_set().revision
    );
    if let Some(message) = &work.abort_message {
        text = format!("{text}: {message}");
    }
    work.events
        .push(EventNote::warning(reason::ABORTED, text.clone()));
    set(
        &mut work.status,
        (kind::PROGRESSING, "False", reason::ABORTED, text),
        now,
    );
}

/// Something moved in the right direction since the status was last written.
fn made_progress(work: &Work<'_>) -> bool {
    let (old, new) = (&work.seen.status, &work.status);
    let of_strategy = if work.seen.spec.blue_green().is_some() {
        old.blue_green.active_selector != new.blue_green.active_selector
            || old.blue_green.preview_selector != new.blue_green.preview_selector
    } else {
        old.stable_rs != new.stable_rs
            || old.current_step_index != new.current_step_index
            || old.current_step_hash != new.current_step_hash
    };
    of_strategy
        || old.updated_replicas != new.updated_replicas
        || new.replicas - new.updated_replicas < old.replicas - old.updated_replicas
        || new.ready_replicas > old.ready_replicas
        || new.available_replicas > old.available_replicas
}

/// No progress for too long. Waits that are meant to be long do not count.
fn deadline(work: &mut Work<'_>, name: &str, now: &Time) {
    let waits = match &work.seen.spec.strategy {
        CheckedStrategy::Canary(canary) => matches!(
            super::canary::current(work, canary),
            Some((_, Step::Pause(_) | Step::Analysis(_)))
        ),
        CheckedStrategy::BlueGreen(_) => {
            let status = &work.status.blue_green;
            let runs = [
                &status.pre_promotion_analysis_run_status,
                &status.post_promotion_analysis_run_status,
            ];
            runs.into_iter()
                .flatten()
                .any(|run| !AnalysisPhase::from(run.status.clone()).is_completed())
        }
    };
    let draining = work
        .older()
        .any(|index| work.sets[index].deadline.is_some());
    let Some(condition) = find(&work.status, kind::PROGRESSING) else {
        return;
    };
    if waits || draining || condition.reason == reason::TIMED_OUT {
        return;
    }
    let Some(from) = condition.last_update_time.as_ref().map(|time| time.0) else {
        return;
    };
    let end = after(from, work.seen.spec.deadline);
    if work.now <= end {
        return work.wake_at(after(end, SignedDuration::from_secs(1)));
    }
    let text = format!("ReplicaSet \"{name}\" has timed out progressing.");
    work.events
        .push(EventNote::warning(reason::TIMED_OUT, text.clone()));
    set(
        &mut work.status,
        (kind::PROGRESSING, "False", reason::TIMED_OUT, text.clone()),
        now,
    );
}

/// The deadline has passed and the manifest asks to give up then.
pub(super) fn abort_if_late(work: &mut Work<'_>) -> bool {
    let late = reason_of(&work.status, kind::PROGRESSING) == reason::TIMED_OUT;
    if late && work.seen.spec.deadline_abort && !work.aborted() && !work.is_stable() {
        let name = work.new_set().view.name.clone();
        work.abort(format!("ReplicaSet \"{name}\" has timed out progressing."));
        return true;
    }
    false
}

fn available(work: &mut Work<'_>) {
    let (now, wanted) = (work.time(), work.seen.spec.replicas);
    let enough = match &work.seen.spec.strategy {
        CheckedStrategy::Canary(canary) => {
            let available: i32 = work.sets.iter().map(|set| set.view.available).sum();
            available >= wanted - canary.unavailable
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
