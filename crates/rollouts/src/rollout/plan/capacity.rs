//! Pods of a canary with traffic routing: what the weights need, and never less than what the routes still
//! send. Versions shrink only after their traffic has moved, in an earlier pass.

use super::{
    facts,
    planner::{Planner, after, next_second},
    weight,
};
use crate::rollout::{
    observed::{Canary, CanaryScale, Step, Threshold},
    traffic::{RouteHashes, Routing},
};

/// Pods that `weight` needs of `replicas`, rounded up.
pub(super) fn pods_for(weight: i32, replicas: i32, max_weight: i32) -> i32 {
    let needed = i64::from(weight) * i64::from(replicas);
    let total = i64::from(max_weight.max(1));
    i32::try_from(needed.div_euclid(total) + i64::from(needed.rem_euclid(total) > 0))
        .unwrap_or(i32::MAX)
}

/// Pods that `weight` needs of those of the Rollout.
fn pods_of(planner: &Planner<'_>, routing: &Routing, weight: i32) -> i32 {
    pods_for(weight, planner.observed.spec.replicas, routing.max_weight)
}

/// The share of `max_weight` that `pods` of `replicas` can serve, rounded down.
fn weight_for(pods: i32, replicas: i32, max_weight: i32) -> i32 {
    let share = i64::from(pods) * i64::from(max_weight) / i64::from(replicas.max(1));
    i32::try_from(share).map_or(max_weight, |share| share.clamp(0, max_weight))
}

/// The last `setCanaryScale` that is in force: it ends with the update.
fn canary_scale(planner: &Planner<'_>, canary: &Canary) -> Option<CanaryScale> {
    let compared = planner.stable().is_some() && !planner.is_stable();
    if !compared || planner.aborted() || planner.status.promote_full {
        return None;
    }
    let (index, _) = facts::current_step(planner, canary)?;
    let until = usize::try_from(index).ok()? + 1;
    let mut steps = canary.steps.iter().take(until).rev();
    let last = steps.find_map(|step| match step {
        Step::SetCanaryScale(scale) => Some(*scale),
        _ => None,
    });
    last.filter(|scale| *scale != CanaryScale::MatchTrafficWeight)
}

/// At least `minPodsPerReplicaSet` pods of a version that has any.
fn at_least(planner: &Planner<'_>, canary: &Canary, count: i32) -> i32 {
    let least = canary.min_pods.min(planner.observed.spec.replicas);
    if count > 0 { count.max(least) } else { 0 }
}

/// Pods that the new version should have for `weight`.
pub(super) fn canary_goal(
    planner: &Planner<'_>,
    canary: &Canary,
    routing: &Routing,
    weight: i32,
) -> i32 {
    let count = match canary_scale(planner, canary) {
        Some(CanaryScale::Replicas(count)) if !canary.dynamic_stable => return count,
        Some(CanaryScale::Replicas(count)) => count,
        Some(CanaryScale::Weight(weight)) => pods_of(planner, routing, weight),
        Some(CanaryScale::MatchTrafficWeight) | None => pods_of(planner, routing, weight),
    };
    at_least(planner, canary, count)
}

/// Pods that the stable version should have while the new one gets `weight`.
pub(super) fn stable_goal(
    planner: &Planner<'_>,
    canary: &Canary,
    routing: &Routing,
    weight: i32,
) -> i32 {
    if !canary.dynamic_stable {
        return planner.observed.spec.replicas;
    }
    let rest = routing.max_weight - weight;
    at_least(planner, canary, pods_of(planner, routing, rest))
}

/// True when the new version has the pods that `weight` needs; where `setCanaryScale` says another number,
/// that one.
pub(super) fn canary_has_pods_for(
    planner: &Planner<'_>,
    canary: &Canary,
    routing: &Routing,
    weight: i32,
) -> bool {
    let replicas = planner.observed.spec.replicas;
    let new = planner.new_set();
    if new.view.stale && weight > routed(planner) {
        // It may be losing the pods that it counts.
        return false;
    }
    let available = new.available();
    let needed = pods_of(planner, routing, weight).min(replicas);
    match canary_scale(planner, canary) {
        Some(_) => available >= needed.min(canary_goal(planner, canary, routing, weight)),
        None => available >= needed,
    }
}

