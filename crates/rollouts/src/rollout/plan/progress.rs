//! The condition `Progressing`: what moved, and what has not moved for too long.

use jiff::{SignedDuration, Timestamp};
use reconcile_core::{conditions::Condition, event::EventNote};

use super::{
    conditions::{NOT_AVAILABLE, find, is_true, kind, put, reason, reason_of, set},
    facts,
    planner::{Planner, after},
};
use crate::{
    api::analysis::AnalysisPhase,
    rollout::observed::{CheckedStrategy, Step},
};

/// Brings the condition `Progressing` up to date.
pub(super) fn update(planner: &mut Planner<'_>) {
    let now = planner.time().0;
    let name = planner.new_set().view.name.clone();
    if planner.aborted() {
        return aborted(planner, now);
    }
    if planner.is_paused() && !(planner.is_stable() && facts::is_healthy(planner)) {
        return;
    }
    let new_here = planner.new_set().is_new();
    let known = find(&planner.status, kind::PROGRESSING).is_some();
    if facts::is_healthy(planner) {
        let text = format!("ReplicaSet \"{name}\" has successfully progressed.");
        return set(
            &mut planner.status,
            Condition::new(kind::PROGRESSING, true, reason::NEW_AVAILABLE, text),
            now,
        );
    }
    if new_here {
        let text = format!("Created new replica set \"{name}\"");
        let created = Condition::new(kind::PROGRESSING, true, reason::CREATED, text);
        put(&mut planner.status, created, now);
    } else if !known {
        let text = format!("Found new replica set \"{name}\"");
        let found = Condition::new(kind::PROGRESSING, true, reason::FOUND, text);
        put(&mut planner.status, found, now);
    } else {
        moved(planner, &name, now);
    }
    // Also after progress: nothing else wakes a Rollout whose pods never come up.
    deadline(planner, &name, now);
}

/// Starts the clock of the deadline again when something moved.
fn moved(planner: &mut Planner<'_>, name: &str, now: Timestamp) {
    // What was complete has lost pods.
    let has_lost = reason_of(&planner.status, kind::PROGRESSING) == reason::NEW_AVAILABLE
        || is_true(&planner.observed.status, kind::HEALTHY);
    if made_progress(planner) || has_lost {
        let new = if planner.is_stable() && has_lost {
            Condition::new(
                kind::PROGRESSING,
                true,
                reason::NOT_AVAILABLE,
                NOT_AVAILABLE.to_owned(),
            )
        } else {
            let text = format!("ReplicaSet \"{name}\" is progressing.");
            Condition::new(kind::PROGRESSING, true, reason::UPDATED, text)
        };
        put(&mut planner.status, new, now);
    }
}

fn aborted(planner: &mut Planner<'_>, now: Timestamp) {
    if reason_of(&planner.status, kind::PROGRESSING) == reason::ABORTED {
        return;
    }
    let mut text = format!(
        "Rollout aborted update to revision {}",
        planner.new_set().revision
    );
    if let Some(message) = &planner.abort_message {
        text = format!("{text}: {message}");
    }
    planner
        .events
        .push(EventNote::warning(reason::ABORTED, text.clone()));
    set(
        &mut planner.status,
        Condition::new(kind::PROGRESSING, false, reason::ABORTED, text),
        now,
    );
}

/// Something moved in the right direction since the status was last written.
fn made_progress(planner: &Planner<'_>) -> bool {
    let (old, new) = (&planner.observed.status, &planner.status);
    let of_strategy = if planner.observed.spec.blue_green().is_some() {
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
        || new.ready_replicas > old.ready_replicas.max(planner.observed.peak.ready)
        || new.available_replicas > old.available_replicas.max(planner.observed.peak.available)
}

/// No progress for too long. Waits that are meant to be long do not count.
fn deadline(planner: &mut Planner<'_>, name: &str, now: Timestamp) {
    let waits = match &planner.observed.spec.strategy {
        CheckedStrategy::Canary(canary) => matches!(
            facts::current_step(planner, canary),
            Some((_, Step::Pause(_) | Step::Analysis(_) | Step::Experiment(_)))
        ),
        CheckedStrategy::BlueGreen(_) => {
            let status = &planner.status.blue_green;
            let runs = [
                &status.pre_promotion_analysis_run_status,
                &status.post_promotion_analysis_run_status,
            ];
            runs.into_iter()
                .flatten()
                .any(|run| !AnalysisPhase::from(run.status.clone()).is_completed())
        }
    };
    let draining = planner
        .older()
        .any(|index| planner.replica_sets[index].deadline.is_some());
    let Some(condition) = find(&planner.status, kind::PROGRESSING) else {
        return;
    };
    if waits || draining || condition.reason == reason::TIMED_OUT {
        return;
    }
    let Some(from) = condition.last_update_time else {
        return;
    };
    let end = after(from, planner.observed.spec.deadline);
    if planner.now <= end {
        return planner.wake_at(after(end, SignedDuration::from_secs(1)));
    }
    let text = format!("ReplicaSet \"{name}\" has timed out progressing.");
    planner
        .events
        .push(EventNote::warning(reason::TIMED_OUT, text.clone()));
    set(
        &mut planner.status,
        Condition::new(kind::PROGRESSING, false, reason::TIMED_OUT, text.clone()),
        now,
    );
}

/// The deadline has passed and the manifest asks to give up then.
pub(super) fn abort_if_late(planner: &mut Planner<'_>) -> bool {
    let late = reason_of(&planner.status, kind::PROGRESSING) == reason::TIMED_OUT;
    if late && planner.observed.spec.deadline_abort && !planner.aborted() && !planner.is_stable() {
        let name = planner.new_set().view.name.clone();
        planner.abort(format!("ReplicaSet \"{name}\" has timed out progressing."));
        return true;
    }
    false
}
