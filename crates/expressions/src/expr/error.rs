//! Errors of the expr language.

use std::fmt;

/// At which point an expression failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The text is no valid expression, or its types cannot fit.
    Compile,
    /// The expression is fine, the values it met are not.
    Run,
}

/// Why an expression gave no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "{reason}, at {line}:{column} of expression `{}`",
    shortened(expression)
)]
pub struct EvalError {
    /// The whole expression, so that secrets in it can be redacted; the message shortens it when it is very long.
    pub expression: String,
    /// Line of the fault, from 1.
    pub line: usize,
    /// Column of the fault in characters, from 1.
    pub column: usize,
    /// Whether the text or the values are at fault.
    pub stage: Stage,
    /// What is wrong.
    pub reason: String,
}

/// Messages quote at most this many characters of the expression, so that a condition on an
/// object stays readable.
const QUOTED_CHARS: usize = 200;

/// A fault before it is bound to the text of its expression.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) stage: Stage,
    pub(super) reason: String,
    /// Set when a `?.` met nil: the enclosing chain yields nil, nothing failed.
    pub(super) short_circuit: bool,
}

impl Fault {
    pub(super) fn compile(at: usize, reason: impl Into<String>) -> Self {
        Self {
            at,
            stage: Stage::Compile,
            reason: reason.into(),
            short_circuit: false,
        }
    }

    pub(super) fn run(at: usize, reason: impl Into<String>) -> Self {
        Self {
            at,
            stage: Stage::Run,
            reason: reason.into(),
            short_circuit: false,
        }
    }

    pub(super) fn short_circuit(at: usize) -> Self {
        Self {
            short_circuit: true,
            ..Self::run(at, "optional value is nil")
        }
    }

    pub(super) fn bind(self, source: &str) -> EvalError {
        let before = source.get(..self.at).unwrap_or(source);
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        EvalError {
            expression: source.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            stage: self.stage,
            reason: self.reason,
        }
    }
}

/// The expression as messages quote it.
fn shortened(source: &str) -> String {
    let mut text: String = source.chars().take(QUOTED_CHARS).collect();
    if text.len() < source.len() {
        text.push_str("...");
    }
    text
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Compile => "compile",
            Self::Run => "run",
        })
    }
}
