//! `jqPathExpressions`: the paths that a jq expression leads to.
//!
//! jq is a whole programming language, in which a tenant can loop for ever. Only its filters that end are taken: paths,
//! `select` with conditions, `..`, and a few functions. A budget of outputs bounds what is left. Other expressions are
//! refused by name, so that no rule is silently without effect.

mod evaluate;
mod parse;

use serde_json::Value;
use thiserror::Error;

/// Longer expressions are refused.
const MAX_LENGTH: usize = 1024;
/// Words and signs of an expression; parsing and evaluation call themselves at most once for each.
const MAX_TOKENS: usize = 200;
/// Brackets that may be open at the same time; the parser calls itself for each.
const MAX_DEPTH: usize = 32;

/// Why an expression cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum JqError {
    /// It is longer than 1,024 bytes or 200 words and signs, or more than 32 brackets are open.
    #[error("jq expression is too long or nested too deep")]
    TooLarge,
    /// It is not jq.
    #[error("jq expression {0:?} cannot be parsed")]
    Syntax(String),
    /// It holds something that is not supported.
    #[error(
        "jq expression {expression:?}: {what} is not supported; use paths, select and conditions"
    )]
    Unsupported {
        /// The expression.
        expression: String,
        /// The part.
        what: String,
    },
    /// It does not fit the object, for example because it iterates over a number.
    #[error("jq expression does not fit the object: {0}")]
    Mismatch(&'static str),
    /// It leads to too many places.
    #[error("jq expression leads to more than {} places", evaluate::MAX_OUTPUTS)]
    TooMany,
}

/// A part of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A position in a list.
    Index(usize),
    /// A field of an object.
    Key(String),
}

/// An expression that leads to places in an object.
#[derive(Clone, Debug)]
pub struct JqPaths {
    text: String,
    filter: parse::Filter,
}

impl JqPaths {
    /// Parses an expression such as `.spec.containers[] | select(.name == "proxy") | .image`.
    pub fn parse(expression: &str) -> Result<Self, JqError> {
        Ok(Self {
            filter: parse::parse(expression)?,
            text: expression.to_owned(),
        })
    }

    /// The expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The places in `value`, in the order in which they must be removed: the last item of a list first.
    pub fn places(&self, value: &Value) -> Result<Vec<Vec<Step>>, JqError> {
        let mut places = evaluate::places(&self.filter, value)?;
        places.sort_unstable_by(|a, b| b.cmp(a));
        places.dedup();
        Ok(places)
    }
}

impl PartialEq for JqPaths {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[cfg(test)]
mod tests;
