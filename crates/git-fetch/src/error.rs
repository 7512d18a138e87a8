//! Why a conversation with a Git server, or a read of what it sent, failed.

use reconcile_core::{credentials::redact_urls, egress::RefusedAddress};
use thiserror::Error;

/// A Git operation that failed. The text never holds credentials.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FetchError {
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
pub fn store_error<E: std::fmt::Display + ?Sized>(error: &E) -> FetchError {
    FetchError::Store(redact_urls(&error.to_string()))
}

/// An error of a server, with all its causes.
pub fn remote_error(error: &(dyn std::error::Error + 'static)) -> FetchError {
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
        return FetchError::Remote("authentication required".to_owned());
    }
    if text.contains("HTTP status 404") || text.contains("HTTP status 410") {
        return FetchError::NotFound;
    }
    // One line: the text ends in a condition.
    FetchError::Remote(redact_urls(
        &text.split_whitespace().collect::<Vec<_>>().join(" "),
    ))
}

/// True for the answers of servers that do not have the object or ref that was asked for.
pub(crate) fn is_missing_revision(text: &str, source: &str) -> bool {
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
pub(crate) fn is_too_large(text: &str) -> bool {
    text.contains("too large to fit in memory") || text.contains("llocation limit")
}
