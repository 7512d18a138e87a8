//! One repository in use: its refs, its store, and who follows which revision.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use git_fetch::{FetchError, Share, url::host};
use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use reconcile_core::object::ObjectKey;

use super::{
    GitError, GithubAppError, PoolError, RefList, RevisionError, Store,
    credentials::UnsupportedMembers,
    listing::{Latest, Listing},
};
use thiserror::Error;

/// A repository that cannot be read.
#[derive(Clone, Debug, Error)]
pub enum RepoError {
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The revision does not exist.
    #[error(transparent)]
    Revision(#[from] RevisionError),
    /// The conversation before this one does not end.
    #[error("the repository did not answer within {} s", .0.as_secs())]
    Late(Duration),
    /// No thread gave a result.
    #[error("reading the repository: {0}")]
    Pool(#[from] PoolError),
    /// The credentials have members that are not supported.
    #[error(transparent)]
    Credentials(#[from] UnsupportedMembers),
    /// GitHub gives no token for the App of the credentials.
    #[error(transparent)]
    GithubApp(#[from] GithubAppError),
    /// The URL can name files of this machine, and no flag permits that.
    #[error(
        "only repositories by http, https and ssh are read; the controller's flag --allow-file-repositories permits file:// ones"
    )]
    LocalFile,
    /// The URL leads to a store of this process.
    #[error("the repository is in the folder of the controller's own stores")]
    Own,
    /// The refs were never listed.
    #[error("the refs of the repository are not listed yet")]
    Unlisted,
}

impl From<FetchError> for RepoError {
    fn from(error: FetchError) -> Self {
        Self::Git(error.into())
    }
}

impl RepoError {
    /// True when trying again later may help without any change of the Application.
    pub fn is_transient(&self) -> bool {
        if let Self::GithubApp(error) = self {
            return error.is_transient();
        }
        matches!(
            self,
            Self::Git(
                GitError::Fetch(
                    FetchError::Remote(_) | FetchError::Store(_) | FetchError::NotFound
                ) | GitError::Interrupted
            ) | Self::Late(_)
                | Self::Pool(_)
                | Self::Unlisted
        )
    }
}

/// The refs as they were listed.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The refs.
    pub refs: Arc<RefList>,
    /// When the list was asked for.
    pub asked: Timestamp,
    /// The last attempt failed since then: with this error, since this time.
    pub failing: Option<(RepoError, Timestamp)>,
}

/// The revision of a repository that an Application follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FollowedRevision {
    pub(super) revision: String,
    pub(super) tag_prefix: String,
}

/// What one Application follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Follower {
    /// The project of the Application.
    pub(super) project: String,
    pub(super) revisions: Vec<FollowedRevision>,
}

impl Follower {
    /// An Application of `project` that follows nothing yet.
    pub(super) fn of(project: &str) -> Self {
        Self {
            project: project.to_owned(),
            revisions: Vec::new(),
        }
    }
}

/// Refs with what they take.
#[derive(Clone)]
pub(super) struct Refs {
    list: Arc<RefList>,
    /// Bytes of the list.
    pub(super) size: usize,
}

impl Refs {
    pub(super) fn of(list: RefList) -> Self {
        Self {
            size: list.size(),
            list: Arc::new(list),
        }
    }
}

impl Snapshot {
    fn of(latest: Latest<Refs, RepoError>) -> Self {
        let Latest {
            value,
            asked,
            failing,
        } = latest;
        Self {
            refs: value.list,
            asked,
            failing,
        }
    }
}

/// How the server of a repository did lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It was not asked.
    Untried,
    /// It answered fast.
    Fast,
    /// It was late or slow.
    Slow,
}

/// For how long a slow server counts as one, whatever it does next.
const SLOW_LASTS: Duration = Duration::from_mins(5);

/// The right to talk to a repository's server.
pub(super) type Turn = tokio::sync::OwnedMutexGuard<()>;

