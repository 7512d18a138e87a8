//! What a server listed last, how the tries since then ended, and when it is asked again.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// A failure to list is not repeated for callers within this time, in seconds.
const FAILURE_LASTS: i64 = 5;
/// Time between two polls of a repository whose server does not answer; short, because its Applications wait for it.
pub(super) const FAILING_POLL: Duration = Duration::from_secs(10);
/// A repository that nobody follows is forgotten after this time without a request.
pub(super) const UNFOLLOWED: SignedDuration = SignedDuration::from_mins(10);

/// The last list of a server, and the failures since it.
pub(super) struct Listing<T, E> {
    /// The list, and when it was asked for.
    last: Option<(T, Timestamp)>,
    failure: Option<Failure<E>>,
}

struct Failure<E> {
    /// The last error.
    error: E,
    /// When the try that ended with it began.
    asked: Timestamp,
    /// When the first try without an answer began.
    since: Timestamp,
}

/// A list with its age.
pub(super) struct Latest<T, E> {
    pub(super) value: T,
    /// When it was asked for.
    pub(super) asked: Timestamp,
    /// Asking has failed since then: with this error, since this time.
    pub(super) failing: Option<(E, Timestamp)>,
}

impl<T, E> Default for Listing<T, E> {
    fn default() -> Self {
        Self {
            last: None,
            failure: None,
        }
    }
}

impl<T, E> Listing<T, E> {
    /// The list, however old it is.
    pub(super) fn value(&self) -> Option<&T> {
        self.last.as_ref().map(|(value, _)| value)
    }

    /// Takes a new list and forgets failures; gives the old list.
    pub(super) fn listed(&mut self, value: T, asked: Timestamp) -> Option<T> {
        self.failure = None;
        self.last.replace((value, asked)).map(|(value, _)| value)
    }

    /// Notes that a try failed.
    pub(super) fn failed(&mut self, error: E, asked: Timestamp) {
        let since = self.failure.as_ref().map_or(asked, |before| before.since);
        self.failure = Some(Failure {
            error,
            asked,
            since,
        });
    }

    /// True when the last try failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failure.is_some()
    }
}

impl<T: Clone, E: Clone> Listing<T, E> {
    /// What is known, when it is not older than `fresh` or a failure is recent.
    pub(super) fn known(
        &self,
        fresh: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Result<Latest<T, E>, E>> {
        let is_fresh = |asked: Timestamp| fresh.is_none_or(|fresh| asked >= fresh);
        let listed = self
            .last
            .as_ref()
            .is_some_and(|(_, asked)| is_fresh(*asked));
        let failed = self.failure.as_ref().is_some_and(|failure| {
            now.as_second() - failure.asked.as_second() < FAILURE_LASTS && is_fresh(failure.asked)
        });
        (listed || failed).then(|| self.latest())?
    }

    /// The list, or the error when there was never one; `None` before the first try.
    pub(super) fn latest(&self) -> Option<Result<Latest<T, E>, E>> {
        let failing = self.failure.as_ref();
        match &self.last {
            Some((value, asked)) => Some(Ok(Latest {
                value: value.clone(),
                asked: *asked,
                failing: failing.map(|failure| (failure.error.clone(), failure.since)),
            })),
            None => failing.map(|failure| Err(failure.error.clone())),
        }
    }
}

/// A time plus a duration, or the time itself where there is no such sum.
pub(super) fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.saturating_add(SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX))
        .unwrap_or(at)
}
