//! The condition `Progressing`: what moved, and what has not moved for too long.

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use reconcile_core::reconcile::EventNote;

use super::{
    conditions::{NOT_AVAILABLE, find, is_true, kind, put, reason, reason_of, set},
    facts,
    work::{Work, after},
};
use crate::{
    api::analysis::AnalysisPhase,
    rollout::world::{CheckedStrategy, Step},
};

/// Brings the condition `Progressing` up to date.
pub(super) fn update(work: &mut Work<'_>) {
    let now = work.time();
    let name = work.new_set().view.name.clone();
    if work.aborted() {
        return aborted(work, &now);
    }
    if work.is_paused() && !(work.is_stable() && facts::is_healthy(work)) {
        return;
    }
    let new_here = work.new_set().is_new();
    let known = find(&work.status, kind::PROGRESSING).is_some();
    if facts::is_healthy(work) {
        let text = format!("ReplicaSet \"{name}\" has successfully progressed.");
        return set(
            &mut work.status,
            (kind::PROGRESSING, "True", reason::NEW_AVAILABLE, text),
            &now,
        );
    }
    if new_here {
        let text = format!("Created new replica set \"{name}\"");
        let created = (kind::PROGRESSING, "True", reason::CREATED, text);
        put(&mut work.status, created, &now);
    } else if !known {
        let text = format!("Found new replica set \"{name}\"");
        let found = (kind::PROGRESSING, "True", reason::FOUND, text);
        put(&mut work.status, found, &now);
    } else {
        moved(work, &name, &now);
    }
    // Also after progress: nothing else wakes a Rollout whose pods never come up.
    deadline(work, &name, &now);
}

/// Starts the clock of the deadline again when something moved.
fn moved(work: &mut Work<'_>, name: &str, now: &Time) {
    // What was complete has lost pods.
    let has_lost = reason_of(&work.status, kind::PROGRESSING) == reason::NEW_AVAILABLE
        || is_true(&work.seen.status, kind::HEALTHY);
    if made_progress(work) || has_lost {
        let new = if work.is_stable() && has_lost {
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
        put(&mut work.status, new, now);
    }
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
            facts::current_step(work, canary),
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
