//! Which share of the traffic the new version gets, and which routes it has beside. The order never changes:
//! capacity, route, verify, shrink; the pods are counted out in `capacity`.

use jiff::SignedDuration;
use reconcile_core::event::EventNote;
use serde_json::json;

use super::{
    capacity, event_order, experiment, facts,
    planner::{Planner, after},
    weight,
};
use crate::rollout::{
    observed::{Canary, Step},
    traffic::{ManagedRoute, RouteGoal, RouteHashes, RouteStep, Routing},
};

/// Pause before the routes are read again after a write.
const READ_AGAIN: SignedDuration = SignedDuration::from_millis(200);

/// The weight that the new version has now, as far as it is known.
fn current(planner: &Planner<'_>) -> i32 {
    let state = planner.observed.traffic.as_ref();
    state.map_or(0, |state| state.weight.unwrap_or(state.most))
}

/// True when the new version may get traffic: there is another one to compare it with, and it has pods.
fn may_get_traffic(planner: &Planner<'_>) -> bool {
    let nothing_to_compare = planner.stable().is_none() || planner.is_stable();
    !nothing_to_compare && !planner.aborted() && planner.new_set().available() > 0
}

/// The weight that is right now. It never falls faster than the stable version gets pods.
pub(super) fn desired(planner: &Planner<'_>, canary: &Canary, routing: &Routing) -> i32 {
    let lowest = capacity::lowest_weight(planner, canary, routing);
    let goal = if may_get_traffic(planner) {
        goal(planner, canary, routing)
    } else {
        0
    };
    goal.max(lowest)
}

fn goal(planner: &Planner<'_>, canary: &Canary, routing: &Routing) -> i32 {
    let now = current(planner);
    if planner.status.promote_full {
        return if canary.dynamic_stable {
            capacity::highest_weight(planner, routing)
        } else {
            now
        };
    }
    if canary.steps.is_empty() {
        return 0;
    }
    let (target, before) = match facts::current_step(planner, canary) {
        None => (
            routing.max_weight,
            weight::before(canary, canary.steps.len()).unwrap_or_default(),
        ),
        Some((index, _)) => {
            let index = usize::try_from(index).unwrap_or_default();
            (
                weight::before(canary, index + 1).unwrap_or_default(),
                weight::before(canary, index).unwrap_or_default(),
            )
        }
    };
    if has_capacity(planner, canary, routing, target) {
        target
    } else {
        // What runs already keeps its share; it only never gets ahead of its pods.
        now.clamp(before.min(target), before.max(target))
    }
}

/// Both versions have the pods that `weight` needs.
fn has_capacity(planner: &Planner<'_>, canary: &Canary, routing: &Routing, weight: i32) -> bool {
    let replicas = planner.observed.spec.replicas;
    let rest = i64::from(routing.max_weight - weight) * i64::from(replicas);
    let stable_needed = rest / i64::from(routing.max_weight.max(1));
    let stable = planner
        .stable()
        .map_or(0, |stable| planner.replica_sets[stable].dependable());
    capacity::canary_has_pods_for(planner, canary, routing, weight)
        && i64::from(stable) >= stable_needed
}

/// The header and mirror routes that the steps up to the current one leave, in the order of `managedRoutes`.
/// They go with the update, and while the new version has no pods.
fn managed_routes(planner: &Planner<'_>, canary: &Canary, routing: &Routing) -> Vec<ManagedRoute> {
    if !may_get_traffic(planner) || planner.status.promote_full {
        return Vec::new();
    }
    let until = match facts::current_step(planner, canary) {
        None => canary.steps.len(),
        Some((index, _)) => usize::try_from(index).unwrap_or_default() + 1,
    };
    let mut routes: Vec<ManagedRoute> = Vec::new();
    for step in canary.steps.iter().take(until) {
        let Step::Route(step) = step else {
            continue;
        };
        routes.retain(|route| route.name() != step.name());
        if let RouteStep::Set(route) = step {
            routes.push(route.clone());
        }
    }
    let place = |route: &ManagedRoute| routing.managed.iter().position(|name| name == route.name());
    routes.sort_by_key(place);
    routes
}

/// A step of this pass changed a header or mirror route.
fn changes_managed_routes(planner: &Planner<'_>, canary: &Canary) -> bool {
    let index = |status: &crate::api::rollout::RolloutStatus| {
        usize::try_from(status.current_step_index.unwrap_or_default()).unwrap_or_default()
    };
    let (from, to) = (index(&planner.observed.status), index(&planner.status));
    let passed = canary.steps.iter().take(to).skip(from.min(to));
    passed
        .into_iter()
        .any(|step| matches!(step, Step::Route(_)))
}

