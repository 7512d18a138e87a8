//! The blue-green strategy, one round of it. A pause by a person holds back the Services and the step to
//! the switch; the number of pods follows the manifest all the same, because an autoscaler may change it.

use super::{
    analysis, facts,
    planner::{Planner, after, next_second},
    service, transitions, weight,
};
use crate::{analysis::build::RunType, api::rollout::PauseReason, rollout::observed::BlueGreen};

/// One round: preview, sizes, pause, switch, analysis, and what follows. The caller repeats it until
/// nothing changes.
pub(super) fn round(planner: &mut Planner<'_>, rules: &BlueGreen) {
    if planner.status.current_pod_hash.is_empty()
        || planner.status.current_pod_hash != planner.newest_hash()
    {
        transitions::reset(planner);
    }
    restore_active(planner, rules);
    let paused = planner.observed.spec.paused;
    if let (Some(preview), false) = (&rules.preview, paused) {
        let hash = planner.newest_hash();
        service::switch(planner, preview, &hash);
    }
    scale(planner, rules);
    let ready = is_saturated(planner) || is_preview_ready(planner, rules);
    analysis::blue_green(planner, rules, ready, &active_hash(planner, rules));
    if !paused {
        move_switch(planner, rules);
    }
    finish(planner, rules);
    shrink_older(planner, rules);
}

/// The hash that the active Service selects; empty when it selects none.
pub(super) fn active_hash(planner: &Planner<'_>, rules: &BlueGreen) -> String {
    planner
        .services
        .get(&rules.active)
        .and_then(|view| view.hash.clone())
        .unwrap_or_default()
}

/// No pause and no analysis: there is nothing to compare with, or the version was judged before.
fn is_fast(planner: &Planner<'_>, rules: &BlueGreen) -> bool {
    planner.stable().is_none()
        || active_hash(planner, rules) == planner.new_set().view.hash
        || facts::shortcut(planner).is_some()
        || planner.is_stable()
}

/// An active Service that lost its hash, because it was replaced or renamed or because the strategy
/// changed in mid-update, selects every pod. It gets the stable hash back; that is no promotion.
fn restore_active(planner: &mut Planner<'_>, rules: &BlueGreen) {
    let Some(stable) = planner.stable() else {
        return;
    };
    let lost = planner
        .services
        .get(&rules.active)
        .is_some_and(|view| view.hash.as_ref().is_none_or(String::is_empty));
    if lost && planner.replica_sets[stable].available() > 0 {
        planner.note("the active Service has lost its hash; it gets the stable one back");
        let hash = planner.status.stable_rs.clone();
        service::switch(planner, &rules.active, &hash);
    }
}

/// The newest set has all its pods, and all of them are available.
fn is_saturated(planner: &Planner<'_>) -> bool {
    let wanted = planner.observed.spec.replicas;
    let set = planner.new_set();
    !set.is_new()
        && set.is_sized(wanted)
        && set.view.replicas == wanted
        && set.desired == Some(wanted)
        && set.view.available == wanted
}

fn is_preview_ready(planner: &Planner<'_>, rules: &BlueGreen) -> bool {
    let set = planner.new_set();
    rules
        .preview_replicas
        .is_some_and(|wanted| !set.is_new() && set.is_sized(wanted) && set.available() >= wanted)
}

fn scale(planner: &mut Planner<'_>, rules: &BlueGreen) {
    let wanted = planner.observed.spec.replicas;
    let newest = planner.new;
    if let Some(stable) = planner.stable().filter(|stable| *stable != newest) {
        planner.scale(stable, wanted);
        planner.replica_sets[stable].deadline = None;
    }
    if planner.aborted() && !planner.is_stable() {
        return shrink_preview(planner, rules);
    }
    // Created paused, a Rollout waits with its first pods too.
    let first = planner.stable().is_none_or(|stable| stable == newest);
    let waits = first && planner.observed.spec.paused && planner.replica_sets[newest].replicas == 0;
    if !waits {
        let replicas = newest_replicas(planner, rules);
        planner.scale(newest, replicas);
    }
    let current = planner.new_set().view.hash == active_hash(planner, rules) || planner.is_stable();
    let expired = planner.replica_sets[newest]
        .deadline
        .is_some_and(|deadline| deadline <= planner.now);
    if current || expired || !facts::is_fast_rollback(planner) {
        // Until the switch the deadline of a rollback stays: it says that the version needs no new
        // judgement.
        planner.replica_sets[newest].deadline = None;
    }
}

