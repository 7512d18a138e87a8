//! The canary strategy, one round of it. What traffic routing adds is in `traffic`.

use jiff::SignedDuration;
use reconcile_core::event::EventNote;

use super::{
    analysis, capacity, experiment, facts, flags,
    planner::Planner,
    replicas,
    replicas::{FULL_WEIGHT, Pods, ScalingInput, Split},
    traffic, transitions,
};
use crate::{
    api::rollout::PauseReason,
    rollout::observed::{Canary, PING, PONG, Step, Threshold},
};

/// One round: Services, analysis, replicas, pause, and what follows for the step. The caller repeats it
/// until nothing changes.
pub(super) fn round(planner: &mut Planner<'_>, canary: &Canary) {
    if is_changed(planner, canary) {
        restart(planner, canary);
    }
    services(planner, canary);
    analysis::canary(planner, canary);
    experiment::canary(planner, canary);
    if planner.is_halted() {
        planner.note("halted");
        if is_resized(planner) {
            scale(planner, canary);
            keep_resizing(planner, canary);
        }
    } else {
        scale(planner, canary);
        pause(planner, canary);
    }
    advance(planner, canary);
    flags::canary(planner, canary);
}

/// Somebody, an autoscaler perhaps, changed `spec.replicas` since the pods were last counted out. That is
/// followed although the update is halted; a version that has no pods yet gets none.
fn is_resized(planner: &Planner<'_>) -> bool {
    let wanted = planner.observed.spec.replicas;
    [Some(planner.new), planner.stable()]
        .into_iter()
        .flatten()
        .map(|index| &planner.replica_sets[index])
        .any(|set| set.replicas > 0 && set.desired.is_some_and(|desired| desired != wanted))
}

/// Remembers that the new size is not reached yet, where the bounds did not allow all of it at once: a
/// ReplicaSet is annotated with the size that it was counted out for.
fn keep_resizing(planner: &mut Planner<'_>, canary: &Canary) {
    if canary.routing.is_some() {
        return;
    }
    let input = scaling_input(planner, canary);
    let goal = replicas::goal(&input);
    let stable = input.stable.map_or(0, |pods| pods.wanted);
    if (input.canary.wanted, stable) == (goal.canary, goal.stable) {
        return;
    }
    for index in [Some(planner.new), planner.stable()].into_iter().flatten() {
        let set = &mut planner.replica_sets[index];
        set.desired = set.view.desired;
    }
}

fn step_count(canary: &Canary) -> i32 {
    i32::try_from(canary.steps.len()).unwrap_or(i32::MAX)
}

fn all_done(canary: &Canary) -> Option<i32> {
    (!canary.steps.is_empty()).then(|| step_count(canary))
}

/// A new template or other steps restart the update.
fn is_changed(planner: &Planner<'_>, canary: &Canary) -> bool {
    let hash = planner.newest_hash();
    let template =
        !planner.status.current_pod_hash.is_empty() && planner.status.current_pod_hash != hash;
    planner.status.current_pod_hash.is_empty()
        || template
        || planner.status.current_step_hash != canary.step_hash
}

fn restart(planner: &mut Planner<'_>, canary: &Canary) {
    let first = planner.status.current_pod_hash.is_empty();
    transitions::reset(planner);
    planner
        .status
        .current_step_hash
        .clone_from(&canary.step_hash);
    planner.status.current_step_index = (!canary.steps.is_empty()).then_some(0);
    let skip = if planner.stable().is_none() {
        // Nothing is stable yet, so there is nothing to compare with.
        planner.note("first version: no steps");
        planner.status.current_step_index = all_done(canary);
        return;
    } else if planner.is_stable() {
        "Rollback to stable ReplicaSets"
    } else if facts::is_within_window(planner) {
        "Rollback to active ReplicaSets within RollbackWindow"
    } else {
        planner.note("the update starts at its first step");
        return;
    };
    planner.status.current_step_index = all_done(canary);
    if !canary.steps.is_empty() && !first {
        planner.events.push(EventNote::normal("SkipSteps", skip));
    }
    planner.note(skip);
}

