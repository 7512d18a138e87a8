//! The counted part of the status, and the phase.

use super::{phase::Wanted, work::Work};
use crate::{
    api::rollout::RolloutStatus,
    rollout::world::{CheckedSpec, CheckedStrategy},
};
use reconcile_core::kube_types::Selector;

/// Counts pods and copies what clients read.
pub(super) fn count(work: &mut Work<'_>) {
    let total = |of: fn(&super::work::Set) -> i32| work.sets.iter().map(of).sum::<i32>();
    let (replicas, ready, available) = (
        total(|set| set.view.current),
        total(|set| set.view.ready),
        total(|set| set.view.available),
    );
    let newest = work.new_set();
    let (hash, updated) = (newest.view.hash.clone(), newest.view.current);
    let rules = work.seen.spec.blue_green();
    let active = rules
        .map(|_| work.status.blue_green.active_selector.clone())
        .and_then(|hash| work.by_hash(&hash))
        .map(|index| work.sets[index].view.clone());
    let mut selector = work.seen.spec.selector.clone();
    let status = &mut work.status;
    status.current_pod_hash = hash;
    status.replicas = replicas;
    status.updated_replicas = updated;
    status.ready_replicas = ready;
    status.available_replicas = available;
    status.hpa_replicas = replicas;
    if let Some(active) = active {
        status.ready_replicas = active.ready;
        status.available_replicas = active.available;
        status.hpa_replicas = active.current;
        selector.match_labels.insert(
            crate::api::rollout::HASH_LABEL.to_owned(),
            active.hash.clone(),
        );
    }
    status.selector = Selector::try_from(&selector)
        .map(|selector| selector.to_string())
        .unwrap_or_default();
    status.observed_generation = work.seen.root.generation().to_string();
}

/// Phase and message, from everything else.
pub(super) fn state(work: &mut Work<'_>) {
    let (phase, message) = phase_of(&work.seen.spec, &work.status);
    phase.clone_into(&mut work.status.phase);
    work.status.message = message;
}

/// Phase and message of a status under a spec.
pub(crate) fn phase_of(spec: &CheckedSpec, status: &RolloutStatus) -> (&'static str, String) {
    let wanted = Wanted {
        replicas: spec.replicas,
        paused: spec.paused,
        blue_green: matches!(spec.strategy, CheckedStrategy::BlueGreen(_)),
    };
    super::phase::phase(wanted, status)
}
