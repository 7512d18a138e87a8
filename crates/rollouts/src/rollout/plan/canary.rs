//! The canary strategy without traffic routing, one round of it.

use jiff::SignedDuration;
use reconcile_core::reconcile::EventNote;

use super::{
    analysis, facts, replicas,
    replicas::{FULL_WEIGHT, Pods, Situation, Split},
    transitions,
    work::Work,
};
use crate::{
    api::rollout::PauseReason,
    rollout::world::{Canary, Step, Threshold},
};

/// One round: Services, analysis, replicas, pause, and what follows for the step. The caller repeats it
/// until nothing changes.
pub(super) fn round(work: &mut Work<'_>, canary: &Canary) {
    if is_changed(work, canary) {
        restart(work, canary);
    }
    services(work, canary);
    analysis::canary(work, canary);
    if work.is_halted() {
        work.note("halted");
        if is_resized(work) {
            scale(work, canary);
            keep_resizing(work, canary);
        }
    } else {
        scale(work, canary);
        pause(work, canary);
    }
    advance(work, canary);
}

/// Somebody, an autoscaler perhaps, changed `spec.replicas` since the pods were last counted out. That is
/// followed although the update is halted; a version that has no pods yet gets none.
fn is_resized(work: &Work<'_>) -> bool {
    let wanted = work.seen.spec.replicas;
    [Some(work.new), work.stable()]
        .into_iter()
        .flatten()
        .map(|index| &work.sets[index])
        .any(|set| set.replicas > 0 && set.desired.is_some_and(|desired| desired != wanted))
}

/// Remembers that the new size is not reached yet, where the bounds did not allow all of it at once: a
/// ReplicaSet is annotated with the size that it was counted out for.
fn keep_resizing(work: &mut Work<'_>, canary: &Canary) {
    let situation = situation(work, canary);
    let goal = replicas::goal(&situation);
    let stable = situation.stable.map_or(0, |pods| pods.wanted);
    if (situation.canary.wanted, stable) == (goal.canary, goal.stable) {
        return;
    }
    for index in [Some(work.new), work.stable()].into_iter().flatten() {
        let set = &mut work.sets[index];
        set.desired = set.view.desired;
    }
}

fn step_count(canary: &Canary) -> i32 {
    i32::try_from(canary.steps.len()).unwrap_or(i32::MAX)
}

fn all_done(canary: &Canary) -> Option<i32> {
    (!canary.steps.is_empty()).then(|| step_count(canary))
}

/// A new template or other steps: the update begins anew.
fn is_changed(work: &Work<'_>, canary: &Canary) -> bool {
    let hash = work.newest_hash();
    let template = !work.status.current_pod_hash.is_empty() && work.status.current_pod_hash != hash;
    work.status.current_pod_hash.is_empty()
        || template
        || work.status.current_step_hash != canary.step_hash
}

fn restart(work: &mut Work<'_>, canary: &Canary) {
    let first = work.status.current_pod_hash.is_empty();
    transitions::reset(work);
    work.status.current_step_hash.clone_from(&canary.step_hash);
    work.status.current_step_index = (!canary.steps.is_empty()).then_some(0);
    let skip = if work.stable().is_none() {
        // Nothing is stable yet, so there is nothing to compare with.
        work.note("first version: no steps");
        work.status.current_step_index = all_done(canary);
        return;
    } else if work.is_stable() {
        "Rollback to stable ReplicaSets"
    } else if facts::is_within_window(work) {
        "Rollback to active ReplicaSets within RollbackWindow"
    } else {
        work.note("the update starts at its first step");
        return;
    };
    work.status.current_step_index = all_done(canary);
    if !canary.steps.is_empty() && !first {
        work.events.push(EventNote::normal("SkipSteps", skip));
    }
    work.note(skip);
}

