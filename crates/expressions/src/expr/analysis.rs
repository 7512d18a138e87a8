//! Success and failure conditions of analysis metrics.
//!
//! An expression sees `result` (the measurement) and the functions `asInt`, `asFloat`, `isNaN`,
//! `isInf`, `isNil` and `default`. Types are checked first, with the type the measurement really
//! has: `result == "x"` on a number is an error, not false.

use jiff::Timestamp;

use super::Program;
use super::error::EvalError;
use super::host::{Function, Host};
use super::types::Type;
use super::value::Value;
use crate::go_text;

/// A measurement, with the type its provider gives it in Go.
#[derive(Debug, Clone)]
pub enum AnalysisValue {
    /// A scalar of Prometheus and of most other providers; NaN and the infinities are possible.
    Float(f64),
    /// A vector or matrix of Prometheus.
    Floats(Vec<f64>),
    /// What the web provider read from a JSON body.
    Json(serde_json::Value),
    /// What the web provider read from any other body.
    String(String),
    /// A list whose items have types of their own, for example the cells of an `InfluxDB` answer.
    Values(Vec<Value>),
    /// A pointer to a float that points to nothing: Datadog without data. Conditions may compare it like a
    /// float, and fail only when they do.
    NoFloat,
    /// A provider that found nothing.
    Null,
}

impl PartialEq for AnalysisValue {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
            && self.to_value().equals(&other.to_value())
    }
}

impl AnalysisValue {
    fn to_value(&self) -> Value {
        match self {
            Self::Float(f) => Value::Float(*f),
            Self::Floats(floats) => Value::list(floats.iter().map(|f| Value::Float(*f)).collect()),
            Self::Json(json) => Value::from_json(json),
            Self::String(text) => Value::text(text.as_str()),
            Self::Values(values) => Value::list(values.clone()),
            Self::Null | Self::NoFloat => Value::Nil,
        }
    }

    fn value_type(&self) -> Type {
        use serde_json::Value as Json;
        match self {
            Self::Float(_) | Self::NoFloat | Self::Json(Json::Number(_)) => Type::Float,
            Self::Floats(_) => Type::Float.list(),
            Self::String(_) | Self::Json(Json::String(_)) => Type::Str,
            Self::Null | Self::Json(Json::Null) => Type::Nil,
            Self::Json(Json::Bool(_)) => Type::Bool,
            Self::Values(_) | Self::Json(Json::Array(_)) => Type::Unknown.list(),
            Self::Json(Json::Object(_)) => Type::Map,
        }
    }
}

/// Evaluates a condition; `now()` is not offered, see [`evaluate_at`].
pub fn evaluate(condition: &str, result: &AnalysisValue) -> Result<bool, EvalError> {
    Surroundings::new(result, None).evaluate(condition)
}

/// Evaluates a condition in which `now()` gives `now`.
pub fn evaluate_at(
    condition: &str,
    result: &AnalysisValue,
    now: Timestamp,
) -> Result<bool, EvalError> {
    Surroundings::new(result, Some(now)).evaluate(condition)
}

/// What an expression gives in these surroundings, of whatever type.
pub fn evaluate_value(expression: &str, result: &AnalysisValue) -> Result<Value, EvalError> {
    let surroundings = Surroundings::new(result, None);
    let program = Program::parse(expression)?;
    program.check(&surroundings)?;
    program.run(&surroundings)
}

/// Whether the condition can be parsed at all; its types depend on a measurement.
pub fn validate(condition: &str) -> Result<(), EvalError> {
    Program::parse(condition).map(|_| ())
}

/// The environment of an analysis condition.
#[derive(Debug)]
pub(super) struct Surroundings {
    result: Value,
    result_type: Type,
    now: Option<Timestamp>,
}

impl Surroundings {
    pub(super) fn new(result: &AnalysisValue, now: Option<Timestamp>) -> Self {
        Self {
            result: result.to_value(),
            result_type: result.value_type(),
            now,
        }
    }

    fn evaluate(&self, condition: &str) -> Result<bool, EvalError> {
        let program = Program::parse(condition)?;
        program.check(self)?;
        program.run_bool(self)
    }
}

impl Host for Surroundings {
    fn variable(&self, name: &str) -> Option<Value> {
        (name == "result").then(|| self.result.clone())
    }

    fn variable_type(&self, name: &str) -> Option<Type> {
        (name == "result").then(|| self.result_type.clone())
    }

    fn function(&self, name: &str) -> Option<Function> {
        let (params, returns) = match name {
            "asInt" => ("?", Type::Int),
            "asFloat" => ("?", Type::Float),
            "isNaN" | "isInf" => ("f", Type::Bool),
            "isNil" => ("?", Type::Bool),
            "default" => ("??", Type::Unknown),
            _ => return None,
        };
        Some(Function { params, returns })
    }

    fn call(&self, name: &str, args: &[Value]) -> Result<Value, String> {
        match name {
            "asInt" => as_int(&args[0]),
            "asFloat" => as_float(&args[0]),
            "isNaN" => float(name, &args[0]).map(|f| Value::Bool(f.is_nan())),
            "isInf" => float(name, &args[0]).map(|f| Value::Bool(f.is_infinite())),
            // Upstream's quirk: both look at the raw measurement, whatever they are given.
            "isNil" => Ok(Value::Bool(matches!(self.result, Value::Nil))),
            _ => Ok(match &self.result {
                Value::Nil => args[1].clone(),
                result => result.clone(),
            }),
        }
    }

    fn variables(&self) -> Value {
        Value::Map(std::sync::Arc::new(
            [("result".to_owned(), self.result.clone())].into(),
        ))
    }

    fn now(&self) -> Option<Timestamp> {
        self.now
    }
}

fn float(name: &str, value: &Value) -> Result<f64, String> {
    value
        .as_float()
        .ok_or_else(|| format!("{name} does not take {}", value.kind()))
}

/// `asInt`: floats are cut, text must be a whole number.
pub(super) fn as_int(value: &Value) -> Result<Value, String> {
    match value {
        Value::Str(text) => go_text::parse_int(text)
            .map(Value::Int)
            .ok_or_else(|| format!("asInt: {text:?} is not an integer")),
        other => other
            .as_int()
            .map(Value::Int)
            .ok_or_else(|| format!("asInt does not take {} {}", other.kind(), other.go_string())),
    }
}

/// `asFloat`: text must be a number.
pub(super) fn as_float(value: &Value) -> Result<Value, String> {
    match value {
        Value::Str(text) => go_text::parse_float(text)
            .map(Value::Float)
            .ok_or_else(|| format!("asFloat: {text:?} is not a number")),
        other => other.as_float().map(Value::Float).ok_or_else(|| {
            format!(
                "asFloat does not take {} {}",
                other.kind(),
                other.go_string()
            )
        }),
    }
}
