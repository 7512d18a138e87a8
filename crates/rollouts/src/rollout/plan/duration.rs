//! `status.duration`: when the update began, how long it waited for people, and how it ended.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{facts, planner::Planner};
use crate::{
    api::rollout::{PauseReason, RolloutDuration},
    rollout::observed::{CheckedStrategy, Step},
};

const PROMOTED: &str = "Promoted";
const FAST_PROMOTED: &str = "FastPromoted";
const ABORTED: &str = "Aborted";
const ROLLED_BACK: &str = "RolledBack";
const FAST_ROLLED_BACK: &str = "FastRolledBack";

/// How an update can end.
pub(crate) const COMPLETION_STATUSES: [&str; 5] = [
    PROMOTED,
    FAST_PROMOTED,
    ABORTED,
    ROLLED_BACK,
    FAST_ROLLED_BACK,
];

/// Brings the times of the update up to date. Called last, when the outcome of the pass is known.
pub(super) fn update(planner: &mut Planner<'_>) {
    let now = planner.time();
    let mut duration = planner.status.duration.clone().unwrap_or_default();
    begin(planner, &mut duration, &now);
    let runs = duration.rollout_started_at.is_some() && duration.finished_at.is_none();
    if runs {
        let waits = waits_for_a_person(planner);
        count_wait(&mut duration, waits, &now);
        finish(planner, &mut duration, &now);
    }
    planner.status.duration = (duration != RolloutDuration::default()).then_some(duration);
}

fn is_complete(planner: &Planner<'_>) -> bool {
    planner.is_stable() && planner.new_set().view.available >= planner.observed.spec.replicas
}

fn begin(planner: &Planner<'_>, duration: &mut RolloutDuration, now: &Time) {
    let old = &planner.observed.status;
    let same_steps = planner
        .observed
        .spec
        .canary()
        .is_none_or(|canary| canary.step_hash == old.current_step_hash);
    let changed = old.current_pod_hash != planner.new_set().view.hash || !same_steps;
    let begins = (changed
        && !(old.stable_rs == planner.new_set().view.hash && is_complete(planner)))
        || planner.retrying;
    if !begins {
        return;
    }
    let runs = duration.rollout_started_at.is_some() && duration.finished_at.is_none();
    if runs && !planner.retrying && facts::is_rollback(planner) {
        // The way back belongs to the update that it ends.
        let status = if facts::is_fast_rollback(planner) {
            FAST_ROLLED_BACK
        } else {
            ROLLED_BACK
        };
        status.clone_into(&mut duration.completion_status);
        return;
    }
    let other = std::mem::take(&mut duration.other);
    *duration = RolloutDuration {
        rollout_started_at: Some(now.clone()),
        other,
        ..RolloutDuration::default()
    };
}

fn waits_for_a_person(planner: &Planner<'_>) -> bool {
    let paused = |reason| planner.pause_condition(&reason).is_some();
    let by_strategy = match &planner.observed.spec.strategy {
        CheckedStrategy::Canary(canary) => {
            let step = facts::current_step(planner, canary);
            paused(PauseReason::CanaryPauseStep) && matches!(step, Some((_, Step::Pause(None))))
        }
        CheckedStrategy::BlueGreen(rules) => {
            paused(PauseReason::BlueGreenPause) && !rules.auto_promotion
        }
    };
    planner.observed.spec.paused
        || paused(PauseReason::InconclusiveAnalysisRun)
        || paused(PauseReason::InconclusiveExperiment)
        || by_strategy
}

fn count_wait(duration: &mut RolloutDuration, waits: bool, now: &Time) {
    if waits {
        let since = &mut duration.manual_pause_started_at;
        since.get_or_insert_with(|| now.clone());
    } else if let Some(since) = duration.manual_pause_started_at.take() {
        let waited = now.0.duration_since(since.0).as_secs().max(0);
        let total = &mut duration.total_manual_pause_duration_seconds;
        *total = total.saturating_add(waited);
    }
}

fn finish(planner: &Planner<'_>, duration: &mut RolloutDuration, now: &Time) {
    let preset = &mut duration.completion_status;
    if preset.is_empty() && planner.observed.status.promote_full {
        FAST_PROMOTED.clone_into(preset);
    }
    let end = if is_complete(planner) {
        PROMOTED
    } else if planner.aborted() {
        if preset == FAST_PROMOTED {
            preset.clear();
        }
        ABORTED
    } else {
        return;
    };
    if preset.is_empty() {
        end.clone_into(preset);
    }
    duration.finished_at = Some(now.clone());
    count_wait(duration, false, now);
}
