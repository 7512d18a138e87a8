//! Repositories. Of Git: one bare store each, one poll of refs each, files read from the object store. Charts are in
//! [`charts`].
//!
//! ```text
//!   poll / webhook / refresh ──► refs ──► revision ──► commit (fetched when missing) ──► tree id ──► files
//! ```

mod access;
#[cfg(test)]
pub(crate) mod charts;
#[cfg(not(test))]
mod charts;
mod commit;
mod credentials;
mod disk;
mod error;
mod github_app;
mod hub;
mod lanes;
mod lfs;
mod listing;
mod poll;
mod registry_url;
mod repository;
mod revision;
mod semver;
mod signature;
mod submodules;
mod transfer;
mod tree;
mod trust;

pub use access::FileRepositories;
pub(crate) use charts::MAX_ARCHIVE_BYTES;
pub use charts::{
    Archive, ArchiveFile, ChartConfig, ChartError, ChartHub, ChartIndex, ChartRef, ChartVersion,
    Layout, Manifest, OpenChart, chart_repository, is_packed, packed_problem,
};
pub use commit::{Commit, CommitInfo};
pub use credentials::{
    Credential, Credentials, ProxyError, RepositoryKind, RepositorySecret, UnsupportedMembers,
};
pub use error::GitError;
pub use git_fetch::{
    Depth, FetchRequest, GitLimits, Interrupt, Pool, PoolError, RefList, Store, is_commit_id,
    url::{
        ambiguity, has_password, host_and_path, is_remote_repository, normalize, rule_pattern,
        rule_spellings,
    },
};
pub use github_app::{GithubApp, GithubAppError};
pub use hub::{DEFAULT_DISK_BUDGET, Follow, HubConfig, PollTimes, RepoHub};
pub use lfs::LargeFiles;
pub use repository::{RepoError, Snapshot};
pub use revision::{Resolved, RevisionError, resolve};
pub use signature::{RequiredSignatures, SignatureError, Signatures, Signed};
pub use tree::{
    FileQuery, FolderReader, Found, Node, NodeKind, Record, SourceFile, SourceTree, TreeReader,
    clean, join,
};
pub use trust::Trust;

#[cfg(test)]
pub(crate) mod tests;
