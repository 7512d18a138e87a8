//! What can go wrong on the bus.

use thiserror::Error;

use crate::tls::TlsError;

/// The bus could not do what it was asked for.
#[derive(Debug, Error)]
pub enum BusError {
    /// Settings that cannot work.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// Certificates that cannot be used.
    #[error("tls: {0}")]
    Tls(#[from] TlsError),
    /// The server refused or did not answer.
    #[error("{what}: {reason}")]
    Request {
        /// What was tried.
        what: String,
        /// The server's words.
        reason: String,
    },
    /// The message was not stored.
    #[error("not published: {0}")]
    Publish(String),
    /// Somebody else changed the record.
    #[error("{key}: changed by somebody else")]
    Revision {
        /// The key.
        key: String,
    },
}

pub(super) fn request(what: impl Into<String>) -> impl FnOnce(&dyn std::fmt::Display) -> BusError {
    let what = what.into();
    move |error| BusError::Request {
        what,
        reason: error.to_string(),
    }
}
