//! The poll of refs: one per repository, whatever the number of applications, plus polls on request.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use rand::Rng;

use super::{RepoHub, hub::Repo, url::host_and_path};

/// Time between two polls of a repository whose server does not answer; short, because its applications
/// wait for it.
pub(super) const FAILING: Duration = Duration::from_secs(10);
/// The loop looks for new repositories this often.
const LOOK: Duration = Duration::from_secs(1);

impl RepoHub {
    /// Polls for ever. Ends only when the future is dropped.
    pub async fn poll(&self) {
        loop {
            let now = self.clock().now();
            let mut next = LOOK;
            for repo in self.all() {
                let due = *repo.due.lock();
                match due {
                    Some(at) if at > now => {
                        let left = Duration::try_from(at.duration_since(now)).unwrap_or_default();
                        next = next.min(left);
                    }
                    due => self.start(repo, due.is_none(), now),
                }
            }
            let _ =
                tokio::time::timeout(next.max(Duration::from_millis(10)), self.wake().notified())
                    .await;
        }
    }

    /// Starts the poll of one repository beside the others, because one slow server must not hold them up.
    fn start(&self, repo: Arc<Repo>, requested: bool, now: Timestamp) {
        let interval = self.interval();
        *repo.due.lock() = Some(later(now, interval));
        let hub = self.clone();
        tokio::spawn(async move {
            let was_failing = hub.is_failing(&repo);
            tracing::debug!(repository = %super::url::redact(&repo.url), requested, "polling refs");
            // A failure is kept in the hub and shows with the applications.
            drop(hub.refs_of(&repo, Some(now)).await);
            if was_failing && !hub.is_failing(&repo) {
                hub.tell_all(&repo);
            }
        });
    }

    fn interval(&self) -> Duration {
        let config = self.config();
        if config.poll.is_zero() {
            // 0 turns the poll off; webhooks and refreshes still work.
            return Duration::from_secs(365 * 24 * 3600);
        }
        let jitter = config.jitter.as_millis().try_into().unwrap_or(u64::MAX);
        config.poll
            + Duration::from_millis(if jitter == 0 {
                0
            } else {
                rand::rng().random_range(0..jitter)
            })
    }

    /// Asks for a poll now of every repository that is one of `urls`; gives how many there are.
    pub fn poll_now(&self, urls: &[String]) -> usize {
        let wanted: Vec<String> = urls.iter().map(|url| host_and_path(url)).collect();
        let mut found = 0;
        for repo in self.all() {
            if wanted.contains(&host_and_path(&repo.url)) {
                *repo.due.lock() = None;
                found += 1;
            }
        }
        if found > 0 {
            self.wake().notify_one();
        }
        found
    }
}

pub(super) fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.saturating_add(SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX))
        .unwrap_or(at)
}
