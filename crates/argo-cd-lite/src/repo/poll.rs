//! The poll of refs: one per repository, whatever the number of applications, plus polls on request.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use rand::Rng;
use reconcile_core::credentials::redact_url;

use super::{PollTimes, RepoHub, listing::later, repository::Repository};

/// The loop looks for new repositories this often.
const LOOK: Duration = Duration::from_secs(1);
/// Time between two looks at the disk budget.
const SWEEP: Duration = Duration::from_secs(60);

impl RepoHub {
    /// Polls for ever. Ends only when the future is dropped.
    pub async fn poll(&self) {
        let mut sweep = self.clock().now();
        loop {
            let now = self.clock().now();
            if now >= sweep {
                self.sweep().await;
                sweep = later(now, SWEEP);
            }
            let mut next = LOOK;
            for repository in self.followed() {
                let due = *repository.due.lock();
                match due {
                    Some(at) if at > now => {
                        let left = Duration::try_from(at.duration_since(now)).unwrap_or_default();
                        next = next.min(left);
                    }
                    due => self.start(repository, due.is_none(), now),
                }
            }
            let _ =
                tokio::time::timeout(next.max(Duration::from_millis(10)), self.wake().notified())
                    .await;
        }
    }

    /// Starts the poll of one repository beside the others, because one slow server must not hold them up.
    fn start(&self, repository: Arc<Repository>, requested: bool, now: Timestamp) {
        *repository.due.lock() = Some(later(now, self.interval()));
        let hub = self.clone();
        tokio::spawn(async move {
            let was_failing = repository.is_failing();
            tracing::debug!(repository = %redact_url(&repository.url), requested, "polling refs");
            // A failure is kept with the repository and shows with the applications.
            drop(hub.refs_of(&repository, Some(now)).await);
            if was_failing && !repository.is_failing() {
                hub.wake_all(&repository);
            }
        });
    }

    /// Polls with these times from now on.
    pub fn set_poll_times(&self, times: PollTimes) {
        if self.replace_poll_times(times) {
            let now = self.clock().now();
            for repository in self.followed() {
                *repository.due.lock() = Some(later(now, self.interval()));
            }
            self.wake().notify_one();
        }
    }

    /// Time until the next poll, spread at random.
    pub(super) fn interval(&self) -> Duration {
        let PollTimes { poll, jitter } = self.poll_times();
        if poll.is_zero() {
            // 0 turns the poll off; webhooks and refreshes still work.
            return Duration::from_secs(365 * 24 * 3600);
        }
        let jitter = jitter.as_millis().try_into().unwrap_or(u64::MAX);
        poll + Duration::from_millis(if jitter == 0 {
            0
        } else {
            rand::rng().random_range(0..jitter)
        })
    }
}
