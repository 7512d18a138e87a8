//! Predicates about an update that several parts of the plan share. Read-only.

use super::planner::Planner;
use crate::rollout::observed::{Canary, CheckedStrategy, Step};

/// The current canary step and its index; none when all steps are done.
pub(super) fn current_step<'c>(
    planner: &Planner<'_>,
    canary: &'c Canary,
) -> Option<(i32, &'c Step)> {
    let index = planner.status.current_step_index.unwrap_or_default();
    let step = canary.steps.get(usize::try_from(index).ok()?)?;
    Some((index, step))
}

/// True when the newest template is one of the last revisions before the stable one, as
/// `rollbackWindow` counts them: by the time of creation.
pub(super) fn is_within_window(planner: &Planner<'_>) -> bool {
    let Some(window) = planner.observed.spec.rollback_window else {
        return false;
    };
    let Some((target, stable)) = rollback_times(planner) else {
        return false;
    };
    let between = planner
        .replica_sets
        .iter()
        .filter_map(|set| set.view.created)
        .filter(|created| target < *created && *created < stable)
        .count();
    i32::try_from(between).is_ok_and(|between| between < window)
}

/// True when the update goes back to a version that needs no new judgement: the stable one, one within
/// the rollback window, or with blue-green one OLDER than the stable version whose pods still wait for
/// their scale-down. A newer version with such a deadline failed or was never approved; it is judged again.
pub(super) fn is_fast_rollback(planner: &Planner<'_>) -> bool {
    if planner.is_stable() {
        return true;
    }
    if rollback_times(planner).is_none() {
        return false;
    }
    let kept = planner.observed.spec.blue_green().is_some()
        && planner
            .deadline_at_start
            .is_some_and(|deadline| deadline > planner.now);
    kept || is_within_window(planner)
}

/// True when the newest template is the stable one or older than it.
pub(super) fn is_rollback(planner: &Planner<'_>) -> bool {
    planner.is_stable() || rollback_times(planner).is_some()
}

/// When the newest and the stable ReplicaSet were created, if the newest is the older one.
fn rollback_times(planner: &Planner<'_>) -> Option<(jiff::Timestamp, jiff::Timestamp)> {
    let target = planner.new_set().view.created?;
    let stable = planner.replica_sets[planner.stable()?].view.created?;
    (target < stable).then_some((target, stable))
}

/// Why a version without steps and judgement left is promoted; none when it has to go the whole way.
pub(super) fn shortcut(planner: &Planner<'_>) -> Option<&'static str> {
    if planner.status.promote_full {
        Some("Full promotion requested")
    } else if is_within_window(planner) {
        Some("Rollback within window")
    } else if is_fast_rollback(planner) && !planner.is_stable() {
        Some("Fast rollback")
    } else {
        None
    }
}

/// Nothing is judged on the first deployment, after an abort or a full promotion, and on the way back to
/// a version that was judged before.
pub(super) fn is_analysis_off(planner: &Planner<'_>) -> bool {
    planner.aborted()
        || planner.status.promote_full
        || planner.stable().is_none()
        || (is_fast_rollback(planner) && !planner.is_stable())
}

/// All pods are of the newest version and available, and nothing is left to do.
pub(super) fn is_healthy(planner: &Planner<'_>) -> bool {
    let (status, wanted) = (&planner.status, planner.observed.spec.replicas);
    let done = match &planner.observed.spec.strategy {
        CheckedStrategy::Canary(canary) => {
            let steps = i32::try_from(canary.steps.len()).unwrap_or(i32::MAX);
            status.current_step_index.is_none_or(|index| index == steps)
                && planner.is_stable()
                && status.replicas == wanted
        }
        CheckedStrategy::BlueGreen(rules) => {
            let hash = &status.current_pod_hash;
            status.blue_green.active_selector == *hash
                && (rules.preview.is_none() || status.blue_green.preview_selector == *hash)
                && planner.is_stable()
        }
    };
    done && status.updated_replicas == wanted && status.available_replicas == wanted
}

/// AWS has all pods behind the Service that was switched, or nobody asks it.
pub(super) fn are_targets_registered(planner: &Planner<'_>) -> bool {
    let Some(targets) = &planner.observed.targets else {
        return true;
    };
    targets.registered.unwrap_or_else(|| {
        // What is switched in this pass is asked about in the next one.
        let before = &planner.observed.services;
        let mut services = planner.services.iter();
        services.all(|(name, view)| before.get(name).is_some_and(|old| old.hash == view.hash))
    })
}

/// With ping-pong: both Services have swapped their roles in this pass.
pub(super) fn have_services_swapped(planner: &Planner<'_>) -> bool {
    let before = planner.observed.status.canary.stable_ping_pong.as_ref();
    before.is_some() && before != planner.status.canary.stable_ping_pong.as_ref()
}