/// Decides the routes and plans to write them. Called once, after the last round.
pub(super) fn route(planner: &mut Planner<'_>) {
    let Some(state) = planner.observed.traffic.clone() else {
        planner.status.canary.weights = None;
        return;
    };
    let Some(canary) = planner.observed.spec.canary() else {
        planner.status.canary.weights = None;
        return;
    };
    let Some(routing) = &canary.routing else {
        planner.status.canary.weights = None;
        return;
    };
    if facts::have_services_swapped(planner) {
        // The Services swap roles: their weights are read again as those of the other version.
        planner.wake_at(after(planner.now, READ_AGAIN));
        return;
    }
    let goal = RouteGoal {
        weight: desired(planner, canary, routing),
        extra: experiment::weights(planner, canary),
        managed: managed_routes(planner, canary, routing),
        hashes: hashes(planner),
    };
    record(planner, canary, routing, &goal);
    announce_findings(planner, goal.weight);
    let names: Vec<&str> = goal.managed.iter().map(ManagedRoute::name).collect();
    let is_same_routes = state.managed == names && !changes_managed_routes(planner, canary);
    let is_same_hashes = state.hashes.as_ref().is_none_or(|now| *now == goal.hashes);
    let is_same_extra = state.extra == goal.extra_by_service();
    if state.weight == Some(goal.weight) && is_same_extra && is_same_routes && is_same_hashes {
        if state.in_effect == Some(false) {
            planner.note("waiting until the route is in effect");
            planner.wake_at(after(planner.now, weight::VERIFY_AGAIN));
        }
        return;
    }
    if state.weight != Some(goal.weight) {
        let old = state
            .weight
            .map_or_else(|| "unknown".to_owned(), |old| old.to_string());
        let text = format!("Traffic weight updated from {old} to {}", goal.weight);
        planner.note(text.clone());
        planner
            .events
            .push(EventNote::normal(event_order::WEIGHT_UPDATED, text));
    }
    planner.route = Some(goal);
    // The next pass reads what was written before anything follows from it.
    planner.wake_at(after(planner.now, READ_AGAIN));
}

/// The versions that subsets of a router should select: those that have pods, else what they select now.
fn hashes(planner: &Planner<'_>) -> RouteHashes {
    let now = planner.observed.traffic.as_ref();
    let now = now
        .and_then(|state| state.hashes.clone())
        .unwrap_or_default();
    let ready = |index: Option<usize>, now: Option<String>| {
        let set = index.map(|index| &planner.replica_sets[index]);
        let set = set.filter(|set| set.dependable() > 0 || now.is_none());
        set.map(|set| set.view.hash.clone()).or(now)
    };
    RouteHashes {
        canary: ready(Some(planner.new), now.canary),
        stable: ready(planner.stable(), now.stable),
    }
}

/// Writes the weights into the status, as clients read them.
fn record(planner: &mut Planner<'_>, canary: &Canary, routing: &Routing, goal: &RouteGoal) {
    let weight = goal.weight;
    let newest = planner.newest_hash();
    let observed = planner.observed.traffic.as_ref();
    let side = |weight: i32, service: &str, hash: &str| json!({ "weight": weight, "serviceName": service, "podTemplateHash": hash });
    let service = |name: &Option<String>| name.clone().unwrap_or_default();
    let rest = routing.max_weight - weight - goal.extra_weight();
    let stable = planner.status.stable_rs.clone();
    let mut weights = json!({
        "canary": side(weight, &service(&canary.canary_service), &newest),
        "stable": side(rest, &service(&canary.stable_service), &stable),
    });
    if !goal.extra.is_empty() {
        let extra = goal.extra.iter();
        weights["additional"] = extra
            .map(|extra| side(extra.weight, &extra.service, &extra.hash))
            .collect();
    }
    if let Some(verified) = observed.and_then(|state| state.in_effect) {
        weights["verified"] = (verified && is_written(planner, weight)).into();
    }
    planner.status.canary.weights = Some(weights);
}

/// The load balancers for the status, and what their verification found as Events: as long as it waits, and once
/// when it is over.
fn announce_findings(planner: &mut Planner<'_>, weight: i32) {
    let Some(state) = &planner.observed.traffic else {
        return;
    };
    if let Some(last) = state.balancers.last() {
        planner.status.alb = Some(last.clone());
        planner.status.albs = Some(state.balancers.clone().into());
    }
    let before = planner.observed.status.canary.weights.as_ref();
    let was_verified = before.is_some_and(|weights| weights["verified"] == true);
    let is_news = state.in_effect == Some(false) || !was_verified;
    if is_news && is_written(planner, weight) {
        planner.events.extend(state.findings.iter().cloned());
    }
}

fn is_written(planner: &Planner<'_>, weight: i32) -> bool {
    planner
        .observed
        .traffic
        .as_ref()
        .and_then(|state| state.weight)
        == Some(weight)
}

/// True when the routes say `weight`, and nobody says that it is not in effect.
pub(super) fn is_settled(planner: &Planner<'_>, weight: i32) -> bool {
    let state = planner.observed.traffic.as_ref();
    state.is_some_and(|state| state.weight == Some(weight) && state.in_effect != Some(false))
}