fn newest_replicas(planner: &Planner<'_>, rules: &BlueGreen) -> i32 {
    let wanted = planner.observed.spec.replicas;
    let Some(preview) = rules.preview_replicas else {
        return wanted;
    };
    let active = active_hash(planner, rules);
    let newest = planner.newest_hash();
    if planner.by_hash(&active).is_none() || active == newest || is_fast(planner, rules) {
        return wanted;
    }
    let free = !planner.is_paused() && planner.status.blue_green.scale_up_preview_check_point;
    if free { wanted } else { preview }
}

/// After an abort the preview stays for a while, so that people can look at it.
fn shrink_preview(planner: &mut Planner<'_>, rules: &BlueGreen) {
    let newest = planner.new;
    let Some(delay) = rules.abort_delay else {
        return;
    };
    if planner.replica_sets[newest].replicas == 0
        || active_hash(planner, rules) == planner.newest_hash()
    {
        return;
    }
    let deadline = match planner.replica_sets[newest].deadline {
        Some(deadline) => deadline,
        None => next_second(after(planner.now, delay)),
    };
    if deadline <= planner.now {
        planner.note("the preview of the aborted update is scaled down");
        planner.scale(newest, 0);
    } else {
        planner.replica_sets[newest].deadline = Some(deadline);
        planner.wake_at(deadline);
    }
}

/// Progress of the switch of the active Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SwitchState {
    /// The update is aborted: the active Service selects the stable version.
    Aborted,
    /// Nothing is left to judge: it switches as soon as all pods are available.
    FastTrack,
    /// Pods or the pre-promotion analysis are not ready.
    Preparing,
    /// It waits for a person, or until `autoPromotionSeconds` have passed.
    Paused,
    /// It switches as soon as all pods are available.
    Approved,
}

fn switch_state(planner: &Planner<'_>, rules: &BlueGreen) -> SwitchState {
    if planner.aborted() {
        return SwitchState::Aborted;
    }
    if is_fast(planner, rules) {
        return SwitchState::FastTrack;
    }
    let judged = is_judged(planner, rules);
    let waits = !rules.auto_promotion || rules.auto_promotion_delay.is_some();
    let pausing = planner
        .pause_condition(&PauseReason::BlueGreenPause)
        .is_some();
    let ready = is_saturated(planner) || is_preview_ready(planner, rules);
    if waits && !planner.resumed {
        if pausing || (judged && ready) {
            SwitchState::Paused
        } else {
            SwitchState::Preparing
        }
    } else if judged {
        SwitchState::Approved
    } else {
        SwitchState::Preparing
    }
}

/// The pre-promotion analysis succeeded, or there is none.
fn is_judged(planner: &Planner<'_>, rules: &BlueGreen) -> bool {
    rules.pre_analysis.is_none() || analysis::succeeded(planner, RunType::PrePromotion)
}

/// Takes the next step of the switch.
fn move_switch(planner: &mut Planner<'_>, rules: &BlueGreen) {
    match switch_state(planner, rules) {
        SwitchState::Aborted => serve_stable(planner, rules),
        SwitchState::FastTrack => {
            planner.resumed = false;
            planner.remove_pause(&PauseReason::BlueGreenPause);
            serve_newest(planner, rules);
        }
        SwitchState::Preparing => {}
        SwitchState::Paused => {
            if is_pause_over(planner, rules) && is_judged(planner, rules) {
                promote_preview(planner, rules);
            }
        }
        SwitchState::Approved => promote_preview(planner, rules),
    }
}

/// After an abort the active Service selects the stable version.
fn serve_stable(planner: &mut Planner<'_>, rules: &BlueGreen) {
    let stable = planner.status.stable_rs.clone();
    // An older version has its pods; a first one that was aborted may have none yet.
    let serves = !planner.is_stable() || is_saturated(planner);
    if !stable.is_empty() && serves && active_hash(planner, rules) != stable {
        service::switch(planner, &rules.active, &stable);
    }
}

/// Begins the pause, or ends it when `autoPromotionSeconds` have passed. True when it is over.
fn is_pause_over(planner: &mut Planner<'_>, rules: &BlueGreen) -> bool {
    if planner
        .pause_condition(&PauseReason::BlueGreenPause)
        .is_none()
    {
        planner.add_pause(PauseReason::BlueGreenPause);
        return false;
    }
    let Some(delay) = rules.auto_promotion_delay else {
        return false;
    };
    if !planner.has_lasted(&PauseReason::BlueGreenPause, delay) {
        return false;
    }
    // As a person would promote: the wait is over, the switch is still to come.
    planner.note("autoPromotionSeconds have passed");
    planner
        .status
        .pause_conditions
        .retain(|condition| condition.reason != PauseReason::BlueGreenPause);
    planner.resumed = true;
    true
}

