//! The versions of one repository as they were listed last, and who follows them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use reconcile_core::object::ObjectKey;

use super::{
    ChartError,
    index::{ChartIndex, moves},
    place::Place,
};
use crate::repo::listing::{Latest, Listing};

/// How long a caller waits for the one before it.
const TURN: Duration = Duration::from_secs(120);

/// The chart and revision that an Application follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Followed {
    pub(super) chart: String,
    pub(super) revision: String,
}

/// The versions as they were listed.
pub(super) type Listed = Latest<Versions, ChartError>;

/// The versions that a repository has.
#[derive(Clone)]
pub(super) struct Versions {
    pub(super) index: Arc<ChartIndex>,
    etag: String,
}

/// One repository in use.
pub(super) struct Catalog {
    pub(super) place: Place,
    listing: RwLock<Listing<Versions, ChartError>>,
    gate: tokio::sync::Mutex<()>,
    /// Digest that each revision of an artifact meant last, and when it was asked for.
    pub(super) digests: Mutex<HashMap<String, (String, Timestamp)>>,
    pub(super) followers: Mutex<HashMap<ObjectKey, Vec<Followed>>>,
    /// When the poll is due.
    pub(super) due: Mutex<Timestamp>,
    pub(super) used: Mutex<Timestamp>,
}

impl Catalog {
    pub(super) fn new(place: Place, due: Timestamp, now: Timestamp) -> Self {
        Self {
            place,
            listing: RwLock::default(),
            gate: tokio::sync::Mutex::default(),
            digests: Mutex::default(),
            followers: Mutex::default(),
            due: Mutex::new(due),
            used: Mutex::new(now),
        }
    }

    /// Waits for the right to talk to the server.
    pub(super) async fn turn(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, ChartError> {
        tokio::time::timeout(TURN, self.gate.lock())
            .await
            .map_err(|_| ChartError::Unreachable {
                host: self.place.url.clone(),
                reason: "an earlier request does not end".to_owned(),
            })
    }

    /// True when somebody follows a revision that may mean another version after a poll.
    pub(super) fn needs_polls(&self) -> bool {
        let index = self.current().map(|(index, _)| index);
        let followers = self.followers.lock();
        followers.values().flatten().any(|followed| {
            if self.place.is_artifact() {
                return !followed.revision.starts_with("sha256:");
            }
            let found =
                |index: &Arc<ChartIndex>| index.select(&followed.chart, &followed.revision).is_ok();
            moves(&followed.revision) || !index.as_ref().is_some_and(found)
        })
    }

    /// The index of now with its `ETag`, to be asked for again.
    pub(super) fn current(&self) -> Option<(Arc<ChartIndex>, String)> {
        let listing = self.listing.read();
        let versions = listing.value()?;
        Some((versions.index.clone(), versions.etag.clone()))
    }

    /// Takes a new index; gives the Applications for which a revision means another version now.
    pub(super) fn listed(
        &self,
        index: &Arc<ChartIndex>,
        etag: String,
        asked: Timestamp,
    ) -> Vec<ObjectKey> {
        let versions = Versions {
            index: index.clone(),
            etag,
        };
        let old = self.listing.write().listed(versions, asked);
        let Some(old) = old.map(|old| old.index).filter(|old| old != index) else {
            return Vec::new();
        };
        let followers = self.followers.lock();
        let moved = followers.iter().filter(|(_, followed)| {
            followed.iter().any(|one| {
                let at = |index: &ChartIndex| {
                    let found = index.select(&one.chart, &one.revision);
                    found.map(|version| version.version.clone()).ok()
                };
                at(&old) != at(index)
            })
        });
        moved.map(|(app, _)| app.clone()).collect()
    }

    /// Notes that the versions could not be listed.
    pub(super) fn failed(&self, error: ChartError, asked: Timestamp) {
        self.listing.write().failed(error, asked);
    }

    /// True when the last try to list versions failed.
    pub(super) fn is_failing(&self) -> bool {
        self.listing.read().is_failing()
    }

    /// What is known, when it is not older than `fresh` or a failure is recent.
    pub(super) fn known(
        &self,
        fresh: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Result<Listed, ChartError>> {
        self.listing.read().known(fresh, now)
    }

    /// The versions, or the error when none were ever listed; `None` before the first try.
    pub(super) fn snapshot(&self) -> Option<Result<Listed, ChartError>> {
        self.listing.read().latest()
    }
}
