//! A commit that was fetched.

use std::sync::Arc;

use super::{GitError, SourceTree, Store, tree::CommitReader};

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
}
