//! Conversations with Git servers, and the stores that keep what they brought.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use git_fetch::{FetchError, Login, Share, SshUrl, StoreRules};
use reconcile_core::{clock::Clock, egress::EgressPolicy};

use super::{
    Credential, Credentials, Depth, FetchRequest, FileRepositories, GitLimits, Interrupt,
    LargeFiles, Pool, PoolError, RefList, Resolved, Store, Trust, disk,
    github_app::GithubTokens,
    lanes::Lanes,
    lfs::{Download, Pointer},
    repository::{RepoError, Repository, Turn},
    trust::NAMES,
};
use crate::metrics::{GitMetrics, RequestEnd};

/// Deadline of a list of refs and of a read; upstream's is 15 s.
pub(super) const LIST_DEADLINE: Duration = Duration::from_secs(15);
pub(super) const FETCH_DEADLINE: Duration = Duration::from_secs(90);
/// Deadline of a call that runs other programs; longer than that of a program.
const TOOL_DEADLINE: Duration = Duration::from_secs(150);

/// Short reads at the same time.
const LOOKUPS: usize = 4;
/// A list of refs that takes longer is slow.
const SLOW_LIST: Duration = Duration::from_secs(5);
/// A fetch that takes longer is slow.
const SLOW_FETCH: Duration = Duration::from_secs(20);

/// Talks to Git servers and keeps the stores within their disk budget.
pub(super) struct Transfers {
    folder: PathBuf,
    disk_budget: u64,
    limits: GitLimits,
    file_repositories: FileRepositories,
    credentials: Credentials,
    egress: EgressPolicy,
    trust: Trust,
    tokens: GithubTokens,
    metrics: GitMetrics,
    lanes: Lanes,
    lookups: Pool,
    reads: Pool,
    tools: Pool,
}

/// Where stores are and what they may cost.
pub(super) struct StoreConfig {
    pub(super) folder: PathBuf,
    pub(super) disk_budget: u64,
    pub(super) limits: GitLimits,
    pub(super) file_repositories: FileRepositories,
    pub(super) egress: EgressPolicy,
    pub(super) trust: Trust,
}

