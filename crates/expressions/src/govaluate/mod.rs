//! The govaluate language (`Knetic/govaluate`): `exprs` filters of Sensor dependencies.
//!
//! Operators, loosest first, all of one line grouping to the left:
//!
//! ```text
//! ,                             makes a list
//! ?  :  ??                      `c ? a : b`, and the first value that is not nil
//! ||
//! &&
//! == != > >= < <= =~ !~ in
//! &  |  ^
//! << >>
//! +  -
//! *  /  %
//! **
//! -x  !x  ~x
//! ```
//!
//! Every number is a float. A quoted text that looks like a date or a time stands for its Unix
//! seconds (upstream: local time of the pod; here UTC). Upstream reads `a==-1` and `a&&!b` as one
//! unknown operator; here they mean what they say.

mod eval;
mod lexer;
mod parser;

use std::collections::BTreeMap;

/// Longer expressions are refused.
pub const MAX_LENGTH: usize = 16 * 1024;

/// Texts that concatenation makes may have this many bytes.
const MAX_TEXT: usize = 1 << 20;

/// A value of the language.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value: a condition that does not hold, or JSON null.
    Nil,
    /// `true` or `false`.
    Bool(bool),
    /// Every number.
    Number(f64),
    /// Text.
    Text(String),
    /// A list, for `in`.
    List(Vec<Value>),
    /// A JSON object; it can only be compared.
    Object(serde_json::Map<String, serde_json::Value>),
}

impl From<&serde_json::Value> for Value {
    fn from(json: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::Nil,
            Json::Bool(b) => Self::Bool(*b),
            Json::Number(n) => Self::Number(n.as_f64().unwrap_or(f64::NAN)),
            Json::String(s) => Self::Text(s.clone()),
            Json::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Json::Object(map) => Self::Object(map.clone()),
        }
    }
}

impl Value {
    /// What the value is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Number(_) => "number",
            Self::Text(_) => "string",
            Self::List(_) => "list",
            Self::Object(_) => "object",
        }
    }

    /// Go's `%v`.
    fn go_string(&self) -> String {
        match self {
            Self::Nil => "<nil>".to_owned(),
            Self::Bool(b) => b.to_string(),
            Self::Number(n) => crate::go_text::float(*n),
            Self::Text(text) => text.clone(),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::go_string).collect();
                format!("[{}]", items.join(" "))
            }
            Self::Object(map) => {
                let value = crate::expr::Value::from_json(&serde_json::Value::Object(map.clone()));
                value.go_string()
            }
        }
    }
}

/// Why an expression gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}, at column {column} of expression `{expression}`")]
pub struct GovaluateError {
    /// The expression, shortened when it is very long.
    pub expression: String,
    /// Column of the fault in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub reason: String,
}

/// A fault before it is bound to its expression.
#[derive(Debug)]
struct Fault {
    at: usize,
    reason: String,
}

impl Fault {
    fn new(at: usize, reason: impl Into<String>) -> Self {
        Self {
            at,
            reason: reason.into(),
        }
    }

    fn bind(self, source: &str) -> GovaluateError {
        /// Messages quote at most this many characters.
        const QUOTED: usize = 200;
        GovaluateError {
            expression: source.chars().take(QUOTED).collect(),
            column: source
                .get(..self.at)
                .map_or(0, |before| before.chars().count())
                + 1,
            reason: self.reason,
        }
    }
}

/// A parsed expression.
#[derive(Debug, Clone)]
pub struct Expression {
    source: String,
    root: parser::Node,
    variables: Vec<String>,
}

impl Expression {
    /// Parses an expression.
    pub fn parse(source: &str) -> Result<Self, GovaluateError> {
        if source.len() > MAX_LENGTH {
            let reason = format!("expression is longer than {MAX_LENGTH} bytes");
            return Err(Fault::new(0, reason).bind(source));
        }
        let (root, variables) = parser::parse(source).map_err(|fault| fault.bind(source))?;
        Ok(Self {
            source: source.to_owned(),
            root,
            variables,
        })
    }

    /// The variables, each once, in the order of their first mention.
    pub fn variables(&self) -> &[String] {
        &self.variables
    }

    /// Evaluates the expression. A variable that is needed and not there is an error.
    pub fn evaluate(&self, variables: &BTreeMap<String, Value>) -> Result<Value, GovaluateError> {
        eval::evaluate(&self.root, variables).map_err(|fault| fault.bind(&self.source))
    }

    /// Evaluates the expression and insists on a bool, as filters do.
    pub fn evaluate_bool(
        &self,
        variables: &BTreeMap<String, Value>,
    ) -> Result<bool, GovaluateError> {
        match self.evaluate(variables)? {
            Value::Bool(b) => Ok(b),
            other => {
                let reason = format!("the result is {}, not a bool", other.kind());
                Err(Fault::new(0, reason).bind(&self.source))
            }
        }
    }
}

#[cfg(test)]
mod tests;