/// The share of the new version, of the total that the routing knows or of 100.
pub(super) fn weight(planner: &Planner<'_>, canary: &Canary) -> i32 {
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
    traffic::weight_before(canary, until + 1).unwrap_or_default()
}

fn scaling_input(planner: &Planner<'_>, canary: &Canary) -> ScalingInput {
    let stable = planner.stable().filter(|stable| *stable != planner.new);
    ScalingInput {
        replicas: planner.observed.spec.replicas,
        weight: weight(planner, canary),
        surge: canary.surge,
        unavailable: canary.unavailable,
        canary: planner.new_set().pods(),
        stable: stable.map(|stable| planner.replica_sets[stable].pods()),
        older: planner
            .older()
            .map(|index| planner.replica_sets[index].replicas)
            .sum(),
        leaving: planner
            .replica_sets
            .iter()
            .map(|set| (set.view.replicas - set.replicas).max(0))
            .sum(),
    }
}

fn scale(planner: &mut Planner<'_>, canary: &Canary) {
    if let Some(routing) = &canary.routing {
        capacity::scale(planner, canary, routing);
        return capacity::shrink_older(planner, canary);
    }
    let input = scaling_input(planner, canary);
    let Split {
        canary: new,
        stable: old,
    } = replicas::bounded(&input);
    let stable = planner.stable().filter(|stable| *stable != planner.new);
    if new != planner.new_set().replicas || old != input.stable.map_or(0, |pods| pods.wanted) {
        planner.note(format!(
            "weight {}: {new} new and {old} stable pods",
            input.weight
        ));
    }
    if let Some(stable) = stable {
        planner.scale(stable, old);
        planner.replica_sets[stable].deadline = None;
    }
    let newest = planner.new;
    planner.scale(newest, new);
    planner.replica_sets[newest].deadline = None;
    shrink_older(planner, canary);
}

/// Older versions go first of all: their unhealthy pods at once, the others as availability allows, the
/// newest revision first.
fn shrink_older(planner: &mut Planner<'_>, canary: &Canary) {
    let mut older: Vec<usize> = planner
        .older()
        .filter(|index| planner.replica_sets[*index].replicas > 0)
        .collect();
    if older.is_empty() {
        return;
    }
    for index in &older {
        let Pods { wanted, available } = planner.replica_sets[*index].pods();
        if available < wanted {
            planner.scale(*index, available);
        }
    }
    let available: i32 = planner
        .replica_sets
        .iter()
        .map(|set| set.pods().steady())
        .sum();
    let mut spare = available - (planner.observed.spec.replicas - canary.unavailable);
    older.sort_by_key(|index| std::cmp::Reverse(planner.replica_sets[*index].revision));
    for index in older {
        let have = planner.replica_sets[index].replicas;
        let step = have.min(spare.max(0));
        if step > 0 {
            planner.scale(index, have - step);
            spare -= step;
        }
    }
}

fn pause(planner: &mut Planner<'_>, canary: &Canary) {
    if planner.aborted() || planner.is_stable() {
        return;
    }
    let Some((_, Step::Pause(duration))) = facts::current_step(planner, canary) else {
        return;
    };
    if *duration == Some(SignedDuration::ZERO) {
        return;
    }
    if planner
        .pause_condition(&PauseReason::CanaryPauseStep)
        .is_none()
        && !planner.resumed
    {
        planner.add_pause(PauseReason::CanaryPauseStep);
    }
}

