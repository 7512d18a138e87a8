//! Classes of errors, which decide the retry, and their text.

use std::{error::Error, time::Duration};

use kube::core::Status;

/// The class of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// The user's input is wrong: say so on the object and wait for a change.
    Invalid,
    /// Another writer was faster: read again and plan again, at once and once; then back off.
    Conflict,
    /// Something outside is not available now: retry with back-off.
    Transient,
    /// Something outside is not available now and asks to retry after this time.
    RetryAfter(Duration),
    /// This process is no longer the leader: stop writing, say nothing.
    Fenced,
    /// The program is wrong: report it and retry slowly.
    Bug,
}

/// An error that knows its class.
pub trait Classify {
    /// The class, which decides the retry and what is reported.
    fn class(&self) -> ErrorClass;
}

/// The class of an error of the Kubernetes client.
pub fn classify_kube(error: &kube::Error) -> ErrorClass {
    if crate::client::is_fenced(error) {
        return ErrorClass::Fenced;
    }
    let kube::Error::Api(status) = error else {
        return ErrorClass::Transient;
    };
    match status.code {
        409 => ErrorClass::Conflict,
        429 => {
            let seconds = status
                .details
                .as_ref()
                .map_or(0, |details| details.retry_after_seconds);
            if seconds == 0 {
                ErrorClass::Transient
            } else {
                ErrorClass::RetryAfter(Duration::from_secs(u64::from(seconds)))
            }
        }
        400 | 405 | 413 | 415 | 422 => ErrorClass::Invalid,
        // Forbidden and not found pass when the permission is granted or the object is created.
        _ => ErrorClass::Transient,
    }
}

/// The error and its sources as one line without repetitions: many errors repeat their source, and the
/// client prints an answer of the API server once for people and once as a dump.
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = own_text(error);
    let mut source = error.source();
    while let Some(inner) = source {
        let (printed, own) = (inner.to_string(), own_text(inner));
        if text.contains(&printed) {
            text = text.replace(&printed, &own);
        } else if !text.contains(&own) {
            text = format!("{text}: {own}");
        }
        source = inner.source();
    }
    text
}

fn own_text(error: &(dyn Error + 'static)) -> String {
    let status = match error.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) => Some(&**status),
        _ => error
            .downcast_ref::<Box<Status>>()
            .map(|status| &**status)
            .or_else(|| error.downcast_ref()),
    };
    match status {
        Some(status) if status.message.is_empty() => format!("{} {}", status.code, status.reason),
        Some(status) => status.message.clone(),
        None => error.to_string(),
    }
}

impl Classify for kube::Error {
    fn class(&self) -> ErrorClass {
        classify_kube(self)
    }
}

impl Classify for crate::object::FieldError {
    fn class(&self) -> ErrorClass {
        ErrorClass::Invalid
    }
}
