//! Whether this process may write.

use std::sync::Arc;

use jiff::SignedDuration;
use parking_lot::RwLock;

use crate::clock::{Clock, Reading};

/// Whether this process may write. Closed until leadership is won, and closed again the moment the
/// lease could have been taken by somebody else.
#[derive(Clone, Debug)]
pub struct Fence {
    state: Arc<RwLock<State>>,
    clock: Clock,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Leader election is off.
    Open,
    /// The lease is not ours.
    Closed,
    /// The lease is surely ours for so long after that moment.
    Held(Reading, SignedDuration),
}

impl Fence {
    /// A fence that is closed until [`Fence::extend`].
    pub fn closed(clock: Clock) -> Self {
        Self::new(State::Closed, clock)
    }

    /// A fence that is always open, for a process without leader election.
    pub fn open(clock: Clock) -> Self {
        Self::new(State::Open, clock)
    }

    fn new(state: State, clock: Clock) -> Self {
        Self {
            state: Arc::new(RwLock::new(state)),
            clock,
        }
    }

    /// The lease is ours for `length` after `since`.
    pub fn extend(&self, since: Reading, length: SignedDuration) {
        *self.state.write() = State::Held(since, length);
    }

    /// The lease is not ours any more.
    pub fn close(&self) {
        *self.state.write() = State::Closed;
    }

    /// True while writes are allowed.
    pub fn is_open(&self) -> bool {
        match *self.state.read() {
            State::Open => true,
            State::Closed => false,
            State::Held(since, length) => self.clock.since(since) < length,
        }
    }
}