/// The share of the new version in percent.
pub(super) fn weight(work: &Work<'_>, canary: &Canary) -> i32 {
    if work.status.promote_full || work.is_stable() || work.stable().is_none() {
        return FULL_WEIGHT;
    }
    let not_begun = work.is_halted() && work.new_set().replicas == 0;
    if work.aborted() || not_begun {
        return 0;
    }
    let Some((index, _)) = facts::current_step(work, canary) else {
        return FULL_WEIGHT;
    };
    let until = usize::try_from(index).unwrap_or_default();
    let mut weights = canary.steps.iter().take(until + 1).rev();
    let last = weights.find_map(|step| match step {
        Step::SetWeight(weight) => Some(*weight),
        _ => None,
    });
    last.unwrap_or_default()
}

fn situation(work: &Work<'_>, canary: &Canary) -> Situation {
    let stable = work.stable().filter(|stable| *stable != work.new);
    Situation {
        replicas: work.seen.spec.replicas,
        weight: weight(work, canary),
        surge: canary.surge,
        unavailable: canary.unavailable,
        canary: work.new_set().pods(),
        stable: stable.map(|stable| work.sets[stable].pods()),
        older: work.older().map(|index| work.sets[index].replicas).sum(),
        leaving: work
            .sets
            .iter()
            .map(|set| (set.view.replicas - set.replicas).max(0))
            .sum(),
    }
}

fn scale(work: &mut Work<'_>, canary: &Canary) {
    let situation = situation(work, canary);
    let Split {
        canary: new,
        stable: old,
    } = replicas::bounded(&situation);
    let stable = work.stable().filter(|stable| *stable != work.new);
    if new != work.new_set().replicas || old != situation.stable.map_or(0, |pods| pods.wanted) {
        work.note(format!(
            "weight {}: {new} new and {old} stable pods",
            situation.weight
        ));
    }
    if let Some(stable) = stable {
        work.scale(stable, old);
        work.sets[stable].deadline = None;
    }
    let newest = work.new;
    work.scale(newest, new);
    work.sets[newest].deadline = None;
    shrink_older(work, canary);
}

/// Older versions go first of all: their unhealthy pods at once, the others as availability allows, the
/// newest revision first.
fn shrink_older(work: &mut Work<'_>, canary: &Canary) {
    let mut older: Vec<usize> = work
        .older()
        .filter(|index| work.sets[*index].replicas > 0)
        .collect();
    if older.is_empty() {
        return;
    }
    for index in &older {
        let Pods { wanted, available } = work.sets[*index].pods();
        if available < wanted {
            work.scale(*index, available);
        }
    }
    let available: i32 = work.sets.iter().map(|set| set.pods().steady()).sum();
    let mut spare = available - (work.seen.spec.replicas - canary.unavailable);
    older.sort_by_key(|index| std::cmp::Reverse(work.sets[*index].revision));
    for index in older {
        let have = work.sets[index].replicas;
        let step = have.min(spare.max(0));
        if step > 0 {
            work.scale(index, have - step);
            spare -= step;
        }
    }
}

fn pause(work: &mut Work<'_>, canary: &Canary) {
    if work.aborted() || work.is_stable() {
        return;
    }
    let Some((_, Step::Pause(duration))) = facts::current_step(work, canary) else {
        return;
    };
    if *duration == Some(SignedDuration::ZERO) {
        return;
    }
    if work
        .pause_condition(&PauseReason::CanaryPauseStep)
        .is_none()
        && !work.resumed
    {
        work.add_pause(PauseReason::CanaryPauseStep);
    }
}

