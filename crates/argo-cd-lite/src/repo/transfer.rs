//! Conversations with Git servers, and the stores that keep what they brought.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sha2::{Digest, Sha256};

use super::{
    Credential, RefList, RepoError, RepoHub, Resolved, RevisionError, Store, hub::Repo,
    url::normalize,
};

/// Deadline of a list of refs; upstream's is 15 s.
pub(super) const LIST_DEADLINE: Duration = Duration::from_secs(15);
/// Deadline of a fetch.
pub(super) const FETCH_DEADLINE: Duration = Duration::from_secs(90);

pub(super) type Turn = tokio::sync::OwnedMutexGuard<()>;

/// The right to talk to a repository's server. Late when the conversation before does not end.
pub(super) async fn turn(repo: &Repo, deadline: Duration) -> Result<Turn, RepoError> {
    tokio::time::timeout(deadline, repo.gate.clone().lock_owned())
        .await
        .map_err(|_| RepoError::Late(deadline))
}

/// Our own stores are no repositories to read from: they hold what was fetched with the credentials of
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

impl RepoHub {
    pub(super) async fn ensure(
        &self,
        repo: &Arc<Repo>,
        store: &Arc<Store>,
        at: &Resolved,
    ) -> Result<(), RepoError> {
        if store.has(&at.commit) {
            return Ok(());
        }
        let mut turn = turn(repo, FETCH_DEADLINE).await?;
        if store.has(&at.commit) {
            return Ok(());
        }
        // The ref may have moved on since it was listed; then the commit itself is asked for.
        if let Some(reference) = at.reference.as_deref().filter(|name| *name != "HEAD") {
            turn = self.fetch(repo, store, reference, false, turn).await?;
        }
        if !store.has(&at.commit) {
            turn = self.fetch(repo, store, &at.commit, false, turn).await?;
        }
        drop(turn);
        if store.has(&at.commit) {
            return Ok(());
        }
        Err(RevisionError::Unknown(at.commit.clone()).into())
    }

    pub(super) async fn fetch(
        &self,
        repo: &Repo,
        store: &Arc<Store>,
        source: &str,
        deep: bool,
        turn: Turn,
    ) -> Result<Turn, RepoError> {
        let credential = self.credential(&repo.url)?;
        let (store, source) = (store.clone(), source.to_owned());
        let interrupt = Arc::new(AtomicBool::new(false));
        let flag = interrupt.clone();
        let fetched = self
            .blocking(FETCH_DEADLINE, move || {
                (store.fetch(&source, deep, credential.as_ref(), &flag), turn)
            })
            .await;
        if fetched.is_err() {
            interrupt.store(true, Ordering::SeqCst);
        }
        let fine = matches!(fetched, Ok((Ok(()), _)));
        self.0.metrics.fetched(&repo.url, fine);
        let (result, turn) = fetched?;
        result?;
        Ok(turn)
    }

    pub(super) async fn list(
        &self,
        repo: &Arc<Repo>,
        turn: Turn,
    ) -> (Result<RefList, RepoError>, Option<Turn>) {
        let ready = match self.store(repo).await {
            Ok(store) => self
                .credential(&repo.url)
                .map(|credential| (store, credential)),
            Err(error) => Err(error),
        };
        let (store, credential) = match ready {
            Ok(ready) => ready,
            Err(error) => return (Err(error), Some(turn)),
        };
        let call = move || (store.list_refs(credential.as_ref()), turn);
        match self.blocking(LIST_DEADLINE, call).await {
            Ok((list, turn)) => (list.map_err(RepoError::from), Some(turn)),
            Err(error) => (Err(error), None),
        }
    }

    fn credential(&self, url: &str) -> Result<Option<Credential>, RepoError> {
        match self.0.credentials.find(url) {
            Some(secret) if !secret.unsupported.is_empty() => {
                Err(RepoError::Credentials(secret.unsupported.join(", ")))
            }
            found => Ok(found.map(|secret| secret.credential)),
        }
    }

    pub(super) async fn store(&self, repo: &Arc<Repo>) -> Result<Arc<Store>, RepoError> {
        let open = async {
            let name = hex::encode(&Sha256::digest(normalize(&repo.url).as_bytes())[..12]);
            let folder = self.0.config.folder.clone();
            let url = repo.url.clone();
            let open = move || {
                let path = folder.join(format!("{name}.git"));
                let store = Store::open(&path, &url)?;
                refuse_stores(&url, &folder)?;
                Ok::<_, RepoError>(store)
            };
            let store = self.blocking(LIST_DEADLINE, open).await??;
            Ok::<_, RepoError>(Arc::new(store))
        };
        Ok(repo.store.get_or_try_init(|| open).await?.clone())
    }

    /// Runs `call` on the blocking pool. A call that is late goes on there, but nobody waits for it.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        deadline: Duration,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, RepoError> {
        let _permit = self
            .0
            .calls
            .acquire()
            .await
            .map_err(|closed| RepoError::Stopped(closed.to_string()))?;
        match tokio::time::timeout(deadline, tokio::task::spawn_blocking(call)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(RepoError::Stopped(error.to_string())),
            Err(_) => Err(RepoError::Late(deadline)),
        }
    }
}
