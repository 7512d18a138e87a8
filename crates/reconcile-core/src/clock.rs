//! The only place that may ask for the time.
//!
//! Planners get `now` as an argument; everything else asks a [`Clock`], so that a test can move time
//! by hand.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

/// A source of time. Cloning is cheap and clones agree.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    Manual(Manual),
}

#[derive(Clone, Debug)]
struct Manual {
    set: Arc<Mutex<Reading>>,
    /// Since when it also moves with the time of the runtime.
    running: Option<tokio::time::Instant>,
}

/// Both clocks of a machine at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The time of day, which people and time servers move forwards and backwards.
    pub wall: Timestamp,
    /// See [`Clock::steady`].
    pub steady: Timestamp,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that is stopped at `start` until [`Clock::advance`] moves it.
    pub fn manual(start: Timestamp) -> Self {
        Self::set_to(start, None)
    }

    /// A manual clock that also moves with the time of the runtime, which a test can pause.
    pub fn running(start: Timestamp) -> Self {
        Self::set_to(start, Some(tokio::time::Instant::now()))
    }

    fn set_to(start: Timestamp, running: Option<tokio::time::Instant>) -> Self {
        let set = Reading {
            wall: start,
            steady: start,
        };
        Self(Source::Manual(Manual {
            set: Arc::new(Mutex::new(set)),
            running,
        }))
    }

    /// The current time.
    #[expect(clippy::disallowed_methods, reason = "the one place that may ask")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => Timestamp::now(),
            Source::Manual(manual) => manual.read().wall,
        }
    }

    /// A time that only ever moves forward and at the pace of real time, whatever is done to the machine's
    /// clock. It equals the wall clock at the first call and is good for nothing but differences.
    pub fn steady(&self) -> Timestamp {
        static START: OnceLock<(Timestamp, Instant)> = OnceLock::new();
        match &self.0 {
            Source::System => {
                let (start, since) = START.get_or_init(|| (self.now(), Instant::now()));
                later(*start, since.elapsed())
            }
            Source::Manual(manual) => manual.read().steady,
        }
    }

    /// Both clocks now.
    pub fn read(&self) -> Reading {
        Reading {
            wall: self.now(),
            steady: self.steady(),
        }
    }

    /// The longest time that may have passed since `reading`: the steady clock does not see that a machine was
    /// suspended, and the wall clock may have been set back.
    pub fn since(&self, reading: Reading) -> SignedDuration {
        let now = self.read();
        let wall = now.wall.duration_since(reading.wall);
        wall.max(now.steady.duration_since(reading.steady))
    }

    /// Moves a manual clock forward; does nothing to the system clock.
    pub fn advance(&self, by: SignedDuration) {
        if let Source::Manual(manual) = &self.0 {
            let mut set = manual.set.lock();
            set.wall = set.wall.saturating_add(by).unwrap_or(set.wall);
            set.steady = set.steady.saturating_add(by).unwrap_or(set.steady);
        }
    }

    /// Moves the time of day of a manual clock, as a person or a time server does; does nothing to the system clock.
    pub fn move_wall(&self, by: SignedDuration) {
        if let Source::Manual(manual) = &self.0 {
            let mut set = manual.set.lock();
            set.wall = set.wall.saturating_add(by).unwrap_or(set.wall);
        }
    }
}

impl Manual {
    fn read(&self) -> Reading {
        let set = *self.set.lock();
        let passed = self
            .running
            .map(|since| since.elapsed())
            .unwrap_or_default();
        Reading {
            wall: later(set.wall, passed),
            steady: later(set.steady, passed),
        }
    }
}

fn later(time: Timestamp, passed: Duration) -> Timestamp {
    let passed = SignedDuration::try_from(passed).unwrap_or_default();
    time.saturating_add(passed).unwrap_or(time)
}
