//! Brings the conditions of the status up to date.

use reconcile_core::{
    conditions::{Condition, ConditionStatus},
    event::EventNote,
};

use super::{
    conditions::{NOT_AVAILABLE, find, is_true, kind, put, reason, reason_of, remove, set},
    event_order, facts,
    planner::Planner,
    progress,
};
use crate::rollout::observed::CheckedStrategy;

/// Brings all conditions up to date. Must be called last: it compares the status as it was with the one
/// that is about to be written.
pub(super) fn update(planner: &mut Planner<'_>) {
    remove(&mut planner.status, kind::INVALID_SPEC);
    // The order of the Events: why an update ends, then that it is not complete, then pauses.
    let aborted = planner.aborted();
    if aborted {
        progress::update(planner);
    }
    completed(planner);
    healthy(planner);
    paused(planner);
    if !aborted {
        progress::update(planner);
    }
    available(planner);
    failure(planner);
    unsupported(planner);
}

/// The newest version is the stable one. A pause does not change that.
fn completed(planner: &mut Planner<'_>) {
    let now = planner.time().0;
    let was = is_true(&planner.status, kind::COMPLETED);
    let first = find(&planner.observed.status, kind::COMPLETED).is_none();
    let done = planner.is_stable();
    // A version whose pods are there already may begin and end its update in one pass.
    let was_stable = planner.observed.status.stable_rs == planner.newest_hash();
    if (was && !(done && was_stable)) || first {
        let (revision, hash) = (planner.new_set().revision, planner.newest_hash());
        planner.events.push(EventNote::normal(
            event_order::NOT_COMPLETED,
            format!("Rollout not completed, started update to revision {revision} ({hash})"),
        ));
    }
    let text = reason::COMPLETED.to_owned();
    set(
        &mut planner.status,
        Condition::new(kind::COMPLETED, done, reason::COMPLETED, text),
        now,
    );
}

fn healthy(planner: &mut Planner<'_>) {
    let now = planner.time().0;
    if !planner.is_paused() && facts::is_healthy(planner) {
        let text = "Rollout is healthy".to_owned();
        set(
            &mut planner.status,
            Condition::new(kind::HEALTHY, true, "RolloutHealthy", text),
            now,
        );
    } else if find(&planner.status, kind::HEALTHY).is_some() {
        let text = "Rollout is not healthy".to_owned();
        set(
            &mut planner.status,
            Condition::new(kind::HEALTHY, false, "RolloutHealthy", text),
            now,
        );
    }
}

fn paused(planner: &mut Planner<'_>) {
    let now = planner.time().0;
    let old = &planner.observed.status;
    let was_aborted = reason_of(old, kind::PROGRESSING) == reason::ABORTED;
    let was_paused = reason_of(old, kind::PROGRESSING) == reason::PAUSED
        || (is_true(old, kind::PAUSED) && planner.is_stable());
    let (pausing, controller_paused) = (planner.is_paused(), !old.pause_conditions.is_empty());
    if !planner.aborted() && was_aborted {
        let text = "Retrying Rollout after abort".to_owned();
        set(
            &mut planner.status,
            Condition::new(
                kind::PROGRESSING,
                ConditionStatus::Unknown,
                reason::RETRY,
                text,
            ),
            now,
        );
    } else if !planner.aborted() && pausing != was_paused {
        let (reason, text) = if pausing {
            (reason::PAUSED, "Rollout is paused")
        } else {
            (reason::RESUMED, "Rollout is resumed")
        };
        // A pause by `spec.paused` is the person's own doing and is not reported as an Event.
        let by_controller = !planner.status.pause_conditions.is_empty() || controller_paused;
        if by_controller || old.controller_pause {
            tell_pause(planner, reason, text);
        }
        // A complete Rollout that is paused is still complete.
        if !planner.is_stable() || reason_of(&planner.status, kind::PROGRESSING) == reason::PAUSED {
            set(
                &mut planner.status,
                Condition::new(
                    kind::PROGRESSING,
                    ConditionStatus::Unknown,
                    reason,
                    text.to_owned(),
                ),
                now,
            );
        }
    } else if is_another_pause(planner) {
        // One pause ended and the next began in the same pass.
        planner
            .events
            .push(EventNote::normal(reason::RESUMED, "Rollout is resumed"));
        tell_pause(planner, reason::PAUSED, "Rollout is paused");
    }
    let known = find(&planner.status, kind::PAUSED).is_some();
    if pausing || known {
        let text = "Rollout is paused".to_owned();
        set(
            &mut planner.status,
            Condition::new(kind::PAUSED, pausing, reason::PAUSED, text),
            now,
        );
    }
}

fn tell_pause(planner: &mut Planner<'_>, reason: &str, text: &str) {
    let why = planner.status.pause_conditions.first();
    let note = why.map_or_else(
        || text.to_owned(),
        |why| format!("{text} ({})", why.reason.as_str()),
    );
    planner.events.push(EventNote::normal(reason, note));
}

fn is_another_pause(planner: &Planner<'_>) -> bool {
    let (old, new) = (&planner.observed.status, &planner.status);
    match (new.pause_conditions.first(), old.controller_pause) {
        (Some(now), true) => !old.pause_conditions.contains(now),
        _ => false,
    }
}

fn available(planner: &mut Planner<'_>) {
    let (now, wanted) = (planner.time().0, planner.observed.spec.replicas);
    let enough = match &planner.observed.spec.strategy {
        CheckedStrategy::Canary(_) => {
            let available: i32 = planner
                .replica_sets
                .iter()
                .map(|set| set.view.available)
                .sum();
            available >= wanted
        }
        CheckedStrategy::BlueGreen(_) => planner
            .by_hash(&planner.status.blue_green.active_selector)
            .is_some_and(|index| planner.replica_sets[index].view.available >= wanted),
    };
    let text = if enough {
        "Rollout has minimum availability"
    } else {
        NOT_AVAILABLE
    };
    set(
        &mut planner.status,
        Condition::new(kind::AVAILABLE, enough, "AvailableReason", text),
        now,
    );
}

fn failure(planner: &mut Planner<'_>) {
    let now = planner.time().0;
    let newest = planner.new_set().view.failure.clone();
    let failure = newest.or_else(|| {
        planner
            .replica_sets
            .iter()
            .find_map(|set| set.view.failure.clone())
    });
    match failure {
        Some((reason, message)) => {
            set(
                &mut planner.status,
                Condition::new(kind::REPLICA_FAILURE, true, reason, message),
                now,
            );
        }
        None => remove(&mut planner.status, kind::REPLICA_FAILURE),
    }
}

fn unsupported(planner: &mut Planner<'_>) {
    let now = planner.time().0;
    let text = &planner.observed.unsupported;
    if text.is_empty() {
        return remove(&mut planner.status, kind::UNSUPPORTED);
    }
    let same = find(&planner.status, kind::UNSUPPORTED).is_some_and(|old| old.message == *text);
    if !same {
        put(
            &mut planner.status,
            Condition::new(kind::UNSUPPORTED, true, "NotSupported", text.clone()),
            now,
        );
    }
}
