//! Random moments, given by their seed.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

/// Random moments between nothing and a longest time. The seed is logged, so that a failure can be distinguished from
/// luck.
#[derive(Debug)]
pub struct Moments(u64);

impl Default for Moments {
    fn default() -> Self {
        Self::new()
    }
}

impl Moments {
    /// Moments that differ in each run.
    pub fn new() -> Self {
        let seed = RandomState::new().build_hasher().finish();
        tracing::info!(seed, "moments");
        Self(seed | 1)
    }

    /// The next moment.
    pub fn next(&mut self, longest: Duration) -> Duration {
        // Xorshift: even enough for this, and a number can be read from a log.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let part = u32::try_from(self.0 % 1000).unwrap_or(0);
        longest * part / 1000
    }

    /// Waits until the next moment.
    pub async fn pass(&mut self, longest: Duration) {
        tokio::time::sleep(self.next(longest)).await;
    }
}
