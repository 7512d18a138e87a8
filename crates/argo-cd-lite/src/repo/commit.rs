//! A commit that was fetched.

use std::{collections::BTreeMap, sync::Arc};

use git_fetch::commit_of;
use gix::ObjectId;
use jiff::SignedDuration;

use super::{
    GitError, LargeFiles, RepoError, RepoHub, Resolved, SourceTree, Store,
    error::store_error,
    tree::{CommitReader, ModulesReader},
};

/// Refs of a repository that nobody follows are listed again after this time.
const UNFOLLOWED_REFS: SignedDuration = SignedDuration::from_secs(60);

/// The commits of submodules by their id, or why they are not there.
pub(super) type Submodules = BTreeMap<String, Result<Commit, String>>;

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
    submodules: Arc<Submodules>,
    large: Option<Arc<LargeFiles>>,
}

impl Commit {
    pub(super) fn new(store: Arc<Store>, id: &str) -> Self {
        Self {
            store,
            id: id.to_owned(),
            submodules: Arc::default(),
            large: None,
        }
    }

    /// The same commit with these submodules.
    pub(super) fn with(self, submodules: Submodules) -> Self {
        Self {
            submodules: Arc::new(submodules),
            ..self
        }
    }

    /// The same commit with the contents that its pointers of Git LFS stand for.
    pub(super) fn with_contents(self, large: LargeFiles) -> Self {
        Self {
            large: Some(Arc::new(large)),
            ..self
        }
    }

    /// Where the contents of Git LFS are: its own and those of its submodules, as far as their pointers are followed.
    pub(super) fn large_files(&self) -> impl Iterator<Item = &Arc<LargeFiles>> {
        let modules = self.submodules.values().flatten();
        let modules = modules.filter_map(|module| module.large.as_ref());
        self.large.iter().chain(modules)
    }

    /// Another commit of the same repository, which may not be in the store.
    pub(super) fn other(&self, id: &str) -> Self {
        Self::new(self.store.clone(), id)
    }

    /// Whether it is in the store. Blocks.
    pub(super) fn is_stored(&self) -> Result<bool, GitError> {
        let id = ObjectId::from_hex(self.id.as_bytes()).map_err(|error| store_error(&error))?;
        let found = self.store.open_repository().try_find_header(id);
        Ok(found.map_err(|error| store_error(&error))?.is_some())
    }

    /// Forty hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The commit as Git keeps it. Blocks.
    pub(super) fn raw(&self) -> Result<Vec<u8>, GitError> {
        let repository = self.store.open_repository();
        let id = ObjectId::from_hex(self.id.as_bytes()).map_err(|error| store_error(&error))?;
        Ok(commit_of(&repository, id)?.data.clone())
    }

    /// Its files. Blocks, as all reads of the tree do: use a thread of [`super::RepoHub::read`] or [`super::RepoHub::look_up`].
    pub fn tree(&self) -> Result<SourceTree, GitError> {
        let open =
            |commit: &Self| CommitReader::open(&commit.store, &commit.id, commit.large.clone());
        let reader = open(self)?;
        let limits = *self.store.limits();
        if self.submodules.is_empty() {
            return Ok(SourceTree::new(Box::new(reader), limits));
        }
        let mut modules = Vec::new();
        for (id, commit) in self.submodules.iter() {
            let opened = match commit {
                Ok(commit) => Ok(open(commit)?),
                Err(reason) => Err(reason.clone()),
            };
            modules.push((id.clone(), opened));
        }
        let reader = ModulesReader::new(reader, modules);
        Ok(SourceTree::new(Box::new(reader), limits))
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

impl RepoHub {
    /// The commit of a revision in a repository that no Application may follow: its refs are at most a minute old.
    pub async fn commit_of(&self, url: &str, revision: &str) -> Result<Commit, RepoError> {
        let at = if let Some(at) = Resolved::of_commit_id(revision) {
            at
        } else {
            let fresh = self.clock().now() - UNFOLLOWED_REFS;
            let listed = self.refs(url, Some(fresh)).await?;
            self.resolve(url, &listed.refs, revision, "").await?
        };
        let commit = self.commit(url, &at).await?;
        Ok(self.with_large_files(url, commit))
    }
}
