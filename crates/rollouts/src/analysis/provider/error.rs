//! Why a provider gives no value.

use std::{fmt, time::Duration};

use thiserror::Error;

/// A provider gives no value.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{message}")]
pub(super) struct ProviderError {
    /// What kind of failure it is.
    pub(super) kind: ErrorKind,
    /// A sentence for the measurement; not redacted and not shortened yet.
    pub(super) message: String,
}

/// Kinds of failures of providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorKind {
    /// The configuration makes no sense: somebody has to change it.
    Invalid,
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
    pub(super) fn invalid(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// See [`ErrorKind::Unavailable`].
    pub(super) fn unavailable(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// See [`ErrorKind::Answer`].
    pub(super) fn answer(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Answer, message)
    }

    /// See [`ErrorKind::Throttled`]; the headers may say when to come back.
    pub(super) fn throttled(
        headers: &reqwest::header::HeaderMap,
        message: impl fmt::Display,
    ) -> Self {
        Self::new(ErrorKind::Throttled(retry_after(headers)), message)
    }

    /// The failure that an HTTP status stands for.
    pub(super) fn status(
        status: reqwest::StatusCode,
        headers: &reqwest::header::HeaderMap,
        message: impl fmt::Display,
    ) -> Self {
        let kind = match status.as_u16() {
            429 => ErrorKind::Throttled(retry_after(headers)),
            500..=599 | 408 => ErrorKind::Unavailable,
            200..=299 => ErrorKind::Answer,
            _ => ErrorKind::Refused,
        };
        Self::new(kind, message)
    }
}

/// The time that `Retry-After` asks to wait: seconds, or the moment to come back at.
fn retry_after(headers: &reqwest::header::HeaderMap) -> Option<Duration> {
    let text = headers
        .get(reqwest::header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let moment = jiff::fmt::rfc2822::parse(text).ok()?;
    // Both times are of the clock of the server, which need not be right.
    let sent = headers.get(reqwest::header::DATE)?.to_str().ok()?;
    let sent = jiff::fmt::rfc2822::parse(sent).ok()?;
    let wait = moment.timestamp().duration_since(sent.timestamp());
    Some(wait.unsigned_abs()).filter(|_| wait.is_positive())
}
