//! Brings the conditions of the status up to date.

use reconcile_core::reconcile::EventNote;

use super::{
    conditions::{NOT_AVAILABLE, find, is_true, kind, put, reason, reason_of, remove, set},
    facts, progress,
    work::Work,
};
use crate::rollout::world::CheckedStrategy;

/// Brings all conditions up to date. Must be called last: it compares the status as it was with the one
/// that is about to be written.
pub(super) fn update(work: &mut Work<'_>) {
    remove(&mut work.status, kind::INVALID_SPEC);
    // The order of the Events: why an update ends, then that it is not complete, then pauses.
    let aborted = work.aborted();
    if aborted {
        progress::update(work);
    }
    completed(work);
    healthy(work);
    paused(work);
    if !aborted {
        progress::update(work);
    }
    available(work);
    failure(work);
    unsupported(work);
}

/// The newest version is the stable one. A pause does not change that.
fn completed(work: &mut Work<'_>) {
    let now = work.time();
    let was = is_true(&work.status, kind::COMPLETED);
    let first = find(&work.seen.status, kind::COMPLETED).is_none();
    let done = work.is_stable();
    if (was && !done) || first {
        let (revision, hash) = (work.new_set().revision, work.newest_hash());
        work.events.push(EventNote::normal(
            "RolloutNotCompleted",
            format!("Rollout not completed, started update to revision {revision} ({hash})"),
        ));
    }
    let value = if done { "True" } else { "False" };
    let text = reason::COMPLETED.to_owned();
    set(
        &mut work.status,
        (kind::COMPLETED, value, reason::COMPLETED, text),
        &now,
    );
}

fn healthy(work: &mut Work<'_>) {
    let now = work.time();
    if !work.is_paused() && facts::is_healthy(work) {
        let text = "Rollout is healthy".to_owned();
        set(
            &mut work.status,
            (kind::HEALTHY, "True", "RolloutHealthy", text),
            &now,
        );
    } else if find(&work.status, kind::HEALTHY).is_some() {
        let text = "Rollout is not healthy".to_owned();
        set(
            &mut work.status,
            (kind::HEALTHY, "False", "RolloutHealthy", text),
            &now,
        );
    }
}

fn paused(work: &mut Work<'_>) {
    let now = work.time();
    let old = &work.seen.status;
    let was_aborted = reason_of(old, kind::PROGRESSING) == reason::ABORTED;
    let was_paused = reason_of(old, kind::PROGRESSING) == reason::PAUSED
        || (is_true(old, kind::PAUSED) && work.is_stable());
    let (pausing, controller_paused) = (work.is_paused(), !old.pause_conditions.is_empty());
    if !work.aborted() && was_aborted {
        let text = "Retrying Rollout after abort".to_owned();
        set(
            &mut work.status,
            (kind::PROGRESSING, "Unknown", reason::RETRY, text),
            &now,
        );
    } else if !work.aborted() && pausing != was_paused {
        let (reason, text) = if pausing {
            (reason::PAUSED, "Rollout is paused")
        } else {
            (reason::RESUMED, "Rollout is resumed")
        };
        // A pause by `spec.paused` is the person's own doing and is not told as an Event.
        let by_controller = !work.status.pause_conditions.is_empty() || controller_paused;
        if by_controller || old.controller_pause {
            tell_pause(work, reason, text);
        }
        // A complete Rollout that is paused is still complete.
        if !work.is_stable() || reason_of(&work.status, kind::PROGRESSING) == reason::PAUSED {
            set(
                &mut work.status,
                (kind::PROGRESSING, "Unknown", reason, text.to_owned()),
                &now,
            );
        }
    } else if is_another_pause(work) {
        // One pause ended and the next began in the same pass.
        work.events
            .push(EventNote::normal(reason::RESUMED, "Rollout is resumed"));
        tell_pause(work, reason::PAUSED, "Rollout is paused");
    }
    let known = find(&work.status, kind::PAUSED).is_some();
    if pausing || known {
        let value = if pausing { "True" } else { "False" };
        let text = "Rollout is paused".to_owned();
        set(
            &mut work.status,
            (kind::PAUSED, value, reason::PAUSED, text),
            &now,
        );
    }
}

fn tell_pause(work: &mut Work<'_>, reason: &str, text: &str) {
    let why = work.status.pause_conditions.first();
    let note = why.map_or_else(
        || text.to_owned(),
        |why| format!("{text} ({})", why.reason.as_str()),
    );
    work.events.push(EventNote::normal(reason, note));
}

fn is_another_pause(work: &Work<'_>) -> bool {
    let (old, new) = (&work.seen.status, &work.status);
    match (new.pause_conditions.first(), old.controller_pause) {
        (Some(now), true) => !old.pause_conditions.contains(now),
        _ => false,
    }
}

fn available(work: &mut Work<'_>) {
    let (now, wanted) = (work.time(), work.seen.spec.replicas);
    let enough = match &work.seen.spec.strategy {
        CheckedStrategy::Canary(_) => {
            let available: i32 = work.sets.iter().map(|set| set.view.available).sum();
            available >= wanted
        }
        CheckedStrategy::BlueGreen(_) => work
            .by_hash(&work.status.blue_green.active_selector)
            .is_some_and(|index| work.sets[index].view.available >= wanted),
    };
    let (value, text) = if enough {
        ("True", "Rollout has minimum availability")
    } else {
        ("False", NOT_AVAILABLE)
    };
    set(
        &mut work.status,
        (kind::AVAILABLE, value, "AvailableReason", text.to_owned()),
        &now,
    );
}

fn failure(work: &mut Work<'_>) {
    let now = work.time();
    let newest = work.new_set().view.failure.clone();
    let failure = newest.or_else(|| work.sets.iter().find_map(|set| set.view.failure.clone()));
    match failure {
        Some((reason, message)) => {
            set(
                &mut work.status,
                (kind::REPLICA_FAILURE, "True", &reason, message),
                &now,
            );
        }
        None => remove(&mut work.status, kind::REPLICA_FAILURE),
    }
}

fn unsupported(work: &mut Work<'_>) {
    let now = work.time();
    let text = &work.seen.unsupported;
    if text.is_empty() {
        return remove(&mut work.status, kind::UNSUPPORTED);
    }
    let same = find(&work.status, kind::UNSUPPORTED).is_some_and(|old| old.message == *text);
    if !same {
        put(
            &mut work.status,
            (kind::UNSUPPORTED, "True", "NotSupported", text.clone()),
            &now,
        );
    }
}
