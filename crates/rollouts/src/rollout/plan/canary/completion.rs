//! When a step is complete, and when the new version becomes the stable one.

use jiff::SignedDuration;

use super::scaling_input;
use crate::{
    api::rollout::PauseReason,
    rollout::{
        observed::{Canary, Step},
        plan::{
            analysis, capacity, experiment, facts, flags, planner::Planner, replicas, traffic,
            transitions, weight,
        },
    },
};

pub(super) fn is_complete(planner: &mut Planner<'_>, canary: &Canary, step: &Step) -> bool {
    if planner.is_halted() || planner.status.stable_rs.is_empty() {
        return false;
    }
    match step {
        Step::SetWeight(_) => is_balanced(planner, canary),
        Step::Pause(duration) => {
            planner.resumed
                || *duration == Some(SignedDuration::ZERO)
                || duration.is_some_and(|duration| {
                    planner.has_lasted(&PauseReason::CanaryPauseStep, duration)
                })
        }
        Step::Analysis(_) => analysis::step_succeeded(planner),
        Step::SetCanaryScale(_) => canary
            .routing
            .as_ref()
            .is_none_or(|routing| capacity::are_pods_ready(planner, canary, routing)),
        // The routes are written in this pass, or as soon as the new version has pods.
        Step::Route(_) => true,
        Step::Experiment(_) => experiment::succeeded(planner),
        Step::FeatureFlag(step) => flags::is_set(planner, canary, step),
    }
}

/// The wanted pods of both versions are there and older versions are gone.
fn is_balanced(planner: &Planner<'_>, canary: &Canary) -> bool {
    if let Some(routing) = &canary.routing {
        return capacity::are_pods_ready(planner, canary, routing)
            && traffic::is_settled(planner, weight::current(planner, canary));
    }
    let input = scaling_input(planner, canary);
    let goal = replicas::bounded(&input);
    let new = planner.new_set();
    if !new.is_sized(goal.canary) || !weight::is_reached(canary.threshold, goal.canary, new.pods())
    {
        return false;
    }
    let stable = planner.stable().filter(|stable| *stable != planner.new);
    if let Some(stable) = stable {
        let set = &planner.replica_sets[stable];
        if !set.is_sized(goal.stable) || set.view.current != goal.stable {
            return false;
        }
    }
    planner
        .older()
        .all(|index| planner.replica_sets[index].view.available == 0)
}

pub(super) fn may_promote(planner: &Planner<'_>, canary: &Canary) -> Option<String> {
    if planner.stable().is_none() {
        return Some(transitions::INITIAL.to_owned());
    }
    if planner.aborted() || planner.is_halted() {
        return None;
    }
    let replicas = planner.observed.spec.replicas;
    let new = planner.new_set();
    if new.is_new() || !new.is_sized(replicas) || new.available() != replicas {
        return None;
    }
    if planner.status.promote_full {
        return Some("Full promotion requested".to_owned());
    }
    if facts::is_within_window(planner) {
        return Some("Rollback within window".to_owned());
    }
    let done = facts::current_step(planner, canary).is_none() && has_all_traffic(planner, canary);
    done.then(|| format!("Completed all {} canary steps", canary.steps.len()))
}

/// With traffic routing and steps, all traffic reaches the new version before it becomes the stable one.
fn has_all_traffic(planner: &Planner<'_>, canary: &Canary) -> bool {
    let routing = canary.routing.as_ref().filter(|_| !canary.steps.is_empty());
    routing.is_none_or(|routing| {
        planner.is_stable() || traffic::is_settled(planner, routing.max_weight)
    })
}
