//! How many measurements of one provider run at the same time for one namespace.
//!
//! A server that hangs holds up the metrics of its own kind in its own namespace and no others.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Measurements of one provider for one namespace at the same time. The others wait for their turn.
const AT_ONCE: usize = 16;

type Key = (&'static str, String);

/// The limits of all providers and namespaces. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits(Arc<Mutex<HashMap<Key, Arc<Semaphore>>>>);

/// The right to measure; released on drop.
#[derive(Debug)]
pub(super) struct Permit {
    limits: Limits,
    key: Key,
    held: Option<OwnedSemaphorePermit>,
}

impl Limits {
    /// Waits until a measurement of `provider` for `namespace` may start.
    pub(super) async fn acquire(&self, provider: &'static str, namespace: &str) -> Permit {
        let key = (provider, namespace.to_owned());
        let semaphore = {
            let mut all = self.0.lock();
            let entry = all.entry(key.clone());
            Arc::clone(entry.or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))))
        };
        // The semaphore is never closed, so this does not fail.
        let held = semaphore.acquire_owned().await.ok();
        Permit {
            limits: self.clone(),
            key,
            held,
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        drop(self.held.take());
        let mut all = self.limits.0.lock();
        // Whoever waits holds the semaphore too; an unused one is forgotten with its namespace.
        if all
            .get(&self.key)
            .is_some_and(|semaphore| Arc::strong_count(semaphore) == 1)
        {
            all.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_namespace_does_not_hold_up_another_and_leaves_nothing_behind() {
        let limits = Limits::default();
        let mut held = Vec::new();
        for _ in 0..AT_ONCE {
            held.push(limits.acquire("web", "a").await);
        }
        assert!(limits.acquire("web", "a").now_or_never().is_none());
        assert!(limits.acquire("web", "b").now_or_never().is_some());
        assert!(limits.acquire("job", "a").now_or_never().is_some());
        held.pop();
        assert!(limits.acquire("web", "a").now_or_never().is_some());
        held.clear();
        assert!(limits.0.lock().is_empty());
    }
}
