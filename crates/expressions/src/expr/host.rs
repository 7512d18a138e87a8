//! What surrounds an expression: its variables and extra functions.

use super::ast::{Expr, Node};
use super::types::Type;
use super::value::Value;

/// Declaration of a function that a [`Host`] offers.
#[derive(Debug, Clone)]
pub struct Function {
    /// Parameters, one letter each: `?` anything, `s` text, `n` number, `i` integer, `a` array,
    /// `m` map, `b` bool; `|` starts the optional ones, a final `*` repeats the last.
    pub params: &'static str,
    /// Type of the result.
    pub returns: Type,
}

/// Variables and functions an expression sees beside the language's own.
pub trait Host {
    /// Value of a variable, `None` when there is no such variable.
    fn variable(&self, name: &str) -> Option<Value>;

    /// Type of a variable as Go would know it when compiling.
    fn variable_type(&self, name: &str) -> Option<Type>;

    /// Declaration of an extra function; `name` may be dotted (`sprig.trim`).
    fn function(&self, name: &str) -> Option<Function>;

    /// Calls an extra function. The message of an error becomes part of the evaluation error.
    fn call(&self, name: &str, args: &[Value]) -> Result<Value, String>;

    /// Whether extra functions exist below this name and a dot.
    fn is_namespace(&self, _name: &str) -> bool {
        false
    }

    /// All variables, for `$env`.
    fn variables(&self) -> Value {
        Value::Nil
    }

    /// The current moment for `now()`; without one, `now()` is an error.
    fn now(&self) -> Option<jiff::Timestamp> {
        None
    }
}

/// The dotted name of a callee that could be a function of the host.
pub(super) fn function_path(callee: &Expr) -> Option<String> {
    match &callee.node {
        Node::Ident(name) => Some(name.clone()),
        Node::Member { base, property, .. } => match (&base.node, &property.node) {
            (Node::Ident(space), Node::Literal(Value::Str(name))) => {
                Some(format!("{space}.{name}"))
            }
            _ => None,
        },
        _ => None,
    }
}
