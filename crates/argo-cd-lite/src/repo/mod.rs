//! Git repositories: one bare store each, one poll of refs each, files read from the object store.
//!
//! ```text
//!   poll / webhook / refresh ──► refs ──► revision ──► commit (fetched when missing) ──► tree id ──► files
//! ```

mod credentials;
mod git;
mod hub;
mod poll;
mod revision;
mod semver;
mod transfer;
mod url;

pub use credentials::{Credential, Credentials, RepositorySecret};
pub use git::{CommitFiles, GitError, SourceFile, Store};
pub use hub::{HubConfig, RepoError, RepoHub, Snapshot};
pub use revision::{RefList, Resolved, RevisionError, resolve};
pub use url::{host_and_path, normalize};

#[cfg(test)]
pub(crate) mod tests;
