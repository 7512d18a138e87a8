//! What is remembered of applications between passes; losing it costs time, never correctness.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use reconcile_core::object::ObjectKey;

#[derive(Default)]
struct State {
    settle: HashMap<ObjectKey, Timestamp>,
    failing: HashMap<ObjectKey, Timestamp>,
    hard: HashMap<ObjectKey, Timestamp>,
}

/// Refreshes without caches that come by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HardRefresh {
    /// One is due in this pass.
    pub due: bool,
    /// When the next one is.
    pub next: Timestamp,
}

/// Notes about applications. Cloning shares them.
#[derive(Clone, Default)]
pub struct AppNotes(Arc<Mutex<State>>);

impl AppNotes {
    /// Until when the objects of the application's last wave must be given time.
    pub fn settle_until(&self, app: &ObjectKey) -> Option<Timestamp> {
        self.0.lock().settle.get(app).copied()
    }

    /// Notes when a wave's objects have had their time; `None` when no time is needed.
    pub fn set_settle(&self, app: &ObjectKey, until: Option<Timestamp>) {
        let mut state = self.0.lock();
        match until {
            Some(until) => drop(state.settle.insert(app.clone(), until)),
            None => drop(state.settle.remove(app)),
        }
    }

    /// Notes that the repository fails at `now`; gives since when it does.
    pub fn repository_fails(&self, app: &ObjectKey, now: Timestamp) -> Timestamp {
        *self.0.lock().failing.entry(app.clone()).or_insert(now)
    }

    /// Notes that the repository could be read.
    pub fn repository_works(&self, app: &ObjectKey) {
        self.0.lock().failing.remove(app);
    }

    /// Whether a refresh without caches is due, when there is one each `every`. One that is due counts as done. The
    /// first comes that long after the first pass of a process.
    pub fn hard_refresh(&self, app: &ObjectKey, every: Duration, now: Timestamp) -> HardRefresh {
        let later = |at: Timestamp| {
            let every = SignedDuration::try_from(every).unwrap_or(SignedDuration::MAX);
            at.saturating_add(every).unwrap_or(Timestamp::MAX)
        };
        let mut state = self.0.lock();
        let last = state.hard.entry(app.clone()).or_insert(now);
        let due = later(*last) <= now;
        if due {
            *last = now;
        }
        HardRefresh {
            due,
            next: later(*last),
        }
    }

    /// Drops the notes about an application.
    pub fn forget(&self, app: &ObjectKey) {
        let mut state = self.0.lock();
        state.settle.remove(app);
        state.failing.remove(app);
        state.hard.remove(app);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_without_caches_is_due_once_each_interval() {
        let notes = AppNotes::default();
        let app = ObjectKey::new("argocd", "shop");
        let every = Duration::from_secs(60);
        let at = |second| Timestamp::from_second(second).expect("a time");
        let ask = |second| {
            let refresh = notes.hard_refresh(&app, every, at(second));
            (refresh.due, refresh.next.as_second())
        };
        assert_eq!(ask(1000), (false, 1060));
        assert_eq!(ask(1059), (false, 1060));
        assert_eq!(ask(1060), (true, 1120));
        assert_eq!(ask(1060), (false, 1120));
        notes.forget(&app);
        assert_eq!(ask(5000), (false, 5060));
    }
}