/// What the state reached means for the step.
fn advance(work: &mut Work<'_>, canary: &Canary) {
    if work.status.promote_full || facts::is_within_window(work) {
        work.clear_pauses();
        work.clear_abort();
        work.status.current_step_index = all_done(canary);
    }
    if let Some(reason) = may_promote(work, canary) {
        if !work.is_stable() {
            work.status.current_step_index = all_done(canary);
        }
        transitions::promote(work, &reason);
    } else if work.aborted() {
        work.clear_pauses();
        if !canary.steps.is_empty() {
            work.status.current_step_index = Some(if work.is_stable() {
                step_count(canary)
            } else {
                0
            });
        }
    } else if let Some((index, step)) = facts::current_step(work, canary)
        && is_complete(work, canary, step)
    {
        let (number, total) = (index + 1, step_count(canary));
        work.status.current_step_index = Some(number);
        work.status.canary.current_step_analysis_run_status = None;
        work.remove_pause(&PauseReason::CanaryPauseStep);
        work.resumed = false;
        let text = format!("Rollout step {number}/{total} completed ({step})");
        work.note(text.clone());
        work.events
            .push(EventNote::normal("RolloutStepCompleted", text));
    }
    // Whatever a resumption was about has been acted on in this round.
    if work.status.pause_conditions.is_empty() {
        work.status.controller_pause = false;
        work.resumed = false;
    }
}

fn may_promote(work: &Work<'_>, canary: &Canary) -> Option<String> {
    if work.stable().is_none() {
        return Some(transitions::INITIAL.to_owned());
    }
    if work.aborted() || work.is_halted() {
        return None;
    }
    let replicas = work.seen.spec.replicas;
    let pods = work.new_set().pods();
    if work.new_set().is_new() || pods.wanted != replicas || pods.available != replicas {
        return None;
    }
    if work.status.promote_full {
        return Some("Full promotion requested".to_owned());
    }
    if facts::is_within_window(work) {
        return Some("Rollback within window".to_owned());
    }
    let done = facts::current_step(work, canary).is_none();
    done.then(|| format!("Completed all {} canary steps", canary.steps.len()))
}

fn is_complete(work: &mut Work<'_>, canary: &Canary, step: &Step) -> bool {
    if work.is_halted() || work.status.stable_rs.is_empty() {
        return false;
    }
    match step {
        Step::SetWeight(_) => is_balanced(work, canary),
        Step::Pause(duration) => {
            work.resumed
                || *duration == Some(SignedDuration::ZERO)
                || duration.is_some_and(|duration| {
                    work.has_lasted(&PauseReason::CanaryPauseStep, duration)
                })
        }
        Step::Analysis(_) => analysis::step_succeeded(work),
    }
}

/// The wanted pods of both versions are there and older versions are gone.
fn is_balanced(work: &Work<'_>, canary: &Canary) -> bool {
    let situation = situation(work, canary);
    let goal = replicas::bounded(&situation);
    let new = work.new_set();
    if new.replicas != goal.canary || !is_reached(canary.threshold, goal.canary, new.pods()) {
        return false;
    }
    let stable = work.stable().filter(|stable| *stable != work.new);
    if let Some(stable) = stable {
        let set = &work.sets[stable];
        if set.replicas != goal.stable || set.view.current != goal.stable {
            return false;
        }
    }
    work.older()
        .all(|index| work.sets[index].view.available == 0)
}

fn is_reached(threshold: Threshold, wanted: i32, pods: Pods) -> bool {
    match threshold {
        Threshold::All => pods.available == wanted,
        Threshold::Percent(percent) => {
            i64::from(pods.available) * 100 >= i64::from(wanted) * i64::from(percent)
        }
        Threshold::Pods(number) => pods.available >= number.min(wanted),
    }
}

/// Points the Services of the strategy at their versions once these have pods to serve with.
fn services(work: &mut Work<'_>, canary: &Canary) {
    let stable = work.stable();
    if let (Some(name), Some(stable)) = (&canary.stable_service, stable) {
        super::service::point(work, name, stable);
    }
    // After an abort the new version has no pods, so its Service leads to the stable ones.
    let shown = stable.filter(|_| work.aborted()).unwrap_or(work.new);
    if let Some(name) = &canary.canary_service {
        super::service::point(work, name, shown);
    }
}
