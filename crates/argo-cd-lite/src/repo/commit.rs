//! A commit that was fetched.

use std::sync::Arc;

use gix::ObjectId;

use super::{
    GitError, SourceTree, Store, error::store_error, objects::commit_of, tree::CommitReader,
};

/// Who made a commit, when and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitInfo {
    /// `Name <address>`.
    pub author: String,
    /// Seconds since 1970.
    pub seconds: i64,
    /// The whole message.
    pub message: String,
}

/// A commit that is in the store.
#[derive(Clone)]
pub struct Commit {
    store: Arc<Store>,
    id: String,
}

impl Commit {
    pub(super) fn new(store: Arc<Store>, id: &str) -> Self {
        Self {
            store,
            id: id.to_owned(),
        }
    }

    /// Forty hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its files. Blocks, as all reads of the tree do: use a thread of [`super::RepoHub::read`] or [`super::RepoHub::look_up`].
    pub fn tree(&self) -> Result<SourceTree, GitError> {
        let reader = CommitReader::open(&self.store, &self.id)?;
        Ok(SourceTree::new(Box::new(reader), *self.store.limits()))
    }

    /// Who made it, when and why. Blocks, as [`Self::tree`] does.
    pub fn info(&self) -> Result<CommitInfo, GitError> {
        let repository = self.store.open_repository();
        let id = ObjectId::from_hex(self.id.as_bytes()).map_err(|error| store_error(&error))?;
        let commit = commit_of(&repository, id)?;
        let author = commit.author().map_err(|error| store_error(&error))?;
        let message = commit.message_raw().map_err(|error| store_error(&error))?;
        Ok(CommitInfo {
            author: format!("{} <{}>", author.name, author.email),
            seconds: author.seconds(),
            message: message.to_string(),
        })
    }
}