impl Transfers {
    pub(super) fn new(
        config: StoreConfig,
        credentials: Credentials,
        clock: Clock,
        metrics: GitMetrics,
    ) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            folder: config.folder,
            disk_budget: config.disk_budget,
            limits: config.limits,
            file_repositories: config.file_repositories,
            credentials,
            egress: config.egress,
            tokens: GithubTokens::new(config.egress, config.trust.clone(), clock),
            trust: config.trust,
            lanes: Lanes::new(&metrics),
            // Short reads of every pass, which must not wait for renders.
            lookups: Pool::new("lookup", LOOKUPS, metrics.threads("lookup")),
            // Reading and rendering need the processor; more threads than cores only cost memory.
            reads: Pool::new("render", cores.clamp(2, 8), metrics.threads("render")),
            tools: Pool::new("tool", cores.clamp(2, 4), metrics.threads("tool")),
            metrics,
        }
    }

    /// Whether a repository may be a path on the machine of this process.
    pub(super) fn file_repositories(&self) -> FileRepositories {
        self.file_repositories
    }

    /// Runs `call`, which reads or renders, on a thread of its own.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Interrupt) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        self.reads.run(LIST_DEADLINE, call).await
    }

    /// Runs `call`, which reads a little, on a thread of its own.
    pub(super) async fn look_up<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Interrupt) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        self.lookups.run(LIST_DEADLINE, call).await
    }

    /// True when the commit is in the store.
    async fn has(&self, store: &Arc<Store>, commit: &str) -> Result<bool, PoolError> {
        if store.is_known(commit) {
            return Ok(true);
        }
        let (store, commit) = (store.clone(), commit.to_owned());
        self.look_up(move |_| store.has(&commit)).await
    }

    /// Runs `call`, which runs other programs for `project`, on a thread of its own.
    pub(super) async fn run_tool<T: Send + 'static>(
        &self,
        project: &str,
        call: impl FnOnce(&Interrupt) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let share = Share::of_project(project);
        self.tools.run_for(share, TOOL_DEADLINE, call).await
    }

    /// Makes sure that the commit is in the store.
    pub(super) async fn ensure(
        &self,
        repository: &Arc<Repository>,
        store: &Arc<Store>,
        at: &Resolved,
    ) -> Result<(), RepoError> {
        if self.has(store, &at.commit).await? {
            return Ok(());
        }
        let mut turn = repository.turn(FETCH_DEADLINE).await?;
        if self.has(store, &at.commit).await? {
            return Ok(());
        }
        let tip = |source: &str| FetchRequest {
            source: source.to_owned(),
            depth: Depth::Tip,
        };
        // The ref may have moved on since it was listed; then the commit itself is asked for.
        if let Some(reference) = at.reference.as_deref().filter(|name| *name != "HEAD") {
            turn = self.fetch(repository, store, tip(reference), turn).await?;
        }
        if !self.has(store, &at.commit).await? {
            turn = self.fetch(repository, store, tip(&at.commit), turn).await?;
        }
        drop(turn);
        if self.has(store, &at.commit).await? {
            self.mark_used(repository).await;
            return Ok(());
        }
        Err(FetchError::NoRevision(at.commit.clone()).into())
    }

    pub(super) async fn fetch(
        &self,
        repository: &Arc<Repository>,
        store: &Arc<Store>,
        request: FetchRequest,
        turn: Turn,
    ) -> Result<Turn, RepoError> {
        let login = self.login(&repository.url).await?;
        let store = store.clone();
        let began = Instant::now();
        // The turn goes with the call, so that a late one keeps it until it ends.
        let fetched = self
            .lanes
            .run(repository, FETCH_DEADLINE, SLOW_FETCH, move |interrupt| {
                (store.fetch(&request, login.as_ref(), interrupt), turn)
            })
            .await;
        let end = RequestEnd {
            fine: matches!(fetched, Ok((Ok(()), _))),
            took: began.elapsed(),
        };
        self.metrics.fetched(&repository.url, end);
        let (result, turn) = fetched?;
        result?;
        Ok(turn)
    }

    /// The repository Secrets.
    pub(super) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The contents of Git LFS of a repository; `None` where pointers stay what they are.
    pub(super) fn large_files(&self, repository: &Repository) -> Option<LargeFiles> {
        let secret = self.credentials.find(&repository.url)?;
        let folder = self.folder.join(&repository.folder);
        (secret.credential.large_files).then(|| LargeFiles::new(&repository.url, &folder))
    }

    /// Downloads the contents of pointers of Git LFS.
    pub(super) async fn fetch_large(
        &self,
        repository: &Arc<Repository>,
        files: &Arc<LargeFiles>,
        pointers: Vec<Pointer>,
    ) -> Result<(), RepoError> {
        let download = Download {
            url: repository.url.clone(),
            credential: self.credential(&repository.url).await?,
            egress: self.egress,
            limit: self.limits.object_bytes,
        };
        let (files, turn) = (files.clone(), repository.turn(FETCH_DEADLINE).await?);
        let fetched = self
            .lanes
            .run(repository, FETCH_DEADLINE, SLOW_FETCH, move |interrupt| {
                (download.run(&files, &pointers, interrupt), turn)
            })
            .await;
        let (result, turn) = fetched?;
        drop(turn);
        Ok(result?)
    }

    pub(super) async fn list(
        &self,
        repository: &Arc<Repository>,
        turn: Turn,
    ) -> (Result<RefList, RepoError>, Option<Turn>) {
        let ready = match self.store(repository).await {
            Ok(store) => (self.login(&repository.url).await).map(|login| (store, login)),
            Err(error) => Err(error),
        };
        let (store, login) = match ready {
            Ok(ready) => ready,
            Err(error) => return (Err(error), Some(turn)),
        };
        let began = Instant::now();
        let listed = self
            .lanes
            .run(repository, LIST_DEADLINE, SLOW_LIST, move |interrupt| {
                (store.list_refs(login.as_ref(), interrupt), turn)
            })
            .await;
        let end = RequestEnd {
            fine: matches!(listed, Ok((Ok(_), _))),
            took: began.elapsed(),
        };
        self.metrics.listed(&repository.url, end);
        match listed {
            Ok((list, turn)) => (list.map_err(RepoError::from), Some(turn)),
            Err(error) => (Err(error.into()), None),
        }
    }

    async fn login(&self, url: &str) -> Result<Option<Login>, RepoError> {
        let credential = self.credential(url).await?;
        Ok(credential.map(|one| one.login()).transpose()?)
    }

    async fn credential(&self, url: &str) -> Result<Option<Credential>, RepoError> {
        let secret = self.credentials.find(url);
        let mut credential = match secret {
            Some(secret) => Some(secret.usable()?),
            None => None,
        };
        if SshUrl::parse(url).is_some() {
            credential.get_or_insert_default().known_hosts = self.trust.known_hosts();
        } else if let Ok(parsed) = reqwest::Url::parse(url)
            && let Some(authority) = self
                .trust
                .certificates(parsed.host_str().unwrap_or_default())
        {
            credential.get_or_insert_default().authority = Some(authority);
        }
        match credential {
            Some(credential) => Ok(Some(self.tokens.log_in(credential).await?)),
            None => Ok(None),
        }
    }

    /// The store of a repository, opened or created when needed. Every list, fetch and read begins here, so a
    /// repository that is refused here is never reached, whatever named it.
    pub(super) async fn store(
        &self,
        repository: &Arc<Repository>,
    ) -> Result<Arc<Store>, RepoError> {
        if !self.file_repositories.permit(&repository.url) {
            return Err(RepoError::LocalFile);
        }
        let mut open = repository.store.lock().await;
        if let Some(store) = open.as_ref() {
            return Ok(store.clone());
        }
        let folder = self.folder.clone();
        let rules = StoreRules {
            limits: self.limits,
            egress: self.egress,
            names: NAMES,
        };
        let (name, url) = (repository.folder.clone(), repository.url.clone());
        let store = self
            .read(move |_| {
                let path = folder.join(name);
                let store = Store::open(&path, &url, rules)?;
                refuse_stores(&url, &folder)?;
                disk::mark_used(&path);
                Ok::<_, RepoError>(Arc::new(store))
            })
            .await??;
        *open = Some(store.clone());
        Ok(store)
    }

    /// Deletes the least recently used stores until the rest fits into the disk budget. `repositories` are those in
    /// use; one that talks to its server is left alone.
    pub(super) async fn trim(&self, repositories: &[Arc<Repository>], keep: &str) {
        let (folder, budget, keep) = (self.folder.clone(), self.disk_budget, keep.to_owned());
        let path = folder.clone();
        let in_use: HashMap<String, SystemTime> = repositories
            .iter()
            .map(|one| (one.folder.clone(), SystemTime::from(one.used())))
            .collect();
        let looked = self
            .read(move |_| {
                let mut stores = disk::stores(&path);
                for store in &mut stores {
                    let used = in_use.get(&store.name).copied();
                    store.used = used.unwrap_or(store.used).max(store.used);
                }
                let size: u64 = stores.iter().map(|store| store.size).sum();
                (size, disk::surplus(stores, budget, &keep))
            })
            .await;
        let Ok((mut size, surplus)) = looked else {
            return;
        };
        for store in surplus {
            let owner = repositories.iter().find(|one| one.folder == store.name);
            let turn = owner.map(|owner| owner.idle_turn());
            if matches!(turn, Some(None)) {
                continue;
            }
            if let Some(owner) = owner {
                *owner.store.lock().await = None;
            }
            tracing::info!(
                store = store.name,
                bytes = store.size,
                "deleting the least recently used Git store: the disk budget is exceeded"
            );
            let path = folder.join(&store.name);
            let gone = self.read(move |_| std::fs::remove_dir_all(path)).await;
            if matches!(gone, Ok(Ok(()))) {
                size = size.saturating_sub(store.size);
                self.metrics.evicted();
            }
        }
        self.metrics.stored(size);
    }

    /// Notes on disk that the store was used now.
    async fn mark_used(&self, repository: &Repository) {
        let path = self.folder.join(&repository.folder);
        // The note only decides what is deleted first.
        drop(self.look_up(move |_| disk::mark_used(&path)).await);
    }
}

/// The stores of this process are no repositories to read from: they hold what was fetched with the credentials of
/// others.
fn refuse_stores(url: &str, folder: &Path) -> Result<(), RepoError> {
    let Some(path) = url.strip_prefix("file://") else {
        return Ok(());
    };
    let inside = match (Path::new(path).canonicalize(), folder.canonicalize()) {
        (Ok(path), Ok(folder)) => path.starts_with(folder),
        _ => false,
    };
    if inside { Err(RepoError::Own) } else { Ok(()) }
}
