//! The counted part of the status, and the phase.

use super::{phase::PhaseInputs, planned_replica_set::PlannedReplicaSet, planner::Planner};
use crate::{
    api::rollout::RolloutStatus,
    rollout::observed::{CheckedSpec, CheckedStrategy},
};
use reconcile_core::kube_types::Selector;

/// Counts pods and copies what clients read.
pub(super) fn count(planner: &mut Planner<'_>) {
    let total =
        |of: fn(&PlannedReplicaSet) -> i32| planner.replica_sets.iter().map(of).sum::<i32>();
    let (replicas, ready, available) = (
        total(|set| set.view.current),
        total(|set| set.view.ready),
        total(|set| set.view.available),
    );
    let newest = planner.new_set();
    let (hash, updated) = (newest.view.hash.clone(), newest.view.current);
    let rules = planner.observed.spec.blue_green();
    let active = rules
        .map(|_| planner.status.blue_green.active_selector.clone())
        .and_then(|hash| planner.by_hash(&hash))
        .map(|index| planner.replica_sets[index].view.clone());
    let mut selector = planner.observed.spec.selector.clone();
    let status = &mut planner.status;
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
    status.observed_generation = planner.observed.root.generation().to_string();
}

/// Phase and message, from everything else.
pub(super) fn state(planner: &mut Planner<'_>) {
    let (phase, message) = phase_of(&planner.observed.spec, &planner.status);
    phase.clone_into(&mut planner.status.phase);
    planner.status.message = message;
}

/// Phase and message of a status under a spec.
pub(crate) fn phase_of(spec: &CheckedSpec, status: &RolloutStatus) -> (&'static str, String) {
    let wanted = PhaseInputs {
        replicas: spec.replicas,
        paused: spec.paused,
        restart_at: spec.pods.restart_at,
        blue_green: matches!(spec.strategy, CheckedStrategy::BlueGreen(_)),
        routed: spec.canary().is_some_and(|canary| canary.routing.is_some()),
    };
    super::phase::phase(wanted, status)
}
