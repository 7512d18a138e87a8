//! Readiness: every registered part must have said that it is ready, once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::RwLock;
use tokio::sync::Notify;

/// The parts that must be ready before the process is. A standby is ready too: its caches are warm.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    parts: Arc<RwLock<Vec<(String, Ready)>>>,
    holds: Arc<RwLock<BTreeMap<&'static str, String>>>,
    changed: Arc<Notify>,
}

/// The handle of one part.
#[derive(Clone, Debug, Default)]
pub struct Ready {
    done: Arc<AtomicBool>,
    changed: Arc<Notify>,
}

impl Ready {
    /// The part is ready, for good.
    pub fn set(&self) {
        self.done.store(true, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    /// True once [`Ready::set`] was called.
    pub fn is_set(&self) -> bool {
        self.done.load(Ordering::SeqCst)
    }
}

impl Readiness {
    /// Adds a part that is not ready yet.
    pub fn register(&self, name: impl Into<String>) -> Ready {
        let ready = Ready {
            done: Arc::default(),
            changed: self.changed.clone(),
        };
        self.parts.write().push((name.into(), ready.clone()));
        ready
    }

    /// Names of the parts that are not ready yet.
    pub fn missing(&self) -> Vec<String> {
        let parts = self.parts.read();
        parts
            .iter()
            .filter(|(_, ready)| !ready.is_set())
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Makes the process unready for `reason` although its parts are ready, until `None` takes it back. It holds up
    /// probes, not [`Readiness::wait`].
    pub fn hold(&self, name: &'static str, reason: Option<String>) {
        let mut holds = self.holds.write();
        match reason {
            Some(reason) => drop(holds.insert(name, reason)),
            None => drop(holds.remove(name)),
        }
    }

    /// Why the process is held unready.
    pub fn holds(&self) -> Vec<String> {
        self.holds.read().values().cloned().collect()
    }

    /// Waits until all parts registered so far are ready.
    pub async fn wait(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that a change in between is not missed.
            changed.as_mut().enable();
            if self.missing().is_empty() {
                return;
            }
            changed.await;
        }
    }
}
