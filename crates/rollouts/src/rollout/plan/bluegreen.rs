//! The blue-green strategy, one round of it. A pause by a person holds back the Services and the step to
//! the switch; the number of pods follows the manifest all the same, because an autoscaler may change it.

use super::{
    analysis, facts, service, transitions,
    work::{Work, after},
};
use crate::{analysis::build::RunType, api::rollout::PauseReason, rollout::world::BlueGreen};

/// One round: preview, sizes, pause, switch, analysis, and what follows. The caller repeats it until
/// nothing changes.
pub(super) fn round(work: &mut Work<'_>, rules: &BlueGreen) {
    if work.status.current_pod_hash.is_empty() || work.status.current_pod_hash != work.newest_hash()
    {
        transitions::reset(work);
    }
    restore_active(work, rules);
    let paused = work.seen.spec.paused;
    if let (Some(preview), false) = (&rules.preview, paused) {
        let hash = work.newest_hash();
        service::switch(work, preview, &hash);
    }
    let fast = is_fast(work, rules);
    scale(work, rules);
    let saturated = is_saturated(work);
    let ready = saturated || is_preview_ready(work, rules);
    analysis::blue_green(work, rules, ready, &active_hash(work, rules));
    if !paused {
        pause(work, rules, fast, ready);
        switch_active(work, rules, fast, saturated);
    }
    finish(work, rules);
    shrink_older(work, rules);
}

/// The hash that the active Service selects; empty when it selects none.
pub(super) fn active_hash(work: &Work<'_>, rules: &BlueGreen) -> String {
    work.services
        .get(&rules.active)
        .and_then(|view| view.hash.clone())
        .unwrap_or_default()
}

/// No pause and no analysis: there is nothing to compare with, or the version was judged before.
fn is_fast(work: &Work<'_>, rules: &BlueGreen) -> bool {
    work.stable().is_none()
        || active_hash(work, rules) == work.new_set().view.hash
        || facts::shortcut(work).is_some()
        || work.is_stable()
}

/// An active Service that lost its hash, because it was replaced or renamed or because the strategy
/// changed in mid-update, selects every pod. It gets the stable hash back; that is no promotion.
fn restore_active(work: &mut Work<'_>, rules: &BlueGreen) {
    let Some(stable) = work.stable() else {
        return;
    };
    let lost = work
        .services
        .get(&rules.active)
        .is_some_and(|view| view.hash.as_ref().is_none_or(String::is_empty));
    if lost && work.sets[stable].view.available > 0 {
        work.note("the active Service has lost its hash; it gets the stable one back");
        let hash = work.status.stable_rs.clone();
        service::switch(work, &rules.active, &hash);
    }
}

/// The newest set has all its pods, and all of them are available.
fn is_saturated(work: &Work<'_>) -> bool {
    let wanted = work.seen.spec.replicas;
    let set = work.new_set();
    !set.is_new()
        && set.replicas == wanted
        && set.view.replicas == wanted
        && set.desired == Some(wanted)
        && set.view.available == wanted
}

fn is_preview_ready(work: &Work<'_>, rules: &BlueGreen) -> bool {
    let set = work.new_set();
    rules.preview_replicas.is_some_and(|wanted| {
        !set.is_new() && set.replicas == wanted && set.view.available >= wanted
    })
}

fn scale(work: &mut Work<'_>, rules: &BlueGreen) {
    let wanted = work.seen.spec.replicas;
    let newest = work.new;
    if let Some(stable) = work.stable().filter(|stable| *stable != newest) {
        work.scale(stable, wanted);
        work.sets[stable].deadline = None;
    }
    if work.aborted() && !work.is_stable() {
        return shrink_preview(work, rules);
    }
    // Created paused, a Rollout waits with its first pods too.
    let first = work.stable().is_none_or(|stable| stable == newest);
    let waits = first && work.seen.spec.paused && work.sets[newest].replicas == 0;
    if !waits {
        let replicas = newest_replicas(work, rules);
        work.scale(newest, replicas);
    }
    let current = work.new_set().view.hash == active_hash(work, rules) || work.is_stable();
    let expired = work.sets[newest]
        .deadline
        .is_some_and(|deadline| deadline <= work.now);
    if current || expired || !facts::is_fast_rollback(work) {
        // Until the switch the deadline of a rollback stays: it says that the version needs no new
        // judgement.
        work.sets[newest].deadline = None;
    }
}

fn newest_replicas(work: &Work<'_>, rules: &BlueGreen) -> i32 {
    let wanted = work.seen.spec.replicas;
    let Some(preview) = rules.preview_replicas else {
        return wanted;
    };
    let active = active_hash(work, rules);
    let newest = work.newest_hash();
    if work.by_hash(&active).is_none() || active == newest || is_fast(work, rules) {
        return wanted;
    }
    let free = !work.is_paused() && work.status.blue_green.scale_up_preview_check_point;
    if free { wanted } else { preview }
}

/// After an abort the preview stays for a while, so that people can look at it.
fn shrink_preview(work: &mut Work<'_>, rules: &BlueGreen) {
    let newest = work.new;
    let Some(delay) = rules.abort_delay else {
        return;
    };
    if work.sets[newest].replicas == 0 || active_hash(work, rules) == work.newest_hash() {
        return;
    }
    let deadline = match work.sets[newest].deadline {
        Some(deadline) => deadline,
        None => super::work::next_second(after(work.now, delay)),
    };
    if deadline <= work.now {
        work.note("the preview of the aborted update is scaled down");
        work.scale(newest, 0);
    } else {
        work.sets[newest].deadline = Some(deadline);
        work.wake_at(deadline);
    }
}

