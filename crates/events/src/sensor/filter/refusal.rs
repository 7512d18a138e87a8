//! Why filters do not admit an event.

use jiff::civil::Time;
use thiserror::Error;

use crate::sensor::{language::LanguageError, payload::PayloadError, script::ScriptError};

/// Why a filter does not admit an event.
#[derive(Clone, Debug, Error)]
pub enum Refusal {
    /// The payload has no values.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// A filter names a value that the payload does not have.
    #[error("{filter}: nothing at {path:?}")]
    Absent {
        /// `data` or `expr`.
        filter: &'static str,
        /// The path.
        path: String,
    },
    /// The template of a data filter fails.
    #[error("data: {path}: template: {error}")]
    Template {
        /// Path of the value.
        path: String,
        /// Why.
        #[source]
        error: LanguageError,
    },
    /// The template of a data filter renders nothing.
    #[error("data: {0}: template: gives nothing")]
    EmptyTemplate(String),
    /// A value is none of those that the filter admits.
    #[error("data: {path} is {value:?}")]
    Data {
        /// Path of the value.
        path: String,
        /// The value.
        value: String,
    },
    /// An expression is false.
    #[error("expr: {0} is false")]
    False(String),
    /// An expression has no value.
    #[error("expr: {expression}: {error}")]
    Expression {
        /// The expression.
        expression: String,
        /// Why.
        #[source]
        error: LanguageError,
    },
    /// An attribute of the context is another one.
    #[error("context {attribute} is {actual:?}, not {wanted:?}")]
    Context {
        /// The attribute.
        attribute: &'static str,
        /// Its value.
        actual: String,
        /// What the filter wants.
        wanted: String,
    },
    /// The script fails.
    #[error("script: {0}")]
    Script(#[from] ScriptError),
    /// The script returns something else than true.
    #[error("script: does not return true")]
    ScriptFalse,
    /// The event has no time.
    #[error("the event has no time")]
    NoTime,
    /// The time is outside the window.
    #[error("{at} is outside {start} to {stop}")]
    Outside {
        /// Time of the event.
        at: Time,
        /// Start of the window.
        start: Time,
        /// Its end.
        stop: Time,
    },
    /// None of several filters admits it.
    #[error("{}", joined(.0))]
    All(Vec<Refusal>),
}

impl Refusal {
    /// The kind of filter that refuses; `or` when several do.
    pub fn filter(&self) -> &'static str {
        match self {
            Self::Payload(_) => "payload",
            Self::Absent { filter, .. } => filter,
            Self::Template { .. } | Self::EmptyTemplate(_) | Self::Data { .. } => "data",
            Self::False(_) | Self::Expression { .. } => "expr",
            Self::Context { .. } => "context",
            Self::Script(_) | Self::ScriptFalse => "script",
            Self::NoTime | Self::Outside { .. } => "time",
            Self::All(refusals) => match refusals.as_slice() {
                [only] => only.filter(),
                [first, rest @ ..] if rest.iter().all(|one| one.filter() == first.filter()) => {
                    first.filter()
                }
                _ => "or",
            },
        }
    }

    /// True when a filter has no answer, rather than one that does not admit the event.
    pub fn is_error(&self) -> bool {
        match self {
            Self::Payload(_)
            | Self::Absent { .. }
            | Self::Template { .. }
            | Self::EmptyTemplate(_)
            | Self::Expression { .. }
            | Self::Script(_) => true,
            Self::Data { .. }
            | Self::False(_)
            | Self::Context { .. }
            | Self::ScriptFalse
            | Self::NoTime
            | Self::Outside { .. } => false,
            Self::All(refusals) => refusals.iter().any(Self::is_error),
        }
    }
}

fn joined(refusals: &[Refusal]) -> String {
    let texts: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    texts.join("; ")
}
