//! Which share of the traffic the new version gets, and which pods that needs. The order never changes:
//! capacity, route, verify, shrink.

use jiff::SignedDuration;
use reconcile_core::event::EventNote;
use serde_json::json;

use super::{
    facts,
    planner::{Planner, after, next_second},
};
use crate::rollout::{
    observed::{Canary, Step},
    traffic::Routing,
};

/// Pause between two looks at a weight that is not in effect yet.
const VERIFY_AGAIN: SignedDuration = SignedDuration::from_secs(5);

/// Pause before the routes are read again after a write.
const READ_AGAIN: SignedDuration = SignedDuration::from_millis(200);

/// Pods that `weight` needs of `replicas`, rounded up.
pub(super) fn pods_for(weight: i32, replicas: i32, max_weight: i32) -> i32 {
    let needed = i64::from(weight) * i64::from(replicas);
    let total = i64::from(max_weight.max(1));
    i32::try_from(needed.div_euclid(total) + i64::from(needed.rem_euclid(total) > 0))
        .unwrap_or(i32::MAX)
}

/// The last weight that the steps up to `index`, exclusive, set.
pub(super) fn weight_before(canary: &Canary, index: usize) -> Option<i32> {
    let mut steps = canary.steps.iter().take(index).rev();
    steps.find_map(|step| match step {
        Step::SetWeight(weight) => Some(*weight),
        _ => None,
    })
}

/// The weight that the new version has now, as far as anybody can tell.
fn current(planner: &Planner<'_>) -> i32 {
    planner
        .observed
        .traffic
        .map_or(0, |state| state.weight.unwrap_or(state.most))
}

/// The weight that is right now.
pub(super) fn desired(planner: &Planner<'_>, canary: &Canary, routing: &Routing) -> i32 {
    let newest = planner.new_set();
    let nothing_to_compare = planner.stable().is_none() || planner.is_stable();
    if nothing_to_compare || planner.aborted() || newest.view.available == 0 {
        return 0;
    }
    let now = current(planner);
    if planner.status.promote_full {
        return now;
    }
    if canary.steps.is_empty() {
        return 0;
    }
    let (target, before) = match facts::current_step(planner, canary) {
        None => (
            routing.max_weight,
            weight_before(canary, canary.steps.len()).unwrap_or_default(),
        ),
        Some((index, _)) => {
            let index = usize::try_from(index).unwrap_or_default();
            (
                weight_before(canary, index + 1).unwrap_or_default(),
                weight_before(canary, index).unwrap_or_default(),
            )
        }
    };
    if has_capacity(planner, routing, target) {
        target
    } else {
        // What runs already keeps its share; it only never gets ahead of its pods.
        now.clamp(before.min(target), before.max(target))
    }
}

/// Both versions have the pods that `weight` needs.
fn has_capacity(planner: &Planner<'_>, routing: &Routing, weight: i32) -> bool {
    let replicas = planner.observed.spec.replicas;
    let newest = planner.new_set();
    let needed = pods_for(weight, replicas, routing.max_weight);
    let enough = newest.view.available >= needed.min(replicas);
    let rest = i64::from(routing.max_weight - weight) * i64::from(replicas);
    let stable_needed = rest / i64::from(routing.max_weight.max(1));
    let stable = planner
        .stable()
        .map_or(0, |stable| planner.replica_sets[stable].view.available);
    enough && i64::from(stable) >= stable_needed
}

/// Decides the weight and plans to write it. Called once, after the last round.
pub(super) fn route(planner: &mut Planner<'_>) {
    let (Some(canary), Some(state)) = (planner.observed.spec.canary(), planner.observed.traffic)
    else {
        planner.status.canary.weights = None;
        return;
    };
    let Some(routing) = &canary.routing else {
        planner.status.canary.weights = None;
        return;
    };
    let weight = desired(planner, canary, routing);
    record(planner, canary, routing, weight);
    if state.weight == Some(weight) {
        if state.in_effect == Some(false) {
            planner.note("waiting until the route is in effect");
            planner.wake_at(after(planner.now, VERIFY_AGAIN));
        }
        return;
    }
    let old = state
        .weight
        .map_or_else(|| "unknown".to_owned(), |old| old.to_string());
    let text = format!("Traffic weight updated from {old} to {weight}");
    planner.note(text.clone());
    planner
        .events
        .push(EventNote::normal("TrafficWeightUpdated", text));
    planner.route = Some(weight);
    // The next pass reads what was written before anything follows from it.
    planner.wake_at(after(planner.now, READ_AGAIN));
}