pub(super) struct Repository {
    pub(super) url: String,
    /// Name of the folder of its store.
    pub(super) folder: String,
    pub(super) store: tokio::sync::Mutex<Option<Arc<Store>>>,
    listing: RwLock<Listing<Refs, RepoError>>,
    /// One conversation with the server at a time; others wait for its result. It is held until the conversation
    /// ends, even when nobody waits for it any longer.
    gate: Arc<tokio::sync::Mutex<()>>,
    pub(super) followers: Mutex<HashMap<ObjectKey, Follower>>,
    /// When the poll is due; `None` asks for one at once.
    pub(super) due: Mutex<Option<Timestamp>>,
    /// When it was last asked for anything.
    used: Mutex<Timestamp>,
    /// Whether the server answered at all, and when it was slow.
    server: Mutex<(bool, Option<Instant>)>,
}

impl Repository {
    pub(super) fn new(url: &str, folder: String, due: Timestamp, now: Timestamp) -> Self {
        Self {
            url: url.to_owned(),
            folder,
            store: tokio::sync::Mutex::default(),
            listing: RwLock::default(),
            gate: Arc::default(),
            followers: Mutex::default(),
            due: Mutex::new(Some(due)),
            used: Mutex::new(now),
            server: Mutex::default(),
        }
    }

    /// Waits for the right to talk to the server. Late when the conversation before does not end.
    pub(super) async fn turn(&self, deadline: Duration) -> Result<Turn, RepoError> {
        tokio::time::timeout(deadline, self.gate.clone().lock_owned())
            .await
            .map_err(|_| RepoError::Late(deadline))
    }

    /// The right to talk to the server, if nobody has it.
    pub(super) fn idle_turn(&self) -> Option<Turn> {
        self.gate.clone().try_lock_owned().ok()
    }

    pub(super) fn standing(&self) -> Standing {
        match *self.server.lock() {
            (_, Some(at)) if at.elapsed() < SLOW_LASTS => Standing::Slow,
            (true, _) => Standing::Fast,
            (false, _) => Standing::Untried,
        }
    }

    /// Notes that the server answered, or did not in time.
    pub(super) fn answered(&self, slow: bool) {
        let mut server = self.server.lock();
        server.0 = true;
        if slow {
            server.1 = Some(Instant::now());
        }
    }

    pub(super) fn touch(&self, now: Timestamp) {
        *self.used.lock() = now;
    }

    pub(super) fn used(&self) -> Timestamp {
        *self.used.lock()
    }

    /// Whom a conversation with the server counts for.
    pub(super) fn share(&self) -> Share {
        let followers = self.followers.lock();
        let projects: BTreeSet<&String> = followers
            .values()
            .map(|follower| &follower.project)
            .collect();
        Share {
            host: Some(host(&self.url)).filter(|host| !host.is_empty()),
            projects: projects.into_iter().cloned().collect(),
        }
    }

    /// True when somebody follows it.
    pub(super) fn is_followed(&self) -> bool {
        !self.followers.lock().is_empty()
    }

    /// True when the last attempt to list the refs failed.
    pub(super) fn is_failing(&self) -> bool {
        self.listing.read().is_failing()
    }

    pub(super) fn refs(&self) -> Option<Arc<RefList>> {
        self.listing.read().value().map(|refs| refs.list.clone())
    }

    /// Bytes of the refs in memory.
    pub(super) fn refs_size(&self) -> usize {
        self.listing.read().value().map_or(0, |refs| refs.size)
    }

    /// Takes a new list; gives the old one when the two differ.
    pub(super) fn listed(&self, new: Refs, asked: Timestamp) -> Option<Arc<RefList>> {
        let mut listing = self.listing.write();
        if let Some(same) = listing
            .value()
            .filter(|refs| refs.list == new.list)
            .cloned()
        {
            listing.listed(same, asked);
            return None;
        }
        let old = listing.listed(new, asked);
        old.map(|refs| refs.list)
    }

    /// Notes that the refs could not be listed.
    pub(super) fn failed(&self, error: RepoError, asked: Timestamp) {
        self.listing.write().failed(error, asked);
    }

    /// What is known, when it is not older than `fresh` or a failure is recent.
    pub(super) fn known(
        &self,
        fresh: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Result<Snapshot, RepoError>> {
        let known = self.listing.read().known(fresh, now)?;
        Some(known.map(Snapshot::of))
    }

    /// The refs, or the error when there are none.
    pub(super) fn snapshot(&self) -> Result<Snapshot, RepoError> {
        let latest = self.listing.read().latest();
        latest.unwrap_or(Err(RepoError::Unlisted)).map(Snapshot::of)
    }
}