/// What the state reached means for the step.
fn advance(planner: &mut Planner<'_>, canary: &Canary) {
    if planner.status.promote_full || facts::is_within_window(planner) {
        planner.clear_pauses();
        planner.clear_abort();
        planner.status.current_step_index = all_done(canary);
    }
    if let Some(reason) = may_promote(planner, canary) {
        if !planner.is_stable() {
            planner.status.current_step_index = all_done(canary);
        }
        capacity::keep_former_stable(planner, canary);
        let was_stable = planner.is_stable() || planner.stable().is_none();
        transitions::promote(planner, &reason);
        if canary.ping_pong.is_some() && !was_stable {
            swap_services(planner);
        }
    } else if planner.aborted() {
        planner.clear_pauses();
        if !canary.steps.is_empty() {
            planner.status.current_step_index = Some(if planner.is_stable() {
                step_count(canary)
            } else {
                0
            });
        }
    } else if let Some((index, step)) = facts::current_step(planner, canary)
        && is_complete(planner, canary, step)
    {
        let (number, total) = (index + 1, step_count(canary));
        planner.status.current_step_index = Some(number);
        planner.status.canary.current_step_analysis_run_status = None;
        planner.status.canary.current_experiment = None;
        planner.remove_pause(&PauseReason::CanaryPauseStep);
        planner.resumed = false;
        let text = format!("Rollout step {number}/{total} completed ({step})");
        planner.note(text.clone());
        planner
            .events
            .push(EventNote::normal("RolloutStepCompleted", text));
    }
    // Whatever a resumption was about has been acted on in this round.
    if planner.status.pause_conditions.is_empty() {
        planner.status.controller_pause = false;
        planner.resumed = false;
    }
}

fn may_promote(planner: &Planner<'_>, canary: &Canary) -> Option<String> {
    if planner.stable().is_none() {
        return Some(transitions::INITIAL.to_owned());
    }
    if planner.aborted() || planner.is_halted() {
        return None;
    }
    let replicas = planner.observed.spec.replicas;
    let pods = planner.new_set().pods();
    if planner.new_set().is_new() || pods.wanted != replicas || pods.available != replicas {
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

fn is_complete(planner: &mut Planner<'_>, canary: &Canary, step: &Step) -> bool {
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
            && traffic::is_settled(planner, weight(planner, canary));
    }
    let input = scaling_input(planner, canary);
    let goal = replicas::bounded(&input);
    let new = planner.new_set();
    if new.replicas != goal.canary || !is_reached(canary.threshold, goal.canary, new.pods()) {
        return false;
    }
    let stable = planner.stable().filter(|stable| *stable != planner.new);
    if let Some(stable) = stable {
        let set = &planner.replica_sets[stable];
        if set.replicas != goal.stable || set.view.current != goal.stable {
            return false;
        }
    }
    planner
        .older()
        .all(|index| planner.replica_sets[index].view.available == 0)
}

pub(super) fn is_reached(threshold: Threshold, wanted: i32, pods: Pods) -> bool {
    match threshold {
        Threshold::All => pods.available == wanted,
        Threshold::Percent(percent) => {
            i64::from(pods.available) * 100 >= i64::from(wanted) * i64::from(percent)
        }
        Threshold::Pods(number) => pods.available >= number.min(wanted),
    }
}

/// With ping-pong the Service of the new version becomes the stable one.
fn swap_services(planner: &mut Planner<'_>) {
    let stable = match planner.status.canary.stable_ping_pong.as_deref() {
        Some(PONG) => PING,
        _ => PONG,
    };
    planner.note(format!("the {stable} Service is the stable one now"));
    planner.status.canary.stable_ping_pong = Some(stable.to_owned());
}

/// Points the Services of the strategy at their versions once these have pods to serve with.
fn services(planner: &mut Planner<'_>, canary: &Canary) {
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
        super::service::point(planner, name, stable);
    }
    // After an abort the new version has no pods, so its Service leads to the stable ones.
    let shown = stable.filter(|_| planner.aborted()).unwrap_or(planner.new);
    if let Some(name) = &canary.canary_service
        && can_take_over(planner, canary, shown)
    {
        super::service::point(planner, name, shown);
    }
}

/// With `dynamicStableScale` the weight of the canary Service may not fall to 0 at once. The Service stays with
/// its version until the other one has pods for that weight.
fn can_take_over(planner: &Planner<'_>, canary: &Canary, index: usize) -> bool {
    let Some(routing) = canary.routing.as_ref().filter(|_| canary.dynamic_stable) else {
        return true;
    };
    let replicas = planner.observed.spec.replicas;
    let weight = capacity::routed(planner);
    let needed = if Some(index) == planner.stable() {
        // It gets the traffic of both Services.
        replicas
    } else {
        capacity::pods_for(weight, replicas, routing.max_weight)
    };
    weight == 0 || planner.replica_sets[index].view.available >= needed
}