/// The lowest weight of the new version that leaves the stable one no more traffic than its pods can serve.
/// Never above the weight that is routed now. Without `dynamicStableScale` the stable version has all its pods.
pub(super) fn lowest_weight(planner: &Planner<'_>, canary: &Canary, routing: &Routing) -> i32 {
    if !canary.dynamic_stable {
        return 0;
    }
    let Some(stable) = planner.stable() else {
        return 0;
    };
    let mut sets = planner.replica_sets.iter().enumerate();
    if !sets.any(|(index, set)| index != stable && set.available() > 0) {
        // There is no other version that could serve in its place.
        return 0;
    }
    let available = planner.replica_sets[stable].dependable();
    let served = weight_for(
        available,
        planner.observed.spec.replicas,
        routing.max_weight,
    );
    (routing.max_weight - served).min(routed(planner))
}

/// The highest weight that the pods of the new version can serve. Never above the weight that is routed now while
/// they may be leaving.
pub(super) fn highest_weight(planner: &Planner<'_>, routing: &Routing) -> i32 {
    let new = planner.new_set();
    let replicas = planner.observed.spec.replicas;
    let served = weight_for(new.available(), replicas, routing.max_weight);
    if new.view.stale {
        served.min(routed(planner))
    } else {
        served
    }
}

/// Counts out the pods: what the weight needs, and never less than what the routes still send.
pub(super) fn scale(planner: &mut Planner<'_>, canary: &Canary, routing: &Routing) {
    let replicas = planner.observed.spec.replicas;
    let newest = planner.new;
    let weight = weight::current(planner, canary);
    if let Some(stable) = planner.stable().filter(|stable| *stable != newest) {
        let goal = stable_goal(planner, canary, routing, weight);
        let kept = stable_pods_in_use(planner, canary, routing, stable);
        planner.scale(stable, goal.max(kept).min(replicas));
        planner.replica_sets[stable].deadline = None;
        if planner.aborted() {
            return drain_aborted(planner, canary, routing, stable);
        }
    }
    let goal = canary_goal(planner, canary, routing, weight);
    let count = if canary_scale(planner, canary).is_some() {
        goal
    } else {
        let sent = pods_of(planner, routing, routed(planner));
        at_least(planner, canary, goal.max(sent)).min(replicas)
    };
    let count = if are_routes_behind(planner) {
        count.max(planner.new_set().view.replicas)
    } else {
        count
    };
    planner.scale(newest, count);
    planner.replica_sets[newest].deadline = None;
}

/// Pods of the stable version that its traffic needs as the routes were when the pass began, and as this pass leaves them
/// where the new version loses its traffic because it has no pods.
fn stable_pods_in_use(
    planner: &Planner<'_>,
    canary: &Canary,
    routing: &Routing,
    stable: usize,
) -> i32 {
    if !canary.dynamic_stable {
        return 0;
    }
    let Some(state) = &planner.observed.traffic else {
        return 0;
    };
    if are_routes_behind(planner) {
        return planner.replica_sets[stable].replicas;
    }
    let weight = if planner.new_set().available() > 0 {
        state.weight.unwrap_or_default()
    } else {
        0
    };
    pods_of(planner, routing, routing.max_weight - weight)
}

/// What is written into the routes is not in effect yet: nobody knows how much traffic still arrives where.
pub(super) fn are_routes_behind(planner: &Planner<'_>) -> bool {
    let state = planner.observed.traffic.as_ref();
    state.is_some_and(|state| state.in_effect == Some(false))
}

/// The highest weight that any route gave to the new version when the pass began.
pub(super) fn routed(planner: &Planner<'_>) -> i32 {
    planner
        .observed
        .traffic
        .as_ref()
        .map_or(0, |state| state.most)
}

