//! What can go wrong on the bus.

use std::fmt::Display;

use reconcile_core::redaction::Redactor;
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

/// What a server answered to a request, without the secrets of `redactor`, which it may repeat.
pub(super) fn refused(
    redactor: &Redactor,
    what: impl Into<String>,
    error: &dyn Display,
) -> BusError {
    BusError::Request {
        what: what.into(),
        reason: redactor.redact(error.to_string()),
    }
}
