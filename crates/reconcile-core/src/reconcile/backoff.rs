//! Back-off per object.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;

use crate::object::ObjectKey;

/// First delay after a failure; the default base of client-go's failure rate limiter is 5 ms, which
/// only makes sense with its client-side throttle in front.
const FIRST: Duration = Duration::from_millis(50);
/// Longest delay; short enough that a healed dependency is noticed within a minute.
const LONGEST: Duration = Duration::from_secs(60);
/// 50 ms doubled this often exceeds the longest delay.
const MAX_DOUBLINGS: u32 = 11;

/// Failures in a row per object, and the delay that they call for.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: Mutex<HashMap<ObjectKey, u32>>,
}

impl Backoff {
    /// Counts a failure of `key` and gives the delay before the next try.
    pub fn failed(&self, key: &ObjectKey) -> Duration {
        let mut failures = self.failures.lock();
        let count = failures.entry(key.clone()).or_insert(0);
        let delay = FIRST
            .saturating_mul(1 << (*count).min(MAX_DOUBLINGS))
            .min(LONGEST);
        *count = count.saturating_add(1);
        delay
    }

    /// Forgets the failures of `key`.
    pub fn succeeded(&self, key: &ObjectKey) {
        self.failures.lock().remove(key);
    }
}
