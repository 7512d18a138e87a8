//! Threads that talk to servers.

use std::time::{Duration, Instant};

use super::{
    Interrupt, Pool, PoolError,
    repository::{Repository, Standing},
};
use crate::metrics::GitMetrics;

/// Conversations at the same time, of repositories whose server answers fast and, beside them, of those that were not
/// asked before. Each may hold a few objects in memory. One host or project gets half of them.
const TRANSFERS: usize = 16;
/// Conversations at the same time of repositories whose server was slow the last time.
const SLOW_TRANSFERS: usize = 4;

/// Threads that talk to servers. Servers that hang hold those of their own lane only, and of these what one host and one
/// project may have, so that one tenant's cannot keep the others' repositories from being read.
pub(super) struct Lanes {
    untried: Pool,
    fast: Pool,
    slow: Pool,
}

impl Lanes {
    pub(super) fn new(metrics: &GitMetrics) -> Self {
        Self {
            untried: Pool::shared("git-new", TRANSFERS, metrics.threads("git-new")),
            fast: Pool::shared("git", TRANSFERS, metrics.threads("git")),
            slow: Pool::shared("git-slow", SLOW_TRANSFERS, metrics.threads("git-slow")),
        }
    }

    /// Runs a conversation of `repository`, and notes how its server did.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        repository: &Repository,
        deadline: Duration,
        slow: Duration,
        call: impl FnOnce(&Interrupt) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let lane = match repository.standing() {
            Standing::Untried => &self.untried,
            Standing::Fast => &self.fast,
            Standing::Slow => &self.slow,
        };
        let done = lane
            .run_for(repository.share(), deadline, move |interrupt| {
                let began = Instant::now();
                let value = call(interrupt);
                (value, began.elapsed())
            })
            .await;
        match done {
            Ok((value, took)) => {
                repository.answered(took > slow);
                Ok(value)
            }
            Err(error) => {
                if matches!(error, PoolError::Late(_)) {
                    repository.answered(true);
                }
                Err(error)
            }
        }
    }
}
