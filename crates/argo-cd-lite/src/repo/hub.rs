//! All repositories in use: their refs, their stores, and who follows which revision.

use std::{collections::HashMap, sync::Arc};

use git_fetch::url::connection_url;
use jiff::Timestamp;
use parking_lot::Mutex;
use reconcile_core::{clock::Clock, credentials::redact_url, object::ObjectKey};
use sha2::{Digest, Sha256};

use super::{
    Commit, Credentials, Depth, FetchRequest, FileRepositories, Interrupt, PoolError, RefList,
    Resolved, RevisionError,
    error::exceeds,
    host_and_path,
    listing::{FAILING_POLL, UNFOLLOWED, later},
    repository::{FollowedRevision, Follower, Refs, RepoError, Repository, Snapshot},
    resolve,
    submodules::KnownSubmodules,
    transfer::{FETCH_DEADLINE, LIST_DEADLINE, StoreConfig, Transfers},
};
use crate::metrics::GitMetrics;

pub use config::{DEFAULT_DISK_BUDGET, HubConfig, PollTimes};

mod config;

/// Bytes of memory for the refs of all repositories.
const REFS_BUDGET: usize = 256 * 1024 * 1024;
/// A list of refs that always fits: some thousand refs.
const SHORT_LIST: usize = 1024 * 1024;

type Moved = dyn Fn(ObjectKey) + Send + Sync;

/// All repositories in use. Cloning shares them.
#[derive(Clone)]
pub struct RepoHub(Arc<Hub>);

struct Hub {
    poll: Mutex<PollTimes>,
    clock: Clock,
    repositories: Mutex<HashMap<String, Arc<Repository>>>,
    transfers: Transfers,
    submodules: KnownSubmodules,
    moved: Box<Moved>,
    wake: tokio::sync::Notify,
}

