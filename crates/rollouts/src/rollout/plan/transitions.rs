//! The turning points of an update: it begins, begins again, and ends.

use reconcile_core::event::EventNote;

use super::{conditions, event_order, planner::Planner, restart};

/// Why a version is promoted that has no stable one before it.
pub(super) const INITIAL: &str = "Initial deploy";

/// The first pass over a Rollout has the Event that upstream's informer has.
pub(super) fn greet(planner: &mut Planner<'_>) {
    let status = &planner.observed.status;
    if status.observed_generation.is_empty() && status.phase.is_empty() {
        let note = format!(
            "Rollout resource added to informer: {}",
            planner.observed.root.key()
        );
        planner
            .events
            .push(EventNote::normal(event_order::ADDED, note));
    }
}

/// A person retries an aborted update: it starts again at its first step, with new analyses.
pub(super) fn retry(planner: &mut Planner<'_>) {
    planner.note("retrying after an abort");
    planner.status.aborted_at = None;
    forget_runs(planner);
    let newest = planner.new;
    // The deadline stems from the abort; it does not say that the version needs no judgement.
    planner.replica_sets[newest].deadline = None;
    planner.deadline_at_start = None;
}

/// What a new template or other steps do to the status of either strategy.
pub(super) fn reset(planner: &mut Planner<'_>) {
    planner.clear_pauses();
    if !planner.status.current_pod_hash.is_empty() {
        planner.clear_abort();
        planner.status.promote_full = false;
    }
    planner.status.current_pod_hash = planner.newest_hash();
    planner.status.blue_green.scale_up_preview_check_point = false;
    restart::begin(planner);
    forget_runs(planner);
}

fn forget_runs(planner: &mut Planner<'_>) {
    let status = &mut planner.status;
    status.canary.current_step_analysis_run_status = None;
    status.canary.current_background_analysis_run_status = None;
    status.canary.current_experiment = None;
    status.blue_green.pre_promotion_analysis_run_status = None;
    status.blue_green.post_promotion_analysis_run_status = None;
}

/// The newest version is the stable one from now on.
pub(super) fn promote(planner: &mut Planner<'_>, why: &str) {
    planner.status.promote_full = false;
    if planner.is_stable() {
        return;
    }
    planner.clear_pauses();
    planner.clear_abort();
    let (hash, revision) = (planner.newest_hash(), planner.new_set().revision);
    let text = format!("Rollout completed update to revision {revision} ({hash}): {why}");
    planner.note(text.clone());
    planner
        .events
        .push(EventNote::normal(conditions::reason::COMPLETED, text));
    planner.status.stable_rs = hash;
}