/// The preview gets its full size, and then the traffic.
fn promote_preview(planner: &mut Planner<'_>, rules: &BlueGreen) {
    if !planner.is_halted() {
        check_point(planner, rules);
    }
    serve_newest(planner, rules);
}

/// The active Service selects the newest version once all its pods are available.
fn serve_newest(planner: &mut Planner<'_>, rules: &BlueGreen) {
    if !is_saturated(planner) || planner.is_halted() {
        return;
    }
    let hash = planner.newest_hash();
    service::switch(planner, &rules.active, &hash);
    if planner.resumed {
        planner.resumed = false;
        planner.status.controller_pause = false;
    }
}

/// The preview was tested in its small size; now it gets its full one.
fn check_point(planner: &mut Planner<'_>, rules: &BlueGreen) {
    if rules.preview_replicas.is_some() && is_preview_ready(planner, rules) {
        planner.status.blue_green.scale_up_preview_check_point = true;
    }
}

fn finish(planner: &mut Planner<'_>, rules: &BlueGreen) {
    if planner.status.promote_full || facts::is_within_window(planner) {
        planner.clear_pauses();
        planner.clear_abort();
    }
    if planner.aborted() {
        planner.clear_pauses();
    }
    let selected = |planner: &Planner<'_>, name: &str| {
        planner
            .services
            .get(name)
            .and_then(|view| view.hash.clone())
            .unwrap_or_default()
    };
    planner.status.blue_green.active_selector = selected(planner, &rules.active);
    if let Some(preview) = &rules.preview {
        planner.status.blue_green.preview_selector = selected(planner, preview);
    }
    if let Some(reason) = may_promote(planner, rules) {
        transitions::promote(planner, &reason);
        planner.status.blue_green.scale_up_preview_check_point = false;
    }
}

fn may_promote(planner: &mut Planner<'_>, rules: &BlueGreen) -> Option<String> {
    if planner.stable().is_none() {
        return Some(transitions::INITIAL.to_owned());
    }
    if planner.status.blue_green.active_selector != planner.newest_hash() || planner.is_halted() {
        return None;
    }
    if !planner.is_stable() && !has_targets(planner) {
        return None;
    }
    if let Some(reason) = facts::shortcut(planner) {
        return Some(reason.to_owned());
    }
    if planner.aborted() {
        return None;
    }
    let needs_verdict = rules.post_analysis.is_some() && !planner.is_stable();
    if needs_verdict && !analysis::succeeded(planner, RunType::PostPromotion) {
        return None;
    }
    Some("Completed blue-green update".to_owned())
}

/// The load balancers of AWS know the pods behind the active Service.
fn has_targets(planner: &mut Planner<'_>) -> bool {
    planner.announce_targets();
    let registered = facts::are_targets_registered(planner);
    if !registered {
        planner.note("waiting until AWS knows the pods of the active Service");
        planner.wake_at(after(planner.now, weight::VERIFY_AGAIN));
    }
    registered
}

/// Old versions wait for a while after the switch, so that one can go back at once.
fn shrink_older(planner: &mut Planner<'_>, rules: &BlueGreen) {
    let undecided = planner
        .pause_condition(&PauseReason::InconclusiveAnalysisRun)
        .is_some();
    // The old version may be needed again at any moment.
    let verifying = rules.post_analysis.is_some() && !planner.is_stable();
    if undecided || verifying && !rules.scale_down_delay_set {
        return;
    }
    let mut older: Vec<usize> = planner
        .older()
        .filter(|index| planner.replica_sets[*index].replicas > 0)
        .collect();
    older.sort_by_key(|index| std::cmp::Reverse(planner.replica_sets[*index].revision));
    let limit = rules.scale_down_limit.unwrap_or(i32::MAX);
    let mut waiting = 0;
    for index in older {
        if is_referenced(planner, index) {
            continue;
        }
        let deadline = planner.replica_sets[index]
            .deadline
            .unwrap_or_else(|| next_second(after(planner.now, rules.scale_down_delay)));
        waiting += 1;
        if waiting > limit || deadline <= planner.now {
            planner.scale(index, 0);
        } else {
            planner.replica_sets[index].deadline = Some(deadline);
            planner.wake_at(deadline);
        }
    }
}

fn is_referenced(planner: &Planner<'_>, index: usize) -> bool {
    let hash = &planner.replica_sets[index].view.hash;
    let status = &planner.status;
    [
        &status.blue_green.active_selector,
        &status.blue_green.preview_selector,
        &status.stable_rs,
    ]
    .contains(&hash)
        || planner
            .services
            .values()
            .any(|view| view.hash.as_ref() == Some(hash))
}