/// A revision that an application follows.
#[derive(Clone, Copy, Debug)]
pub struct Follow<'a> {
    /// URL of the repository.
    pub url: &'a str,
    /// The revision as the source names it.
    pub revision: &'a str,
    /// Prefix of tags that a version constraint looks at.
    pub tag_prefix: &'a str,
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
        let stores = StoreConfig {
            folder: config.folder,
            disk_budget: config.disk_budget,
            limits: config.limits,
            file_repositories: config.file_repositories,
            egress: config.egress,
            trust: config.trust,
        };
        Self(Arc::new(Hub {
            poll: Mutex::new(PollTimes {
                poll: config.poll,
                jitter: config.jitter,
            }),
            transfers: Transfers::new(stores, credentials, clock.clone(), metrics),
            clock,
            repositories: Mutex::default(),
            submodules: KnownSubmodules::default(),
            moved: Box::new(moved),
            wake: tokio::sync::Notify::new(),
        }))
    }

    /// Whether a repository may be a path on the machine of this process.
    pub fn file_repositories(&self) -> FileRepositories {
        self.0.transfers.file_repositories()
    }

    /// Time between two polls and its spread.
    pub fn poll_times(&self) -> PollTimes {
        *self.0.poll.lock()
    }

    /// Keeps other times. False when they are the same.
    pub(super) fn replace_poll_times(&self, times: PollTimes) -> bool {
        std::mem::replace(&mut *self.0.poll.lock(), times) != times
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(super) fn submodules(&self) -> &KnownSubmodules {
        &self.0.submodules
    }

    pub(super) fn transfers(&self) -> &Transfers {
        &self.0.transfers
    }

    pub(super) fn wake(&self) -> &tokio::sync::Notify {
        &self.0.wake
    }

    /// Repositories that somebody follows.
    pub(super) fn followed(&self) -> Vec<Arc<Repository>> {
        let repositories = self.0.repositories.lock();
        repositories
            .values()
            .filter(|repository| repository.is_followed())
            .cloned()
            .collect()
    }

    /// Forgets repositories that nobody follows and nobody asked for lately, and keeps the disk budget.
    pub(super) async fn sweep(&self) {
        let now = self.0.clock.now();
        let known: Vec<Arc<Repository>> = {
            let mut repositories = self.0.repositories.lock();
            repositories.retain(|_, repository| {
                repository.is_followed() || now.duration_since(repository.used()) < UNFOLLOWED
            });
            repositories.values().cloned().collect()
        };
        self.0.transfers.trim(&known, "").await;
    }

    pub(super) fn repository(&self, url: &str) -> Arc<Repository> {
        let now = self.0.clock.now();
        let key = connection_url(url);
        let mut repositories = self.0.repositories.lock();
        let repository = repositories
            .entry(key)
            .or_insert_with_key(|key| {
                let hash = hex::encode(&Sha256::digest(key.as_bytes())[..12]);
                // Its first application lists the refs; the poll comes an interval later.
                let due = later(now, self.poll_times().poll);
                Arc::new(Repository::new(key, format!("{hash}.git"), due, now))
            })
            .clone();
        repository.touch(now);
        repository
    }

    /// Notes the revisions that `app` of `project` follows, so that a poll can wake it; it then follows nothing else.
    pub fn follow(&self, app: &ObjectKey, project: &str, follows: &[Follow<'_>]) {
        let mut wanted: HashMap<String, (Arc<Repository>, Follower)> = HashMap::new();
        for follow in follows {
            let repository = self.repository(follow.url);
            let entry = wanted.entry(repository.folder.clone());
            entry
                .or_insert_with(|| (repository, Follower::of(project)))
                .1
                .revisions
                .push(FollowedRevision {
                    revision: follow.revision.to_owned(),
                    tag_prefix: follow.tag_prefix.to_owned(),
                });
        }
        let same = wanted
            .values()
            .all(|(repository, follower)| repository.followers.lock().get(app) == Some(follower));
        if same && !wanted.is_empty() {
            return;
        }
        for other in self.0.repositories.lock().values() {
            if !wanted.contains_key(&other.folder) {
                other.followers.lock().remove(app);
            }
        }
        for (repository, follower) in wanted.into_values() {
            repository.followers.lock().insert(app.clone(), follower);
        }
    }

    /// `app` follows nothing any more; repositories without followers are not polled, and go after a while.
    pub fn forget(&self, app: &ObjectKey) {
        for repository in self.0.repositories.lock().values() {
            repository.followers.lock().remove(app);
        }
    }

    /// The refs of `url`. With `fresh`, refs that were asked for before that time are listed again. An error only
    /// when there are none at all; a failing server otherwise shows in the snapshot.
    pub async fn refs(&self, url: &str, fresh: Option<Timestamp>) -> Result<Snapshot, RepoError> {
        let repository = self.repository(url);
        self.refs_of(&repository, fresh).await
    }

    pub(super) async fn refs_of(
        &self,
        repository: &Arc<Repository>,
        fresh: Option<Timestamp>,
    ) -> Result<Snapshot, RepoError> {
        if let Some(known) = repository.known(fresh, self.0.clock.now()) {
            return known;
        }
        let turn = repository.turn(LIST_DEADLINE).await?;
        // Whoever had the turn before may have done the work.
        if let Some(known) = repository.known(fresh, self.0.clock.now()) {
            return known;
        }
        let asked = self.0.clock.now();
        let (listed, turn) = self.0.transfers.list(repository, turn).await;
        let listed = listed.and_then(|list| self.admit(repository, Refs::of(list)));
        let old = match listed {
            Ok(refs) => repository.listed(refs, asked),
            Err(error) => {
                tracing::warn!(repository = %redact_url(&repository.url), %error, "cannot list refs");
                repository.failed(error, asked);
                *repository.due.lock() = Some(later(asked, FAILING_POLL));
                None
            }
        };
        drop(turn);
        if let Some(old) = old {
            self.wake_moved(repository, &old);
        }
        repository.snapshot()
    }

    /// Refuses a long list of refs when all lists together would take too much memory. Short ones always fit.
    fn admit(&self, repository: &Repository, refs: Refs) -> Result<Refs, RepoError> {
        if refs.size <= SHORT_LIST {
            return Ok(refs);
        }
        let repositories = self.0.repositories.lock();
        let others: usize = (repositories.values())
            .filter(|other| other.folder != repository.folder)
            .map(|other| other.refs_size())
            .sum();
        if others.saturating_add(refs.size) <= REFS_BUDGET {
            return Ok(refs);
        }
        let what = "bytes of the refs of all repositories";
        Err(RepoError::Git(exceeds(what, REFS_BUDGET as u64)))
    }

    /// Wakes the applications whose revision moved between `old` and the refs of now.
    fn wake_moved(&self, repository: &Repository, old: &RefList) {
        let Some(new) = repository.refs() else {
            return;
        };
        let followers: Vec<(ObjectKey, Vec<FollowedRevision>)> = repository
            .followers
            .lock()
            .iter()
            .map(|(key, follower)| (key.clone(), follower.revisions.clone()))
            .collect();
        for (app, followed) in followers {
            let moved = followed.iter().any(|followed| {
                let at = |refs| resolve(refs, &followed.revision, &followed.tag_prefix).ok();
                at(&new) != at(old)
            });
            if moved {
                (self.0.moved)(app);
            }
        }
    }

    /// Wakes every application that follows `repository`, for example when its server is back.
    pub(super) fn wake_all(&self, repository: &Repository) {
        for app in repository.followers.lock().keys() {
            (self.0.moved)(app.clone());
        }
    }

    /// Asks for a poll now of every repository that is one of `urls`; gives how many there are.
    pub fn poll_now(&self, urls: &[String]) -> usize {
        let pushed: Vec<String> = urls.iter().map(|url| host_and_path(url)).collect();
        let mut found = 0;
        for repository in self.followed() {
            if pushed.contains(&host_and_path(&repository.url)) {
                *repository.due.lock() = None;
                found += 1;
            }
        }
        if found > 0 {
            self.0.wake.notify_one();
        }
        found
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
        let repository = self.repository(url);
        let transfers = &self.0.transfers;
        let store = transfers.store(&repository).await?;
        let find = {
            let (store, short) = (store.clone(), short.to_owned());
            move |_: &Interrupt| store.expand(&short)
        };
        let mut found = transfers.read(find.clone()).await?;
        if found.is_none() {
            let turn = repository.turn(FETCH_DEADLINE).await?;
            let history = FetchRequest {
                source: "refs/heads/*".to_owned(),
                depth: Depth::Full,
            };
            drop(transfers.fetch(&repository, &store, history, turn).await?);
            found = transfers.read(find).await?;
        }
        let commit = found.ok_or_else(|| RevisionError::Short(short.to_owned()))?;
        Ok(Resolved {
            commit,
            reference: None,
        })
    }

    /// Makes sure that the commit is in the store.
    pub async fn commit(&self, url: &str, at: &Resolved) -> Result<Commit, RepoError> {
        let repository = self.repository(url);
        let transfers = &self.0.transfers;
        let store = transfers.store(&repository).await?;
        transfers.ensure(&repository, &store, at).await?;
        Ok(Commit::new(store, &at.commit))
    }

    /// The commit with the contents of Git LFS, when the Secret of its repository says `enableLfs`.
    pub fn with_large_files(&self, url: &str, commit: Commit) -> Commit {
        match self.0.transfers.large_files(&self.repository(url)) {
            Some(large) => commit.with_contents(large),
            None => commit,
        }
    }

    /// Downloads what reads of the commit and of its submodules found to be missing; false when nothing was.
    pub async fn fetch_large_files(&self, commit: &Commit) -> Result<bool, RepoError> {
        let mut found = false;
        for files in commit.large_files() {
            let missing: Vec<_> = files.take_missing().into_iter().collect();
            if missing.is_empty() {
                continue;
            }
            let repository = self.repository(files.url());
            let transfers = &self.0.transfers;
            transfers.fetch_large(&repository, files, missing).await?;
            found = true;
        }
        Ok(found)
    }

    /// Runs `call`, which reads a little, on a thread of its own; it does not wait for renders.
    pub async fn look_up<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Interrupt) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        self.0.transfers.look_up(call).await
    }

    /// Runs `call`, which reads or renders, on a thread of its own instead of those of the async runtime.
    pub async fn read<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Interrupt) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        self.0.transfers.read(call).await
    }

    /// Runs `call`, which starts other programs for `project`, on a thread of its own; programs do not hold up reads.
    pub async fn run_tool<T: Send + 'static>(
        &self,
        project: &str,
        call: impl FnOnce(&Interrupt) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        self.0.transfers.run_tool(project, call).await
    }
}
