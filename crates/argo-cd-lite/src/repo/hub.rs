//! All repositories in use: their refs, their stores, and who uses which revision.

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use reconcile_core::{clock::Clock, object::ObjectKey};
use thiserror::Error;
use tokio::sync::{OnceCell, Semaphore};

use super::{
    CommitFiles, Credentials, GitError, RefList, Resolved, RevisionError, Store, resolve,
    transfer::{FETCH_DEADLINE, LIST_DEADLINE, turn},
    url::normalize,
};
use crate::metrics::GitMetrics;

/// Blocking Git calls at the same time: each may hold a pack in memory.
const CALLS: usize = 4;
/// A failure to list refs is not repeated for callers within this time.
const FAILURE_LASTS: i64 = 5;

/// Where stores are and how to reach repositories.
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// Folder of the stores.
    pub folder: PathBuf,
    /// Time between two polls of a repository.
    pub poll: Duration,
    /// Spread of that time, so that repositories are not polled together.
    pub jitter: Duration,
}

/// A repository that cannot be read.
#[derive(Clone, Debug, Error)]
pub enum RepoError {
    /// Git failed.
    #[error("{0}")]
    Git(#[from] GitError),
    /// The revision does not exist.
    #[error("{0}")]
    Revision(#[from] RevisionError),
    /// The operation did not end in time.
    #[error("the repository did not answer within {} s", .0.as_secs())]
    Late(Duration),
    /// The credentials ask for something that we do not do.
    #[error("credentials with {0} are not supported yet")]
    Credentials(String),
    /// The URL leads to a store of ours.
    #[error("the repository is in the folder of the controller's own stores")]
    Own,
    /// A task was lost.
    #[error("the Git task stopped: {0}")]
    Stopped(String),
}

impl RepoError {
    /// True when trying again later may help without any change of the Application.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Git(GitError::Remote(_) | GitError::Store(_)) | Self::Late(_) | Self::Stopped(_)
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

#[derive(Default)]
struct State {
    refs: Option<Arc<RefList>>,
    asked: Option<Timestamp>,
    failed: Option<(RepoError, Timestamp)>,
    failing_since: Option<Timestamp>,
}

/// Who uses a repository, and at which revision.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Use {
    revision: String,
    tag_prefix: String,
}

pub(super) struct Repo {
    pub(super) url: String,
    pub(super) store: OnceCell<Arc<Store>>,
    state: RwLock<State>,
    /// One conversation with the server at a time; others wait for its result.
    /// It is held until the conversation really ends, even when nobody waits for it any more: a server
    /// that never answers must not occupy one thread after another.
    pub(super) gate: Arc<tokio::sync::Mutex<()>>,
    uses: Mutex<HashMap<ObjectKey, Use>>,
    /// When the poll is due; `None` asks for one at once.
    pub(super) due: Mutex<Option<Timestamp>>,
}

type Moved = dyn Fn(ObjectKey) + Send + Sync;

/// All repositories in use. Cloning shares them.
#[derive(Clone)]
pub struct RepoHub(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) config: HubConfig,
    pub(super) credentials: Credentials,
    clock: Clock,
    repos: Mutex<HashMap<String, Arc<Repo>>>,
    pub(super) calls: Semaphore,
    moved: Box<Moved>,
    pub(super) metrics: GitMetrics,
    wake: tokio::sync::Notify,
}

impl RepoHub {
    /// A hub that calls `moved` for each application whose revision points elsewhere than before.
    pub fn new(
        config: HubConfig,
        credentials: Credentials,
        clock: Clock,
        metrics: GitMetrics,
        moved: impl Fn(ObjectKey) + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Shared {
            config,
            credentials,
            clock,
            repos: Mutex::default(),
            calls: Semaphore::new(CALLS),
            moved: Box::new(moved),
            metrics,
            wake: tokio::sync::Notify::new(),
        }))
    }

    pub(super) fn config(&self) -> &HubConfig {
        &self.0.config
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(super) fn wake(&self) -> &tokio::sync::Notify {
        &self.0.wake
    }

    /// Repositories that somebody follows.
    pub(super) fn all(&self) -> Vec<Arc<Repo>> {
        let repos = self.0.repos.lock();
        repos
            .values()
            .filter(|repo| !repo.uses.lock().is_empty())
            .cloned()
            .collect()
    }

    fn repo(&self, url: &str) -> Arc<Repo> {
        let mut repos = self.0.repos.lock();
        repos
            .entry(normalize(url))
            .or_insert_with(|| {
                Arc::new(Repo {
                    url: url.trim().to_owned(),
                    store: OnceCell::new(),
                    state: RwLock::default(),
                    gate: Arc::default(),
                    uses: Mutex::default(),
                    // Its first application lists the refs; the poll comes an interval later.
                    due: Mutex::new(Some(super::poll::later(
                        self.0.clock.now(),
                        self.0.config.poll,
                    ))),
                })
            })
            .clone()
    }

    /// Notes that `app` follows `revision` of `url`, so that a poll can wake it; it then follows nothing
    /// else.
    pub fn follow(&self, app: &ObjectKey, url: &str, revision: &str, tag_prefix: &str) {
        let wanted = Use {
            revision: revision.to_owned(),
            tag_prefix: tag_prefix.to_owned(),
        };
        let repo = self.repo(url);
        if repo.uses.lock().get(app) == Some(&wanted) {
            return;
        }
        // In before out: a repository must not be dropped between the two.
        repo.uses.lock().insert(app.clone(), wanted);
        self.0.repos.lock().retain(|_, other| {
            if Arc::ptr_eq(other, &repo) {
                return true;
            }
            let mut uses = other.uses.lock();
            uses.remove(app).is_none() || !uses.is_empty()
        });
    }

    /// `app` follows nothing any more; repositories without followers are not polled.
    pub fn forget(&self, app: &ObjectKey) {
        self.0.repos.lock().retain(|_, repo| {
            let mut uses = repo.uses.lock();
            uses.remove(app).is_none() || !uses.is_empty()
        });
    }

    /// The refs of `url`. With `fresh`, refs that were asked for before that time are listed anew. An
    /// error only when there are none at all; a failing server otherwise shows in the snapshot.
    pub async fn refs(&self, url: &str, fresh: Option<Timestamp>) -> Result<Snapshot, RepoError> {
        let repo = self.repo(url);
        self.refs_of(&repo, fresh).await
    }

    pub(super) async fn refs_of(
        &self,
        repo: &Arc<Repo>,
        fresh: Option<Timestamp>,
    ) -> Result<Snapshot, RepoError> {
        if let Some(known) = self.known(repo, fresh) {
            return known;
        }
        let turn = turn(repo, LIST_DEADLINE).await?;
        // Whoever had the gate before may have done the work.
        if let Some(known) = self.known(repo, fresh) {
            return known;
        }
        let asked = self.0.clock.now();
        let (listed, turn) = self.list(repo, turn).await;
        self.0.metrics.listed(&repo.url, listed.is_ok());
        let old = {
            let mut state = repo.state.write();
            match listed {
                Ok(list) => {
                    state.failed = None;
                    state.failing_since = None;
                    state.asked = Some(asked);
                    let changed = state.refs.as_deref() != Some(&list);
                    changed
                        .then(|| state.refs.replace(Arc::new(list)))
                        .flatten()
                }
                Err(error) => {
                    tracing::warn!(repository = %super::url::redact(&repo.url), %error, "cannot list refs");
                    state.failing_since.get_or_insert(asked);
                    state.failed = Some((error, asked));
                    *repo.due.lock() = Some(super::poll::later(asked, super::poll::FAILING));
                    None
                }
            }
        };
        drop(turn);
        if let Some(old) = old {
            self.tell(repo, &old);
        }
        self.answer(repo)
    }

    fn known(&self, repo: &Repo, fresh: Option<Timestamp>) -> Option<Result<Snapshot, RepoError>> {
        let now = self.0.clock.now();
        let usable = {
            let state = repo.state.read();
            let listed = state
                .asked
                .is_some_and(|asked| fresh.is_none_or(|fresh| asked >= fresh));
            let failed = state.failed.as_ref().is_some_and(|(_, at)| {
                now.as_second() - at.as_second() < FAILURE_LASTS
                    && fresh.is_none_or(|fresh| *at >= fresh)
            });
            listed || failed
        };
        usable.then(|| self.answer(repo))
    }

    #[expect(clippy::unused_self, reason = "reads as a question to the hub")]
    fn answer(&self, repo: &Repo) -> Result<Snapshot, RepoError> {
        let state = repo.state.read();
        match (&state.refs, state.asked, &state.failed) {
            (Some(refs), Some(asked), failed) => Ok(Snapshot {
                refs: refs.clone(),
                asked,
                failing: failed
                    .as_ref()
                    .map(|(error, at)| (error.clone(), state.failing_since.unwrap_or(*at))),
            }),
            (_, _, Some((error, _))) => Err(error.clone()),
            _ => Err(RepoError::Stopped("the refs were never listed".to_owned())),
        }
    }

    /// Wakes the applications whose revision moved between `old` and the refs of now.
    fn tell(&self, repo: &Repo, old: &RefList) {
        let Some(new) = repo.state.read().refs.clone() else {
            return;
        };
        let uses: Vec<(ObjectKey, Use)> = repo
            .uses
            .lock()
            .iter()
            .map(|(key, use_)| (key.clone(), use_.clone()))
            .collect();
        for (app, use_) in uses {
            let before = resolve(old, &use_.revision, &use_.tag_prefix).ok();
            if resolve(&new, &use_.revision, &use_.tag_prefix).ok() != before {
                (self.0.moved)(app);
            }
        }
    }

    /// Wakes every application that follows `repo`, for example when its server is back.
    pub(super) fn tell_all(&self, repo: &Repo) {
        for app in repo.uses.lock().keys() {
            (self.0.moved)(app.clone());
        }
    }

    /// True when nobody ever listed the refs of `repo`, or the last attempt failed.
    #[expect(clippy::unused_self, reason = "reads as a question to the hub")]
    pub(super) fn is_failing(&self, repo: &Repo) -> bool {
        repo.state.read().failed.is_some()
    }

    /// Finds the commit of `revision`, fetching history when only that can tell.
    pub async fn resolve(
        &self,
        url: &str,
        refs: &RefList,
        revision: &str,
        tag_prefix: &str,
    ) -> Result<Resolved, RepoError> {
        match resolve(refs, revision, tag_prefix) {
            Err(RevisionError::Short(short)) => self.expand(url, &short).await,
            other => Ok(other?),
        }
    }

    async fn expand(&self, url: &str, short: &str) -> Result<Resolved, RepoError> {
        let repo = self.repo(url);
        let store = self.store(&repo).await?;
        let find = {
            let (store, short) = (store.clone(), short.to_owned());
            move || store.expand(&short)
        };
        let mut found = self.blocking(LIST_DEADLINE, find.clone()).await?;
        if found.is_none() {
            let turn = turn(&repo, FETCH_DEADLINE).await?;
            drop(
                self.fetch(&repo, &store, "refs/heads/*", true, turn)
                    .await?,
            );
            found = self.blocking(LIST_DEADLINE, find).await?;
        }
        let commit = found.ok_or_else(|| RevisionError::Short(short.to_owned()))?;
        Ok(Resolved {
            commit,
            reference: None,
        })
    }

    /// Makes sure that the commit is in the store and gives the id of the folder `path`.
    pub async fn folder_id(
        &self,
        url: &str,
        at: &Resolved,
        path: &str,
    ) -> Result<String, RepoError> {
        let repo = self.repo(url);
        let store = self.store(&repo).await?;
        self.ensure(&repo, &store, at).await?;
        let (commit, path) = (at.commit.clone(), path.to_owned());
        // Reading a tree is a few small reads of a mapped file; not worth a hop to another thread.
        Ok(store.folder_id(&commit, &path)?)
    }

    /// The files of the folder `path` for which `wanted` says yes.
    pub async fn files(
        &self,
        url: &str,
        commit: &str,
        path: &str,
        recurse: bool,
        limit: usize,
        wanted: impl Fn(&str) -> bool + Send + 'static,
    ) -> Result<CommitFiles, RepoError> {
        let repo = self.repo(url);
        let store = self.store(&repo).await?;
        let (commit, path) = (commit.to_owned(), path.to_owned());
        Ok(self
            .blocking(LIST_DEADLINE, move || {
                store.files(&commit, &path, recurse, limit, &wanted)
            })
            .await??)
    }
}
