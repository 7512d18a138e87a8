//! jq: the paths that an expression leads to (`jqPathExpressions`), and what a program makes of a value
//! (`transform.jq`).
//!
//! jq is a whole programming language, in which a tenant can loop for ever or fill the memory. Only its filters that end
//! are taken: no definitions, no recursion, no input and no environment. What is left has a budget of values, which
//! bounds time and memory alike. Other expressions are refused by name, so that none is silently without effect.

mod calls;
mod construct;
mod evaluate;
mod functions;
mod measure;
mod members;
mod output;
mod parse;
mod step;
mod update;
mod values;

use serde_json::Value;
use thiserror::Error;

pub use step::{Step, find, removal_order, remove};

/// How much an expression may hold and do.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Bytes of the expression.
    length: usize,
    /// Words and signs of the expression; parsing and evaluation call themselves at most once for each.
    tokens: usize,
    /// Values that it may make; an object of 1 MiB has about 50,000.
    values: usize,
}

const PATHS: Limits = Limits {
    length: 1024,
    tokens: 200,
    values: 200_000,
};
const PROGRAM: Limits = Limits {
    length: 8192,
    tokens: 400,
    values: 500_000,
};
/// Stack in bytes on which expressions are parsed and evaluated. The longest program needs 5 MiB in a debug build, more
/// than a thread of the runtime has. Only pages that are touched take memory.
const STACK: usize = 16 << 20;
/// Brackets that may be open at the same time; the parser calls itself for each.
const MAX_DEPTH: usize = 32;

/// Why an expression cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum JqError {
    /// It is too long, or more than 32 brackets are open.
    #[error("jq expression is too long or nested too deep")]
    TooLarge,
    /// It is not jq.
    #[error("jq expression {0:?} cannot be parsed")]
    Syntax(String),
    /// It holds something that is not supported.
    #[error("jq expression {expression:?}: {what} is not supported")]
    Unsupported {
        /// The expression.
        expression: String,
        /// The part.
        what: String,
    },
    /// It does not fit the object, for example because it iterates over a number.
    #[error("jq expression does not fit the object: {0}")]
    Mismatch(&'static str),
    /// It makes more values than its budget permits.
    #[error("jq expression makes too many or too large values")]
    TooMany,
}

/// A parsed expression, which is known by its text.
#[derive(Clone, Debug)]
struct Expression {
    text: String,
    filter: parse::Filter,
}

impl Expression {
    fn parse(text: &str, limits: Limits) -> Result<Self, JqError> {
        Ok(Self {
            filter: on_own_stack(|| parse::parse(text, limits))?,
            text: text.to_owned(),
        })
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// Parser and evaluation call themselves for each nesting of an expression.
fn on_own_stack<T>(work: impl FnOnce() -> T) -> T {
    stacker::grow(STACK, work)
}

/// What `?` and `//` make of the outcome of a filter: `None` for an error. The end of the budget stays an error.
fn caught<T>(outcome: Result<T, JqError>) -> Result<Option<T>, JqError> {
    match outcome {
        Err(JqError::TooMany) => Err(JqError::TooMany),
        outcome => Ok(outcome.ok()),
    }
}

/// An expression that leads to places in an object.
#[derive(Clone, Debug, PartialEq)]
pub struct JqPaths(Expression);

impl JqPaths {
    /// Parses an expression such as `.spec.containers[] | select(.name == "proxy") | .image`.
    pub fn parse(expression: &str) -> Result<Self, JqError> {
        Expression::parse(expression, PATHS).map(Self)
    }

    /// The expression as it was written.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The places in `value`, in the order in which they must be removed: the last item of a list first.
    pub fn places(&self, value: &Value) -> Result<Vec<Vec<Step>>, JqError> {
        let filter = &self.0.filter;
        on_own_stack(|| evaluate::places(filter, value, PATHS.values)).map(removal_order)
    }
}

/// A program that makes a value of a value.
#[derive(Clone, Debug, PartialEq)]
pub struct JqProgram(Expression);

impl JqProgram {
    /// Parses a program such as `{name: .body.user.name, count: (.body.items | length)}`.
    pub fn parse(program: &str) -> Result<Self, JqError> {
        Expression::parse(program, PROGRAM).map(Self)
    }

    /// The first output for `value`; `None` when there is none.
    pub fn first(&self, value: &Value) -> Result<Option<Value>, JqError> {
        on_own_stack(|| evaluate::first(&self.0.filter, value, PROGRAM.values))
    }
}

#[cfg(test)]
mod tests;
