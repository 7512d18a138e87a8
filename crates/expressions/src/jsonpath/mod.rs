//! The `JSONPath` of Kubernetes (`k8s.io/client-go/util/jsonpath`), as far as manifests use it.
//!
//! One expression, with or without braces: `{$.a.b[0]['k.x'][*]}`, `.spec.containers[0].image`,
//! `{.items[?(@.name=="x")].v}`. Supported: fields (`\.` escapes a dot), quoted keys, indexes
//! (negative ones from the end), slices, unions, `*`, `..`, and filters with one comparison or
//! the question whether a path exists. Left out: several expressions, text around them, `range`.
//!
//! As upstream, a key that no value on the way has is an error, and so is an index out of range.
//! Members of objects come in the order of their keys (upstream: random), and numbers compare by
//! value (upstream refuses to compare `5` with a decoded `5.0`).

mod eval;
mod parser;

use serde_json::Value;

/// Longer paths are refused.
pub const MAX_LENGTH: usize = 4096;

/// Values that one step may give; unions and `..` can multiply them.
const MAX_RESULTS: usize = 100_000;

/// Why a path gave no values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonPathError {
    /// The text is no path.
    #[error("{reason}, at column {column} of path `{path}`")]
    Syntax {
        /// The whole path, so that secrets in it can be redacted.
        path: String,
        /// Column in characters, from 1.
        column: usize,
        /// What is wrong.
        reason: String,
    },
    /// The path does not fit the data.
    #[error("{reason}, for path `{path}`")]
    Data {
        /// The path.
        path: String,
        /// What does not fit.
        reason: String,
    },
}

/// A parsed path.
#[derive(Debug, Clone)]
pub struct JsonPath {
    source: String,
    steps: Vec<parser::Step>,
}

impl JsonPath {
    /// Parses a path.
    pub fn parse(path: &str) -> Result<Self, JsonPathError> {
        let syntax = |(at, reason): (usize, String)| JsonPathError::Syntax {
            path: path.to_owned(),
            column: path.get(..at).map_or(0, |before| before.chars().count()) + 1,
            reason,
        };
        if path.len() > MAX_LENGTH {
            return Err(syntax((
                0,
                format!("path is longer than {MAX_LENGTH} bytes"),
            )));
        }
        let steps = parser::parse(path).map_err(syntax)?;
        Ok(Self {
            source: path.to_owned(),
            steps,
        })
    }

    /// All values the path leads to.
    pub fn find<'v>(&self, value: &'v Value) -> Result<Vec<&'v Value>, JsonPathError> {
        eval::walk(vec![value], &self.steps).map_err(|reason| JsonPathError::Data {
            path: self.source.clone(),
            reason,
        })
    }

    /// The first value; an error when there is none. This is what the web metric takes.
    pub fn first<'v>(&self, value: &'v Value) -> Result<&'v Value, JsonPathError> {
        self.find(value)?
            .into_iter()
            .next()
            .ok_or_else(|| JsonPathError::Data {
                path: self.source.clone(),
                reason: "nothing found".to_owned(),
            })
    }

    /// Whether the path names one place: fields and indexes only.
    pub fn is_definite(&self) -> bool {
        self.steps
            .iter()
            .all(|step| matches!(step, parser::Step::Field(_) | parser::Step::Index(_)))
    }
}

#[cfg(test)]
mod tests;