/// Writes the weights into the status, as clients read them.
fn record(planner: &mut Planner<'_>, canary: &Canary, routing: &Routing, weight: i32) {
    let newest = planner.newest_hash();
    let side = |weight: i32, service: &Option<String>, hash: &str| {
        json!({
            "weight": weight,
            "serviceName": service.as_deref().unwrap_or_default(),
            "podTemplateHash": hash,
        })
    };
    let stable = planner.status.stable_rs.clone();
    let mut weights = json!({
        "canary": side(weight, &canary.canary_service, &newest),
        "stable": side(routing.max_weight - weight, &canary.stable_service, &stable),
    });
    if let Some(verified) = planner.observed.traffic.and_then(|state| state.in_effect) {
        weights["verified"] = (verified && is_written(planner, weight)).into();
    }
    planner.status.canary.weights = Some(weights);
}

fn is_written(planner: &Planner<'_>, weight: i32) -> bool {
    planner.observed.traffic.and_then(|state| state.weight) == Some(weight)
}

/// True when the routes say `weight`, and nobody says that it is not in effect.
pub(super) fn is_settled(planner: &Planner<'_>, weight: i32) -> bool {
    let state = planner.observed.traffic.unwrap_or_default();
    state.weight == Some(weight) && state.in_effect != Some(false)
}

/// Counts out the pods: what the weight needs, and never less than what the routes still send.
pub(super) fn scale(planner: &mut Planner<'_>, canary: &Canary, routing: &Routing) {
    let replicas = planner.observed.spec.replicas;
    let newest = planner.new;
    if let Some(stable) = planner.stable().filter(|stable| *stable != newest) {
        planner.scale(stable, replicas);
        planner.replica_sets[stable].deadline = None;
        if planner.aborted() {
            return drain_aborted(planner, canary, stable);
        }
    }
    let goal = pods_for(
        super::canary::weight(planner, canary),
        replicas,
        routing.max_weight,
    );
    let count = goal.max(pods_for(routed(planner), replicas, routing.max_weight));
    let least = canary.min_pods.min(replicas);
    let count = if count > 0 { count.max(least) } else { 0 };
    planner.scale(newest, count.min(replicas));
    planner.replica_sets[newest].deadline = None;
}

/// The highest weight that any route gave to the new version when the pass began.
fn routed(planner: &Planner<'_>) -> i32 {
    planner.observed.traffic.map_or(0, |state| state.most)
}

/// After an abort the new version keeps its pods for a while, and always until no traffic reaches it.
fn drain_aborted(planner: &mut Planner<'_>, canary: &Canary, stable: usize) {
    let newest = planner.new;
    let replicas = planner.observed.spec.replicas;
    let ready = planner.replica_sets[stable].view.available >= replicas;
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
    if canary.routing.is_none() || planner.replica_sets[stable].replicas == 0 {
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
                planner.wake_at(deadline.max(after(planner.now, VERIFY_AGAIN)));
            }
            continue;
        }
        let deadline = planner.replica_sets[index].deadline;
        waiting += i32::from(deadline.is_some());
        match deadline.filter(|deadline| *deadline > planner.now && waiting <= limit) {
            Some(deadline) => planner.wake_at(deadline),
            None => planner.scale(index, 0),
        }
    }
}

/// A Service selected the version when the pass began.
fn is_reached_by_traffic(planner: &Planner<'_>, index: usize) -> bool {
    let hash = &planner.replica_sets[index].view.hash;
    let mut services = planner.observed.services.values();
    services.any(|view| view.hash.as_ref() == Some(hash))
}