/// After an abort the new version keeps its pods for a while, and always until no traffic reaches it.
fn drain_aborted(planner: &mut Planner<'_>, canary: &Canary, routing: &Routing, stable: usize) {
    let newest = planner.new;
    if are_routes_behind(planner) && is_reached_by_traffic(planner, newest) {
        return;
    }
    let replicas = planner.observed.spec.replicas;
    if canary.dynamic_stable && !canary.abort_delay_set {
        // Its pods go as its traffic goes.
        let sent = pods_of(planner, routing, routed(planner));
        let count = at_least(planner, canary, sent).min(planner.replica_sets[newest].replicas);
        return planner.scale(newest, count);
    }
    let ready = planner.replica_sets[stable].dependable() >= replicas;
    if planner.replica_sets[newest].replicas == 0 || !ready || routed(planner) > 0 {
        return;
    }
    let Some(delay) = canary.abort_delay else {
        return;
    };
    let set = &planner.replica_sets[newest];
    let deadline = set
        .deadline
        .unwrap_or_else(|| next_second(after(planner.now, delay)));
    if deadline <= planner.now {
        planner.scale(newest, 0);
    } else {
        planner.replica_sets[newest].deadline = Some(deadline);
        planner.wake_at(deadline);
    }
}

/// The stable version of until now stays for a while after a promotion, so that traffic on its way finds it.
pub(super) fn keep_former_stable(planner: &mut Planner<'_>, canary: &Canary) {
    let Some(stable) = planner.stable().filter(|stable| *stable != planner.new) else {
        return;
    };
    let set = &planner.replica_sets[stable];
    if canary.routing.is_none() || canary.dynamic_stable || set.replicas == 0 {
        return;
    }
    let deadline = next_second(after(planner.now, canary.scale_down_delay));
    let set = &mut planner.replica_sets[stable];
    set.deadline.get_or_insert(deadline);
}

/// Older versions: the former stable one waits for its deadline, others go when nothing leads to them.
pub(super) fn shrink_older(planner: &mut Planner<'_>, canary: &Canary) {
    let mut older: Vec<usize> = planner
        .older()
        .filter(|index| planner.replica_sets[*index].replicas > 0)
        .collect();
    older.sort_by_key(|index| std::cmp::Reverse(planner.replica_sets[*index].revision));
    let limit = canary.scale_down_limit.unwrap_or(i32::MAX);
    let mut waiting = 0;
    for index in older {
        if is_reached_by_traffic(planner, index) {
            if let Some(deadline) = planner.replica_sets[index].deadline {
                planner.wake_at(deadline.max(after(planner.now, weight::VERIFY_AGAIN)));
            }
            continue;
        }
        let deadline = planner.replica_sets[index].deadline;
        waiting += i32::from(deadline.is_some());
        match deadline.filter(|deadline| *deadline > planner.now && waiting <= limit) {
            Some(deadline) => planner.wake_at(deadline),
            None if facts::are_targets_registered(planner) => {
                planner.announce_targets();
                planner.scale(index, 0);
            }
            None => {
                planner.announce_targets();
                planner.note("waiting until AWS knows the pods of the stable Service");
                planner.wake_at(after(planner.now, weight::VERIFY_AGAIN));
            }
        }
    }
}

/// A Service or a subset selected the version when the pass began.
fn is_reached_by_traffic(planner: &Planner<'_>, index: usize) -> bool {
    let hash = &planner.replica_sets[index].view.hash;
    let mut services = planner.observed.services.values();
    let subsets = planner.observed.traffic.as_ref();
    let subsets = subsets.and_then(|state| state.hashes.as_ref());
    let by_subset =
        |hashes: &RouteHashes| [&hashes.canary, &hashes.stable].contains(&&Some(hash.clone()));
    services.any(|view| view.hash.as_ref() == Some(hash)) || subsets.is_some_and(by_subset)
}

/// The pods are there that the step asks for: those of the new version, and all of the stable one.
pub(super) fn are_pods_ready(planner: &Planner<'_>, canary: &Canary, routing: &Routing) -> bool {
    let replicas = planner.observed.spec.replicas;
    let weight = weight::current(planner, canary);
    let goal = canary_goal(planner, canary, routing, weight);
    let new = planner.new_set();
    let stable = planner.stable().map(|stable| &planner.replica_sets[stable]);
    // More pods than the weight needs are there while a lower weight is not routed yet.
    let reached = match canary.threshold {
        Threshold::All => new.available() >= goal,
        other => weight::is_reached(other, goal, new.pods()),
    };
    let is_stable_whole = canary.dynamic_stable
        || stable.is_none_or(|set| set.is_sized(replicas) && set.view.current == replicas);
    new.replicas >= goal && new.asks_for(goal) && reached && is_stable_whole
}