fn pause(work: &mut Work<'_>, rules: &BlueGreen, fast: bool, ready: bool) {
    if work.aborted() {
        return;
    }
    if fast {
        work.resumed = false;
        return work.remove_pause(&PauseReason::BlueGreenPause);
    }
    let needed = !rules.auto_promotion || rules.auto_promotion_delay.is_some();
    let judged = rules.pre_analysis.is_none() || analysis::succeeded(work, RunType::PrePromotion);
    let paused = work.pause_condition(&PauseReason::BlueGreenPause).is_some();
    if needed && ready && judged && !paused && !work.resumed {
        work.add_pause(PauseReason::BlueGreenPause);
    }
    if paused
        && let Some(delay) = rules.auto_promotion_delay
        && work.has_lasted(&PauseReason::BlueGreenPause, delay)
    {
        // As a person would promote: the wait is over, the switch is still to come.
        work.note("autoPromotionSeconds have passed");
        work.status
            .pause_conditions
            .retain(|condition| condition.reason != PauseReason::BlueGreenPause);
        work.resumed = true;
    }
}

/// The pause is over, or there never was one to make.
fn pause_is_over(work: &Work<'_>, rules: &BlueGreen) -> bool {
    let needed = !rules.auto_promotion || rules.auto_promotion_delay.is_some();
    !needed || work.resumed
}

fn switch_active(work: &mut Work<'_>, rules: &BlueGreen, fast: bool, saturated: bool) {
    if work.aborted() {
        let stable = work.status.stable_rs.clone();
        // An older version has its pods; a first one that was given up may have none yet.
        let serves = !work.is_stable() || saturated;
        if !stable.is_empty() && serves && active_hash(work, rules) != stable {
            service::switch(work, &rules.active, &stable);
        }
        return;
    }
    let judged = rules.pre_analysis.is_none() || analysis::succeeded(work, RunType::PrePromotion);
    if !work.is_halted() && !fast && judged && pause_is_over(work, rules) {
        check_point(work, rules);
    }
    if !saturated || work.is_halted() {
        return;
    }
    if fast || (judged && pause_is_over(work, rules)) {
        let hash = work.newest_hash();
        service::switch(work, &rules.active, &hash);
        if work.resumed {
            work.resumed = false;
            work.status.controller_pause = false;
        }
    }
}

/// The preview was looked at in its small size; now it gets its full one.
fn check_point(work: &mut Work<'_>, rules: &BlueGreen) {
    if rules.preview_replicas.is_some() && is_preview_ready(work, rules) {
        work.status.blue_green.scale_up_preview_check_point = true;
    }
}

fn finish(work: &mut Work<'_>, rules: &BlueGreen) {
    if work.status.promote_full || facts::is_within_window(work) {
        work.clear_pauses();
        work.clear_abort();
    }
    if work.aborted() {
        work.clear_pauses();
    }
    let selected = |work: &Work<'_>, name: &str| {
        work.services
            .get(name)
            .and_then(|view| view.hash.clone())
            .unwrap_or_default()
    };
    work.status.blue_green.active_selector = selected(work, &rules.active);
    if let Some(preview) = &rules.preview {
        work.status.blue_green.preview_selector = selected(work, preview);
    }
    if let Some(reason) = may_promote(work, rules) {
        transitions::promote(work, &reason);
        work.status.blue_green.scale_up_preview_check_point = false;
    }
}

fn may_promote(work: &mut Work<'_>, rules: &BlueGreen) -> Option<String> {
    if work.stable().is_none() {
        return Some(transitions::INITIAL.to_owned());
    }
    if work.status.blue_green.active_selector != work.newest_hash() || work.is_halted() {
        return None;
    }
    if let Some(reason) = facts::shortcut(work) {
        return Some(reason.to_owned());
    }
    if work.aborted() {
        return None;
    }
    let needs_verdict = rules.post_analysis.is_some() && !work.is_stable();
    if needs_verdict && !analysis::succeeded(work, RunType::PostPromotion) {
        return None;
    }
    Some("Completed blue-green update".to_owned())
}

/// Old versions wait for a while after the switch, so that one can go back at once.
fn shrink_older(work: &mut Work<'_>, rules: &BlueGreen) {
    let undecided = work
        .pause_condition(&PauseReason::InconclusiveAnalysisRun)
        .is_some();
    // The old version may be needed again at any moment.
    let verifying = rules.post_analysis.is_some() && !work.is_stable();
    if undecided || verifying && !rules.scale_down_delay_set {
        return;
    }
    let mut older: Vec<usize> = work
        .older()
        .filter(|index| work.sets[*index].replicas > 0)
        .collect();
    older.sort_by_key(|index| std::cmp::Reverse(work.sets[*index].revision));
    let limit = rules.scale_down_limit.unwrap_or(i32::MAX);
    let mut waiting = 0;
    for index in older {
        if is_referenced(work, index) {
            continue;
        }
        let deadline = work.sets[index]
            .deadline
            .unwrap_or_else(|| super::work::next_second(after(work.now, rules.scale_down_delay)));
        waiting += 1;
        if waiting > limit || deadline <= work.now {
            work.scale(index, 0);
        } else {
            work.sets[index].deadline = Some(deadline);
            work.wake_at(deadline);
        }
    }
}

fn is_referenced(work: &Work<'_>, index: usize) -> bool {
    let hash = &work.sets[index].view.hash;
    let status = &work.status;
    [
        &status.blue_green.active_selector,
        &status.blue_green.preview_selector,
        &status.stable_rs,
    ]
    .contains(&hash)
        || work
            .services
            .values()
            .any(|view| view.hash.as_ref() == Some(hash))
}
