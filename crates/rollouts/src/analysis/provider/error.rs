//! Why a provider gives no value.

use std::{fmt, time::Duration};

use thiserror::Error;

/// A provider gives no value.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{message}")]
pub(in crate::analysis) struct ProviderError {
    /// What kind of failure it is.
    pub(in crate::analysis) kind: ErrorKind,
    /// A sentence for the measurement; not redacted and not shortened yet.
    pub(in crate::analysis) message: String,
}

/// Kinds of failures of providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::analysis) enum ErrorKind {
    /// The configuration makes no sense: somebody has to change it.
    Invalid,
    /// The configuration asks for something that this version does not do.
    Unsupported,
    /// The server cannot be reached or does not answer in time.
    Unavailable,
    /// The server asks for fewer requests, and perhaps says when to come back.
    Throttled(Option<Duration>),
    /// The server refuses the request or the credentials.
    Refused,
    /// The answer is not one that the provider understands.
    Answer,
}

impl ProviderError {
    fn new(kind: ErrorKind, message: impl fmt::Display) -> Self {
        Self {
            kind,
            message: message.to_string(),
        }
    }

    /// See [`ErrorKind::Invalid`].
    pub(in crate::analysis) fn invalid(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// See [`ErrorKind::Unsupported`].
    pub(in crate::analysis) fn unsupported(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// See [`ErrorKind::Unavailable`].
    pub(in crate::analysis) fn unavailable(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// See [`ErrorKind::Answer`].
    pub(in crate::analysis) fn answer(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Answer, message)
    }

    /// The failure that an HTTP status stands for.
    pub(in crate::analysis) fn status(
        status: reqwest::StatusCode,
        headers: &reqwest::header::HeaderMap,
        message: impl fmt::Display,
    ) -> Self {
        let kind = match status.as_u16() {
            429 => ErrorKind::Throttled(retry_after(headers)),
            500..=599 | 408 => ErrorKind::Unavailable,
            _ => ErrorKind::Refused,
        };
        Self::new(kind, message)
    }
}

fn retry_after(headers: &reqwest::header::HeaderMap) -> Option<Duration> {
    let text = headers.get(reqwest::header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}
