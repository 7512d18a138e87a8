//! The turning points of an update: it begins, begins again, and ends.

use reconcile_core::reconcile::EventNote;

use super::{conditions, work::Work};

/// Why a version is promoted that has no stable one before it.
pub(super) const INITIAL: &str = "Initial deploy";

/// A person took back an abort: the update begins anew, and so does its analysis.
pub(super) fn retry(work: &mut Work<'_>) {
    work.note("retrying after an abort");
    work.status.aborted_at = None;
    forget_runs(work);
    let newest = work.new;
    // The deadline stems from the abort; it does not say that the version needs no judgement.
    work.sets[newest].deadline = None;
    work.deadline_at_start = None;
}

/// What a new template or other steps do to the status of either strategy.
pub(super) fn reset(work: &mut Work<'_>) {
    work.clear_pauses();
    if !work.status.current_pod_hash.is_empty() {
        work.clear_abort();
        work.status.promote_full = false;
    }
    work.status.current_pod_hash = work.newest_hash();
    work.status.blue_green.scale_up_preview_check_point = false;
    work.status.canary.step_plugin_statuses = None;
    forget_runs(work);
}

fn forget_runs(work: &mut Work<'_>) {
    let status = &mut work.status;
    status.canary.current_step_analysis_run_status = None;
    status.canary.current_background_analysis_run_status = None;
    status.blue_green.pre_promotion_analysis_run_status = None;
    status.blue_green.post_promotion_analysis_run_status = None;
}

/// The newest version is the stable one from now on.
pub(super) fn promote(work: &mut Work<'_>, why: &str) {
    work.status.promote_full = false;
    if work.is_stable() {
        return;
    }
    work.clear_pauses();
    work.clear_abort();
    let (hash, revision) = (work.newest_hash(), work.new_set().revision);
    let text = format!("Rollout completed update to revision {revision} ({hash}): {why}");
    work.note(text.clone());
    work.events
        .push(EventNote::normal(conditions::reason::COMPLETED, text));
    work.status.stable_rs = hash;
}
