//! The canary and the stable Service.

use crate::rollout::{
    observed::{Canary, PING, PONG},
    plan::{capacity, facts, planner::Planner, service},
};

/// Points the Services of the strategy at their versions once these have pods to serve with.
pub(super) fn point(planner: &mut Planner<'_>, canary: &Canary) {
    if canary.ping_pong.is_none() {
        planner.status.canary.stable_ping_pong = None;
    } else {
        let known = &mut planner.status.canary.stable_ping_pong;
        known.get_or_insert_with(|| PING.to_owned());
        if facts::have_services_swapped(planner) {
            // The next pass knows them by their new roles.
            return;
        }
    }
    let stable = planner.stable();
    if let (Some(name), Some(stable)) = (&canary.stable_service, stable) {
        service::point(planner, name, stable);
    }
    // After an abort the new version has no pods, so its Service leads to the stable ones.
    let shown = stable.filter(|_| planner.aborted()).unwrap_or(planner.new);
    if let Some(name) = &canary.canary_service
        && can_take_over(planner, canary, shown)
    {
        service::point(planner, name, shown);
    }
}

/// The Service stays with its version until the other one has pods for the traffic that arrives: with
/// `dynamicStableScale` the weight may not fall to 0 at once, and while routes are not in effect all may arrive.
fn can_take_over(planner: &Planner<'_>, canary: &Canary, index: usize) -> bool {
    let Some(routing) = &canary.routing else {
        return true;
    };
    let replicas = planner.observed.spec.replicas;
    if capacity::are_routes_behind(planner) {
        return planner.replica_sets[index].dependable() >= replicas;
    }
    if !canary.dynamic_stable {
        return true;
    }
    let weight = capacity::routed(planner);
    let needed = if Some(index) == planner.stable() {
        // It gets the traffic of both Services.
        replicas
    } else {
        capacity::pods_for(weight, replicas, routing.max_weight)
    };
    weight == 0 || planner.replica_sets[index].dependable() >= needed
}

/// With ping-pong the Service of the new version becomes the stable one.
pub(super) fn swap(planner: &mut Planner<'_>) {
    let stable = match planner.status.canary.stable_ping_pong.as_deref() {
        Some(PONG) => PING,
        _ => PONG,
    };
    planner.note(format!("the {stable} Service is the stable one now"));
    planner.status.canary.stable_ping_pong = Some(stable.to_owned());
}
