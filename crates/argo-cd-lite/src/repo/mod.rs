//! Git repositories: one bare store each, one poll of refs each, files read from the object store.
//!
//! ```text
//!   poll / webhook / refresh ──► refs ──► revision ──► commit (fetched when missing) ──► tree id ──► files
//! ```

mod access;
mod credentials;
mod disk;
mod git;
mod http;
mod hub;
mod limits;
mod poll;
mod pool;
mod repository;
mod revision;
mod semver;
mod transfer;
mod tree;
mod url;

pub use access::FileRepositories;
pub use credentials::{Credential, Credentials, RepositorySecret, UnsupportedMembers};
pub use git::{Depth, FetchRequest, GitError, Store};
pub use hub::{Commit, DEFAULT_DISK_BUDGET, Follow, HubConfig, PollTimes, RepoHub};
pub use limits::GitLimits;
pub use pool::{Interrupt, Pool, PoolError};
pub use repository::{RepoError, Snapshot};
pub use revision::{RefList, Resolved, RevisionError, resolve};
pub use tree::{
    FileQuery, FolderReader, Found, Node, NodeKind, Record, SourceFile, SourceTree, clean, join,
};
pub use url::{ambiguity, host_and_path, normalize};

#[cfg(test)]
pub(crate) mod tests;
