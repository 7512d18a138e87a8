//! What signatures are looked for in, beside the commit itself: annotated tags and the history.

use git_fetch::{FetchError, commit_of};

use super::super::{
    Depth, FetchRequest, GitError, Interrupt, RepoError, RepoHub, Resolved, Store,
    error::store_error, transfer::FETCH_DEADLINE,
};

/// What a ref points to.
pub(in crate::repo) enum TagTarget {
    /// An annotated tag, as Git keeps it.
    Annotated(Vec<u8>),
    /// The commit itself.
    Commit,
}

/// What the ref `name` points to, as it was fetched; `None` when the ref is not here or leads to another commit.
fn target(store: &Store, name: &str, commit: &str) -> Result<Option<TagTarget>, GitError> {
    let Some(id) = store.fetched(name)? else {
        return Ok(None);
    };
    let repository = store.open_repository();
    // This also checks the size of the tag.
    let found = commit_of(&repository, id)?.id;
    if gix::ObjectId::from_hex(commit.as_bytes()).ok() != Some(found) {
        return Ok(None);
    }
    let object = repository.find_object(id);
    let object = object.map_err(|error| store_error(&error))?;
    Ok(Some(match object.kind {
        gix::object::Kind::Tag => TagTarget::Annotated(object.data.clone()),
        _ => TagTarget::Commit,
    }))
}

impl RepoHub {
    /// What a ref that leads to `commit` points to.
    pub(in crate::repo) async fn tag(
        &self,
        url: &str,
        name: &str,
        commit: &str,
    ) -> Result<TagTarget, RepoError> {
        let repository = self.repository(url);
        let transfers = self.transfers();
        let store = transfers.store(&repository).await?;
        let find = {
            let (store, name, commit) = (store.clone(), name.to_owned(), commit.to_owned());
            move |_: &Interrupt| target(&store, &name, &commit)
        };
        if let Some(found) = transfers.look_up(find.clone()).await?? {
            return Ok(found);
        }
        let turn = repository.turn(FETCH_DEADLINE).await?;
        let request = FetchRequest {
            source: name.to_owned(),
            depth: Depth::Tip,
        };
        drop(transfers.fetch(&repository, &store, request, turn).await?);
        let found = transfers.look_up(find).await??;
        found.ok_or_else(|| FetchError::NoRevision(name.to_owned()).into())
    }

    /// Fetches the commits before one that is in the store.
    pub(in crate::repo) async fn fetch_history(
        &self,
        url: &str,
        at: &Resolved,
    ) -> Result<(), RepoError> {
        let repository = self.repository(url);
        let transfers = self.transfers();
        let store = transfers.store(&repository).await?;
        let turn = repository.turn(FETCH_DEADLINE).await?;
        let reference = at.reference.as_deref().filter(|name| *name != "HEAD");
        let request = FetchRequest {
            source: reference.unwrap_or("refs/heads/*").to_owned(),
            depth: Depth::Full,
        };
        drop(transfers.fetch(&repository, &store, request, turn).await?);
        Ok(())
    }
}
