//! Whether a role may write.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use tokio::sync::watch;

use crate::clock::{Clock, Reading};

/// How often an open fence is checked again while a write is in flight: timers stop while a machine is
/// suspended, the lease does not.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Whether a role may write. Closed until its lease is won, and closed again the moment the lease could have been
/// taken by another process. Clones share the state.
#[derive(Clone, Debug)]
pub struct Fence {
    state: Arc<watch::Sender<FenceState>>,
    clock: Clock,
}

#[derive(Clone, Copy, Debug)]
enum FenceState {
    /// No lease is needed.
    Open,
    /// The lease is not ours.
    Closed,
    /// The lease is surely ours for so long after that moment.
    Held(Reading, SignedDuration),
}

impl Fence {
    /// A fence that is closed until [`Fence::extend`].
    pub fn closed(clock: Clock) -> Self {
        Self::new(FenceState::Closed, clock)
    }

    /// A fence that is always open, for writes that need no lease.
    pub fn open(clock: Clock) -> Self {
        Self::new(FenceState::Open, clock)
    }

    fn new(state: FenceState, clock: Clock) -> Self {
        Self {
            state: Arc::new(watch::Sender::new(state)),
            clock,
        }
    }

    /// The lease is ours for `length` after `since`.
    pub fn extend(&self, since: Reading, length: SignedDuration) {
        self.state.send_replace(FenceState::Held(since, length));
    }

    /// The lease is not ours any more.
    pub fn close(&self) {
        self.state.send_replace(FenceState::Closed);
    }

    /// True while writes are allowed.
    pub fn is_open(&self) -> bool {
        self.remaining().is_some()
    }

    /// How long writes are allowed unless the lease is renewed; `None` when they are not.
    pub fn remaining(&self) -> Option<Duration> {
        match *self.state.borrow() {
            FenceState::Open => Some(Duration::MAX),
            FenceState::Closed => None,
            FenceState::Held(since, length) => {
                let left = Duration::try_from(length - self.clock.since(since)).ok()?;
                (!left.is_zero()).then_some(left)
            }
        }
    }

    /// Ends when writes are not allowed any more.
    pub async fn until_closed(&self) {
        self.until_remaining(Duration::ZERO).await;
    }

    /// Ends when writes are allowed for `margin` or less, or not any more.
    pub async fn until_remaining(&self, margin: Duration) {
        let mut changes = self.state.subscribe();
        loop {
            let left = self.remaining().and_then(|left| left.checked_sub(margin));
            let Some(left) = left.filter(|left| !left.is_zero()) else {
                return;
            };
            tokio::select! {
                () = tokio::time::sleep(left.min(LOOK_AGAIN)) => {}
                // The sender lives as long as this fence.
                _ = changes.changed() => {}
            }
        }
    }
}
