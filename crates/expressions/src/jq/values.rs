//! Order, truth and arithmetic of jq.

use std::cmp::Ordering;

use jaq_core::ops::Math;
use serde_json::{Number, Value};

use super::{
    JqError,
    parse::{Comparison, TextTest},
};

/// Everything but null and false.
pub(super) fn is_true(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false))
}

pub(super) fn compares(comparison: Comparison, left: &Value, right: &Value) -> bool {
    let order = compare(left, right);
    match comparison {
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
        Comparison::Equal => order.is_eq(),
        Comparison::Different => order.is_ne(),
    }
}

/// The order of jq: null, false, true, numbers, texts, lists, objects.
pub(super) fn compare(left: &Value, right: &Value) -> Ordering {
    fn rank(value: &Value) -> u8 {
        match value {
            Value::Null => 0,
            Value::Bool(false) => 1,
            Value::Bool(true) => 2,
            Value::Number(_) => 3,
            Value::String(_) => 4,
            Value::Array(_) => 5,
            Value::Object(_) => 6,
        }
    }
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => a
                .as_f64()
                .partial_cmp(&b.as_f64())
                .unwrap_or(Ordering::Equal),
        },
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => {
            let mut orders = a.iter().zip(b).map(|(a, b)| compare(a, b));
            let first = orders.find(|order| order.is_ne());
            first.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (left, right) if left == right => Ordering::Equal,
        (left, right) => rank(left)
            .cmp(&rank(right))
            .then_with(|| left.to_string().cmp(&right.to_string())),
    }
}

pub(super) fn tests(test: TextTest, value: &Value, argument: &Value) -> Result<bool, JqError> {
    match (test, value, argument) {
        (TextTest::StartsWith, Value::String(text), Value::String(part)) => {
            Ok(text.starts_with(part.as_str()))
        }
        (TextTest::EndsWith, Value::String(text), Value::String(part)) => {
            Ok(text.ends_with(part.as_str()))
        }
        (TextTest::Contains, value, part) => Ok(contains(value, part)),
        _ => Err(JqError::Mismatch("only texts can be compared in part")),
    }
}

pub(super) fn has(value: &Value, key: &Value) -> Result<bool, JqError> {
    match (value, key) {
        (Value::Object(fields), Value::String(key)) => Ok(fields.contains_key(key)),
        (Value::Array(items), Value::Number(index)) => Ok(index
            .as_u64()
            .and_then(|index| usize::try_from(index).ok())
            .is_some_and(|index| index < items.len())),
        _ => Err(JqError::Mismatch("has needs an object and a key")),
    }
}

pub(super) fn length(value: &Value) -> Result<Value, JqError> {
    Ok(match value {
        Value::Null => 0.into(),
        Value::String(text) => text.chars().count().into(),
        Value::Array(items) => items.len().into(),
        Value::Object(fields) => fields.len().into(),
        Value::Number(_) | Value::Bool(_) => {
            return Err(JqError::Mismatch(
                "only texts, lists and objects have a length",
            ));
        }
    })
}

pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Whether `part` is in `value`: texts by their letters, lists and objects by their members.
fn contains(value: &Value, part: &Value) -> bool {
    match (value, part) {
        (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
        (Value::Array(items), Value::Array(parts)) => parts
            .iter()
            .all(|part| items.iter().any(|item| contains(item, part))),
        (Value::Object(fields), Value::Object(parts)) => parts
            .iter()
            .all(|(key, part)| fields.get(key).is_some_and(|value| contains(value, part))),
        (value, part) => compare(value, part).is_eq(),
    }
}

/// A float, or null where JSON has no number for it.
#[allow(
    clippy::cast_possible_truncation,
    reason = "checked to be a small whole number"
)]
pub(super) fn float(number: f64) -> Value {
    let whole = number.fract() == 0.0 && number.abs() < 1e15;
    if whole {
        return (number as i64).into();
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

/// `left operator right`.
pub(super) fn arithmetic(operator: Math, left: &Value, right: &Value) -> Result<Value, JqError> {
    Ok(match (operator, left, right) {
        (Math::Add, Value::Null, other) | (Math::Add, other, Value::Null) => other.clone(),
        (operator, Value::Number(a), Value::Number(b)) => numbers(operator, a, b)?,
        (Math::Add, Value::String(a), Value::String(b)) => format!("{a}{b}").into(),
        (Math::Add, Value::Array(a), Value::Array(b)) => a.iter().chain(b).cloned().collect(),
        (Math::Add, Value::Object(a), Value::Object(b)) => {
            let mut fields = a.clone();
            fields.extend(b.clone());
            Value::Object(fields)
        }
        (Math::Sub, Value::Array(a), Value::Array(b)) => {
            let kept = a
                .iter()
                .filter(|item| !b.iter().any(|other| compare(item, other).is_eq()));
            kept.cloned().collect()
        }
        (Math::Div, Value::String(text), Value::String(separator)) => split(text, separator),
        _ => {
            return Err(JqError::Mismatch(
                "these values cannot be added, subtracted, multiplied or divided",
            ));
        }
    })
}

/// The parts of a text between separators.
pub(super) fn split(text: &str, separator: &str) -> Value {
    if text.is_empty() {
        Value::Array(Vec::new())
    } else if separator.is_empty() {
        text.chars()
            .map(|char| Value::from(char.to_string()))
            .collect()
    } else {
        text.split(separator).map(Value::from).collect()
    }
}

fn numbers(operator: Math, left: &Number, right: &Number) -> Result<Value, JqError> {
    if let (Some(a), Some(b)) = (left.as_i64(), right.as_i64()) {
        let whole = match operator {
            Math::Add => a.checked_add(b),
            Math::Sub => a.checked_sub(b),
            Math::Mul => a.checked_mul(b),
            Math::Div if b != 0 && a % b == 0 => a.checked_div(b),
            Math::Rem if b != 0 => a.checked_rem(b),
            Math::Div | Math::Rem => None,
        };
        if let Some(whole) = whole {
            return Ok(whole.into());
        }
    }
    let (a, b) = (
        left.as_f64().unwrap_or(f64::NAN),
        right.as_f64().unwrap_or(f64::NAN),
    );
    if b == 0.0 && matches!(operator, Math::Div | Math::Rem) {
        return Err(JqError::Mismatch("division by zero"));
    }
    Ok(float(match operator {
        Math::Add => a + b,
        Math::Sub => a - b,
        Math::Mul => a * b,
        Math::Div => a / b,
        Math::Rem => a.trunc() % b.trunc(),
    }))
}
