//! The expr language (Go `expr-lang/expr` 1.17): conditions of analyses and filters of event
//! sources are written in it.
//!
//! ```text
//! text -> token -> parser -> ast -> check (types, as far as known) -> eval
//! ```
//!
//! [`analysis`] and [`filter`] are the two surroundings in which manifests use it; [`Program`]
//! with a [`Host`] of one's own is the general form. Everything is bounded: the length and the
//! depth of an expression, the steps of one evaluation, the size of what it makes.
//!
//! This is an implementation of our own because the crate `expr-lang` 2.1 panics on map literals
//! with variables, reads the name `notes` as `not es`, knows no types before it runs (so that
//! `1 == "a"` is false instead of an error), and has no bounds.
//!
//! Differences from Go, on purpose: maps are walked in the order of their keys (Go: random), and
//! integers of all widths are one kind.

pub mod analysis;
mod ast;
mod builtins;
mod check;
mod error;
mod eval;
pub mod filter;
mod host;
mod operators;
mod parser;
mod token;
mod types;
mod value;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use error::{EvalError, Stage};
pub use host::{Function, Host};
pub use types::Type;
pub use value::Value;

use error::Fault;
pub(crate) use operators::nanos_between;

/// Longer expressions are refused; the longest seen in the wild has some hundred bytes.
pub const MAX_LENGTH: usize = 16 * 1024;

/// A parsed expression, to be run any number of times.
#[derive(Debug, Clone)]
pub struct Program {
    source: Arc<str>,
    tree: ast::Child,
}

impl Program {
    /// Parses an expression; errors name the place.
    pub fn parse(source: &str) -> Result<Self, EvalError> {
        if source.len() > MAX_LENGTH {
            let reason = format!("expression is longer than {MAX_LENGTH} bytes");
            return Err(Fault::compile(0, reason).bind(source));
        }
        let tree = parser::parse(source).map_err(|fault| fault.bind(source))?;
        Ok(Self {
            source: source.into(),
            tree,
        })
    }

    /// Checks the types against what `host` declares, and returns the type of the result.
    pub fn check(&self, host: &dyn Host) -> Result<Type, EvalError> {
        check::check(&self.tree, host).map_err(|fault| fault.bind(&self.source))
    }

    /// Runs the expression.
    pub fn run(&self, host: &dyn Host) -> Result<Value, EvalError> {
        eval::run(&self.tree, host).map_err(|fault| fault.bind(&self.source))
    }

    /// Runs the expression and insists on a bool, as every condition does.
    pub fn run_bool(&self, host: &dyn Host) -> Result<bool, EvalError> {
        match self.run(host)? {
            Value::Bool(b) => Ok(b),
            other => {
                let reason = format!("expected bool, but got {}", other.go_type());
                Err(Fault::run(0, reason).bind(&self.source))
            }
        }
    }
}
