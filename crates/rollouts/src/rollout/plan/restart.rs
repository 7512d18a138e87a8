//! `spec.restartAt`: pods that are older are evicted, as many at a time as may be unavailable.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    action::{Action, PodRef},
    planner::{Planner, after},
};
use crate::rollout::observed::PodView;

/// Time after which pods that a restart could not evict are tried again.
const AGAIN: SignedDuration = SignedDuration::from_secs(30);

/// Plans the evictions of this pass. True when there are any.
pub(super) fn update(planner: &mut Planner<'_>) -> bool {
    let observed = planner.observed;
    let rules = &observed.spec.pods;
    let done = planner.status.restarted_at.as_ref().map(|at| at.0);
    let Some(at) = rules.restart_at.filter(|at| Some(*at) != done) else {
        return false;
    };
    if at > planner.now {
        planner.wake_at(at);
        return false;
    }
    let changed = planner.status.current_pod_hash != planner.newest_hash();
    if changed || planner.new_set().is_new() {
        // A new version comes first; its pods are young.
        return false;
    }
    let Some(pods) = &observed.pods else {
        planner.wake_at(after(planner.now, AGAIN));
        return false;
    };
    let wanted: i32 = planner.replica_sets.iter().map(|set| set.replicas).sum();
    let needed = planner.observed.spec.replicas.max(wanted) - rules.restart_limit;
    let mut budget = count(planner, pods) - needed;
    let mut old: Vec<&PodView> = pods
        .iter()
        .filter(|pod| !pod.deleting && pod.created.is_none_or(|created| created < at))
        .collect();
    // Pods that serve nobody cost nothing.
    old.sort_by_key(|pod| is_available(planner, pod));
    let mut evicted = Vec::new();
    let mut left = 0;
    for pod in old {
        let cost = i32::from(is_available(planner, pod));
        if cost > budget.max(0) {
            left += 1;
            continue;
        }
        budget -= cost;
        evicted.push(Action::Evict(PodRef {
            name: pod.name.clone(),
            uid: pod.uid.clone(),
        }));
    }
    let any = !evicted.is_empty();
    if left == 0 {
        // The report takes this back when an eviction is refused.
        planner.status.restarted_at = Some(Time(at));
    }
    if any || left > 0 {
        planner.note(format!(
            "restarting: {} pods now, {left} later",
            evicted.len()
        ));
        planner.wake_at(after(planner.now, AGAIN));
    }
    planner.pods.append(&mut evicted);
    any
}

/// Pods of a version that begins are as young as a restart wants them.
pub(super) fn begin(planner: &mut Planner<'_>) {
    let at = planner.observed.spec.pods.restart_at;
    if let Some(at) = at.filter(|at| *at <= planner.now) {
        planner.status.restarted_at = Some(Time(at));
    }
}

fn count(planner: &Planner<'_>, pods: &[PodView]) -> i32 {
    let available = pods.iter().filter(|pod| is_available(planner, pod));
    i32::try_from(available.count()).unwrap_or(i32::MAX)
}

fn is_available(planner: &Planner<'_>, pod: &PodView) -> bool {
    let min_ready = SignedDuration::from_secs(i64::from(planner.observed.spec.min_ready));
    let lasts = |since: Timestamp| since.saturating_add(min_ready).unwrap_or(Timestamp::MAX);
    !pod.deleting
        && pod
            .ready_since
            .is_some_and(|since| lasts(since) <= planner.now)
}
