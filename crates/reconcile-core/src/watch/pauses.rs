//! How long a watch waits after failures.

use std::time::Duration;

use tokio::time::Instant;

/// First pause after a failed list or watch.
const FIRST: Duration = Duration::from_millis(200);
/// Longest pause after failures; an API server that comes back is seen within this time.
const LONGEST: Duration = Duration::from_secs(10);
/// A failure after so long a time of quiet resets the back-off. Success alone does not: a list that works
/// before a watch that does not is the costly half of a failure.
const CALM: Duration = Duration::from_secs(30);

/// The back-off of one watch.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    /// The pause that was taken last, and its end.
    last: Option<(Duration, Instant)>,
    failing: bool,
}

impl Pauses {
    /// True when what just failed had worked before.
    pub(super) fn is_first_failure(&self) -> bool {
        !self.failing
    }

    /// Counts a failure and gives the pause that it calls for.
    pub(super) fn after_failure(&mut self) -> Duration {
        self.failing = true;
        let pause = match self.last {
            Some((last, end)) if end.elapsed() < CALM => (last * 2).min(LONGEST),
            _ => FIRST,
        };
        self.last = Some((pause, Instant::now() + pause));
        pause
    }

    /// Something works; true when it did not before.
    pub(super) fn recovered(&mut self) -> bool {
        std::mem::take(&mut self.failing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_until_all_was_quiet_for_a_while() {
        let mut pauses = Pauses::default();
        for expected in [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000] {
            let pause = pauses.after_failure();
            assert_eq!(pause, Duration::from_millis(expected));
            tokio::time::sleep(pause).await;
            assert!(pauses.recovered(), "reported once");
            assert!(!pauses.recovered(), "and not again");
        }
        tokio::time::sleep(CALM).await;
        assert_eq!(pauses.after_failure(), FIRST);
    }
}
