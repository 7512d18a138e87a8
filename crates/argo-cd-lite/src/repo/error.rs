//! Why a Git operation failed.

use reconcile_core::{credentials::redact_urls, egress::RefusedAddress};
use thiserror::Error;

/// A Git operation that failed. The text never holds credentials.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum GitError {
    /// The local store cannot be used.
    #[error("cannot use the local store of the repository: {0}")]
    Store(String),
    /// The server did not answer as expected.
    #[error("{0}")]
    Remote(String),
    /// The server says that there is no such repository, or hides it from this account.
    #[error("repository not found or no access")]
    NotFound,
    /// The server does not have the requested object or ref.
    #[error("the server does not have revision {0}")]
    NoRevision(String),
    /// The server has an address that is not called for a manifest.
    #[error(transparent)]
    Refused(#[from] RefusedAddress),
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
    /// A limit is exceeded.
    #[error("the repository exceeds the limit of {limit} {what}")]
    Exceeds {
        /// What is limited.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
}

/// An error of the local store.
pub(super) fn store_error<E: std::fmt::Display + ?Sized>(error: &E) -> GitError {
    GitError::Store(redact_urls(&error.to_string()))
}

/// An error of a server, with all its causes.
pub(super) fn remote_error(error: &(dyn std::error::Error + 'static)) -> GitError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    if text.contains("No credentials were returned") {
        // The transport's own text is about a credential helper that does not exist here.
        return GitError::Remote("authentication required".to_owned());
    }
    if text.contains("HTTP status 404") || text.contains("HTTP status 410") {
        return GitError::NotFound;
    }
    // One line: the text ends in a condition.
    GitError::Remote(redact_urls(
        &text.split_whitespace().collect::<Vec<_>>().join(" "),
    ))
}

/// True for the answers of servers that do not have the object or ref that was asked for.
pub(super) fn is_missing_revision(text: &str, source: &str) -> bool {
    // A local server ends without an answer when it does not have a commit.
    (text.contains("Broken pipe") && !source.starts_with("refs/"))
        || [
            "not our ref",
            "couldn't find remote ref",
            "matched any of the",
            "unadvertised object",
            "no such remote ref",
        ]
        .iter()
        .any(|words| text.contains(words))
}

/// True for the errors of gix about an object that is larger than the limit it was given.
pub(super) fn is_too_large(text: &str) -> bool {
    text.contains("too large to fit in memory") || text.contains("llocation limit")
}
