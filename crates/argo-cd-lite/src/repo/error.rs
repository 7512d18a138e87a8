//! Why a Git operation failed.

use git_fetch::FetchError;
use reconcile_core::egress::RefusedAddress;
use thiserror::Error;

/// A Git operation that failed. The text never holds credentials.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum GitError {
    /// The server or the store failed, or a limit is exceeded.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Nobody waits for the result any longer.
    #[error("reading the repository was interrupted")]
    Interrupted,
    /// The path is not in the commit.
    #[error("{path}: app path does not exist")]
    NoPath {
        /// The path.
        path: String,
    },
    /// A symbolic link or a path leads out of the repository.
    #[error("the path {0} leads outside of the repository")]
    Escapes(String),
    /// What was read are pointers of Git LFS whose contents are not here.
    #[error("files of Git LFS are not downloaded yet")]
    LargeFiles,
    /// A folder of the source is a submodule.
    #[error("{0} is a Git submodule that .gitmodules does not name or that could not be read")]
    Submodule(String),
    /// The repository of a submodule is not read.
    #[error("cannot read the Git submodule {name}: {reason}")]
    SubmoduleRefused {
        /// Name of its folder.
        name: String,
        /// Why.
        reason: String,
    },
    /// The files are too large altogether.
    #[error("the manifests are larger than {0} bytes altogether")]
    TooLarge(u64),
}

/// An error of the local store.
pub(super) fn store_error<E: std::fmt::Display + ?Sized>(error: &E) -> GitError {
    git_fetch::store_error(error).into()
}

/// An error of a server, with all its causes.
pub(super) fn remote_error(error: &(dyn std::error::Error + 'static)) -> GitError {
    git_fetch::remote_error(error).into()
}

/// More than `limit` of `what`.
pub(super) fn exceeds(what: &'static str, limit: u64) -> GitError {
    FetchError::Exceeds { what, limit }.into()
}

impl From<RefusedAddress> for GitError {
    fn from(error: RefusedAddress) -> Self {
        FetchError::from(error).into()
    }
}
