//! Bytes of messages that this process holds: from the moment they leave the bus until they are answered.
//!
//! Each dependency has a limit of its own, and all of them share [`HeldBytes`]. A namespace may hold as much as it
//! leaves free: alone it gets half, and with others an equal share, so one that holds much never shuts the others
//! out. A dependency that holds nothing always gets one message, so every trigger continues.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use parking_lot::Mutex;
use prometheus::IntGauge;
use reconcile_core::shares::Shares;
use tokio::sync::Notify;

/// Bytes of messages that the process holds.
const PROCESS_BYTES: usize = 64 << 20;
/// Bytes of messages that one dependency of a trigger holds.
const DEPENDENCY_BYTES: usize = 4 << 20;

/// What all triggers of the process hold. Cloning shares it.
#[derive(Clone)]
pub(in crate::worker) struct HeldBytes(Arc<Shared>);

struct Shared {
    /// Bytes by namespace.
    held: Mutex<Shares<String>>,
    /// Room was released.
    freed: Notify,
    gauge: IntGauge,
}

impl HeldBytes {
    /// Nothing is held yet; `gauge` follows what is.
    pub(in crate::worker) fn new(gauge: IntGauge) -> Self {
        Self::with_limit(PROCESS_BYTES, gauge)
    }

    fn with_limit(limit: usize, gauge: IntGauge) -> Self {
        Self(Arc::new(Shared {
            held: Mutex::new(Shares::new(limit)),
            freed: Notify::new(),
            gauge,
        }))
    }

    /// The room of one dependency of a trigger in `namespace`.
    pub(super) fn dependency(&self, namespace: &str) -> Room {
        Room {
            held: self.clone(),
            namespace: namespace.to_owned(),
            limit: DEPENDENCY_BYTES,
            own: Arc::default(),
        }
    }

    /// Changes what is held, and shows it.
    fn count(&self, change: impl FnOnce(&mut Shares<String>)) {
        let mut held = self.0.held.lock();
        change(&mut held);
        self.0
            .gauge
            .set(i64::try_from(held.used()).unwrap_or(i64::MAX));
    }
}

/// The room of one dependency.
pub(super) struct Room {
    held: HeldBytes,
    namespace: String,
    limit: usize,
    own: Arc<AtomicUsize>,
}

impl Room {
    /// Waits until a message of so many bytes may be held.
    pub(super) async fn take(&self, bytes: usize) -> Hold {
        let shared = &self.held.0;
        loop {
            let freed = shared.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if let Some(hold) = self.take_free(bytes) {
                return hold;
            }
            freed.await;
        }
    }

    /// Takes room when there is any.
    pub(super) fn take_free(&self, bytes: usize) -> Option<Hold> {
        self.admits(bytes).then(|| self.take_now(bytes))
    }

    fn admits(&self, bytes: usize) -> bool {
        let own = self.own.load(Ordering::SeqCst);
        own == 0 || (own.saturating_add(bytes) <= self.limit && self.namespace_admits(bytes))
    }

    fn namespace_admits(&self, bytes: usize) -> bool {
        let held = self.held.0.held.lock();
        held.admits(std::slice::from_ref(&self.namespace), bytes)
    }

    /// Takes room whether there is any or not: for what is released at once.
    pub(super) fn take_now(&self, bytes: usize) -> Hold {
        self.own.fetch_add(bytes, Ordering::SeqCst);
        self.held
            .count(|held| held.take(std::slice::from_ref(&self.namespace), bytes));
        Hold {
            held: self.held.clone(),
            namespace: self.namespace.clone(),
            own: self.own.clone(),
            bytes,
        }
    }
}

/// The room that one message takes, released when it is dropped.
pub(super) struct Hold {
    held: HeldBytes,
    namespace: String,
    own: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.own.fetch_sub(self.bytes, Ordering::SeqCst);
        self.held
            .count(|held| held.release(std::slice::from_ref(&self.namespace), self.bytes));
        self.held.0.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn held(limit: usize) -> HeldBytes {
        HeldBytes::with_limit(limit, IntGauge::new("held", "held").expect("a gauge"))
    }

    /// As much as the dependency gets at once, in messages of one MiB.
    fn fill(room: &Room) -> Vec<Hold> {
        std::iter::from_fn(|| room.take(1 << 20).now_or_never())
            .take(1000)
            .collect()
    }

    #[tokio::test]
    async fn a_dependency_holds_no_more_than_its_limit_and_waits_for_what_is_given_back() {
        let held = held(PROCESS_BYTES);
        let room = held.dependency("shop");
        let mut taken = fill(&room);
        assert_eq!(taken.len(), DEPENDENCY_BYTES >> 20);
        assert_eq!(held.0.gauge.get(), 4 << 20);
        let waiting = room.take(1 << 20);
        tokio::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        taken.pop();
        assert!(waiting.now_or_never().is_some(), "there is room again");
        drop(taken);
        assert_eq!(held.0.gauge.get(), 0);
        assert_eq!(held.0.held.lock().held(&"shop".to_owned()), 0);
    }

    #[tokio::test]
    async fn namespaces_share_and_none_shuts_another_out() {
        let held = held(32 << 20);
        let hold = |namespace: &str, dependencies: usize| -> Vec<(Room, Vec<Hold>)> {
            (0..dependencies)
                .map(|_| {
                    let room = held.dependency(namespace);
                    // The first message is always taken; the share is of what comes after it.
                    let taken = fill(&room);
                    (room, taken)
                })
                .collect()
        };
        let greedy = hold("greedy", 4);
        let of = |rooms: &[(Room, Vec<Hold>)]| rooms.iter().map(|room| room.1.len()).sum::<usize>();
        assert_eq!(of(&greedy), 16, "half of the total");
        let later = hold("later", 2);
        assert_eq!(of(&later), 8, "as much as without the other");
        // Where nothing is free each dependency still gets its one message.
        assert_eq!(of(&hold("greedy", 1)), 1);
    }

    #[tokio::test]
    async fn a_message_larger_than_every_limit_is_taken_alone() {
        let held = held(1 << 20);
        let room = held.dependency("shop");
        let large = room
            .take(8 << 20)
            .now_or_never()
            .expect("it is the only one");
        assert!(room.take(1).now_or_never().is_none());
        let given_back = room.take_now(1);
        drop((large, given_back));
        assert!(room.take(1).now_or_never().is_some());
    }
}
