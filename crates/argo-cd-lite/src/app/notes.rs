//! What is remembered of applications between passes; losing it costs time, never correctness.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;
use parking_lot::Mutex;
use reconcile_core::object::ObjectKey;

#[derive(Default)]
struct State {
    settle: HashMap<ObjectKey, Timestamp>,
    failing: HashMap<ObjectKey, Timestamp>,
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

    /// Drops the notes about an application.
    pub fn forget(&self, app: &ObjectKey) {
        let mut state = self.0.lock();
        state.settle.remove(app);
        state.failing.remove(app);
    }
}
