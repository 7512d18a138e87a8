//! The canary strategy, one round of it. What traffic routing adds is in `traffic`.

mod completion;
mod services;

use jiff::SignedDuration;
use reconcile_core::event::EventNote;

use self::completion::{is_complete, may_promote};
use super::{
    analysis, capacity, experiment, facts, flags,
    planner::Planner,
    replicas::{self, Pods, ScalingInput, Split},
    transitions, weight,
};
use crate::{
    api::rollout::PauseReason,
    rollout::observed::{Canary, Step},
};

/// One round: Services, analysis, replicas, pause, and what follows for the step. The caller repeats it
/// until nothing changes.
pub(in crate::rollout::plan) fn round(planner: &mut Planner<'_>, canary: &Canary) {
    if is_changed(planner, canary) {
        restart(planner, canary);
    }
    services::point(planner, canary);
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

fn is_stale(planner: &Planner<'_>) -> bool {
    let mut sets = planner.replica_sets.iter();
    sets.any(|set| !set.deleted && set.view.stale)
}

fn scaling_input(planner: &Planner<'_>, canary: &Canary) -> ScalingInput {
    let stable = planner.stable().filter(|stable| *stable != planner.new);
    ScalingInput {
        replicas: planner.observed.spec.replicas,
        weight: weight::current(planner, canary),
        surge: canary.surge,
        unavailable: canary.unavailable,
        canary: planner.new_set().pods(),
        stable: stable.map(|stable| planner.replica_sets[stable].pods()),
        older: planner
            .older()
            .map(|index| planner.replica_sets[index].replicas)
            .sum(),
        stale: is_stale(planner),
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
    if older.is_empty() || is_stale(planner) {
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
            services::swap(planner);
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
