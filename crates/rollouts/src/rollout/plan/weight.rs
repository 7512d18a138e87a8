//! The share of the new version by the steps of a canary.

use jiff::SignedDuration;

use super::{
    facts,
    planner::Planner,
    replicas::{FULL_WEIGHT, Pods},
};
use crate::rollout::observed::{Canary, Step, Threshold};

/// Pause between two looks at a weight that is not in effect yet.
pub(super) const VERIFY_AGAIN: SignedDuration = SignedDuration::from_secs(5);

/// The share of the new version, of the total that the routing knows or of 100.
pub(super) fn current(planner: &Planner<'_>, canary: &Canary) -> i32 {
    let full = canary
        .routing
        .as_ref()
        .map_or(FULL_WEIGHT, |routing| routing.max_weight);
    if planner.status.promote_full || planner.is_stable() || planner.stable().is_none() {
        return full;
    }
    let not_begun = planner.is_halted() && planner.new_set().replicas == 0;
    if planner.aborted() || not_begun {
        return 0;
    }
    let Some((index, _)) = facts::current_step(planner, canary) else {
        return full;
    };
    let until = usize::try_from(index).unwrap_or_default();
    before(canary, until + 1).unwrap_or_default()
}

/// The last weight that the steps up to `index`, exclusive, set.
pub(super) fn before(canary: &Canary, index: usize) -> Option<i32> {
    let mut steps = canary.steps.iter().take(index).rev();
    steps.find_map(|step| match step {
        Step::SetWeight(weight) => Some(*weight),
        _ => None,
    })
}

/// Whether as many pods are available as a step waits for.
pub(super) fn is_reached(threshold: Threshold, wanted: i32, pods: Pods) -> bool {
    match threshold {
        Threshold::All => pods.available == wanted,
        Threshold::Percent(percent) => {
            i64::from(pods.available) * 100 >= i64::from(wanted) * i64::from(percent)
        }
        Threshold::Pods(number) => pods.available >= number.min(wanted),
    }
}
