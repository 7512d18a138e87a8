//! Operators on values.

use std::cmp::Ordering;

use regex::Regex;

use super::ast::{Binary, Unary};
use super::value::{Value, int_to_float};
use crate::go_text;
use crate::pattern::compile_pattern;

type Outcome = Result<Value, String>;

pub(super) fn unary(operator: Unary, operand: Value) -> Outcome {
    match (operator, operand) {
        (Unary::Not, Value::Bool(b)) => Ok(Value::Bool(!b)),
        (Unary::Minus, Value::Int(i)) => Ok(Value::Int(i.wrapping_neg())),
        (Unary::Minus, Value::Float(f)) => Ok(Value::Float(-f)),
        (Unary::Plus, number @ (Value::Int(_) | Value::Float(_))) => Ok(number),
        (Unary::Not, other) => Err(format!("`not` is not defined for {}", other.go_type())),
        (_, other) => Err(format!("a sign is not defined for {}", other.go_type())),
    }
}

fn undefined(operator: Binary, left: &Value, right: &Value) -> String {
    format!(
        "`{}` is not defined for {} and {}",
        operator.symbol(),
        left.go_type(),
        right.go_type()
    )
}

/// Every operator but the short-circuiting ones, which never come here with both sides known.
pub(super) fn binary(operator: Binary, left: &Value, right: &Value) -> Outcome {
    match operator {
        Binary::Equal => Ok(Value::Bool(left.equals(right))),
        Binary::NotEqual => Ok(Value::Bool(!left.equals(right))),
        Binary::Less | Binary::LessEqual | Binary::Greater | Binary::GreaterEqual => {
            compare(operator, left, right)
        }
        Binary::Add | Binary::Subtract | Binary::Multiply => arithmetic(operator, left, right),
        Binary::Divide | Binary::Power => match (left.as_float(), right.as_float()) {
            (Some(a), Some(b)) if operator == Binary::Divide => Ok(Value::Float(a / b)),
            (Some(a), Some(b)) => Ok(Value::Float(a.powf(b))),
            _ => Err(undefined(operator, left, right)),
        },
        Binary::Modulo => match (left, right) {
            (Value::Int(_), Value::Int(0)) => Err("integer divide by zero".to_owned()),
            (Value::Int(a), Value::Int(b)) => Ok(Value::Int(a.wrapping_rem(*b))),
            _ => Err(undefined(operator, left, right)),
        },
        Binary::Range => match (left.as_int(), right.as_int()) {
            (Some(a), Some(b)) => Ok(Value::list((a..=b).map(Value::Int).collect())),
            _ => Err(undefined(operator, left, right)),
        },
        Binary::Contains | Binary::StartsWith | Binary::EndsWith => match (left, right) {
            (Value::Str(text), Value::Str(part)) => Ok(Value::Bool(match operator {
                Binary::Contains => text.contains(&**part),
                Binary::StartsWith => text.starts_with(&**part),
                _ => text.ends_with(&**part),
            })),
            (Value::Nil, _) | (_, Value::Nil) => Ok(Value::Bool(false)),
            _ => Err(undefined(operator, left, right)),
        },
        Binary::In => is_in(left, right).map(Value::Bool),
        Binary::And | Binary::Or | Binary::Coalesce => Err(undefined(operator, left, right)),
    }
}

fn compare(operator: Binary, left: &Value, right: &Value) -> Outcome {
    if !left.can_order(right) {
        return Err(undefined(operator, left, right));
    }
    // NaN has no order: every comparison with it is false.
    let Some(order) = left.order(right) else {
        return Ok(Value::Bool(false));
    };
    Ok(Value::Bool(match operator {
        Binary::Less => order == Ordering::Less,
        Binary::LessEqual => order != Ordering::Greater,
        Binary::Greater => order == Ordering::Greater,
        _ => order != Ordering::Less,
    }))
}

fn arithmetic(operator: Binary, left: &Value, right: &Value) -> Outcome {
    use Value::{Duration, Float, Int, Str, Time};
    let undefined = || undefined(operator, left, right);
    let ints = |a: i64, b: i64| match operator {
        Binary::Add => a.wrapping_add(b),
        Binary::Subtract => a.wrapping_sub(b),
        _ => a.wrapping_mul(b),
    };
    let floats = |a: f64, b: f64| match operator {
        Binary::Add => a + b,
        Binary::Subtract => a - b,
        _ => a * b,
    };
    match (left, right) {
        (Int(a), Int(b)) => Ok(Int(ints(*a, *b))),
        (Int(a), Float(b)) => Ok(Float(floats(int_to_float(*a), *b))),
        (Float(a), Int(b)) => Ok(Float(floats(*a, int_to_float(*b)))),
        (Float(a), Float(b)) => Ok(Float(floats(*a, *b))),
        (Str(a), Str(b)) if operator == Binary::Add => Ok(Value::text(format!("{a}{b}"))),
        (Duration(a), Duration(b)) => Ok(Duration(ints(*a, *b))),
        (Duration(a), Int(b)) | (Int(a), Duration(b)) if operator == Binary::Multiply => {
            Ok(Duration(a.wrapping_mul(*b)))
        }
        (Duration(a), Float(b)) | (Float(b), Duration(a)) if operator == Binary::Multiply => {
            Ok(Duration(go_text::float_to_int(int_to_float(*a) * b)))
        }
        (Time(t), Duration(d)) if operator != Binary::Multiply => shift(
            t,
            if operator == Binary::Add {
                *d
            } else {
                d.wrapping_neg()
            },
        ),
        (Duration(d), Time(t)) if operator == Binary::Add => shift(t, *d),
        (Time(a), Time(b)) if operator == Binary::Subtract => {
            Ok(Duration(nanos_between(&a.timestamp(), &b.timestamp())))
        }
        _ => Err(undefined()),
    }
}

/// `a - b`, held to what a Go duration can say.
pub(crate) fn nanos_between(a: &jiff::Timestamp, b: &jiff::Timestamp) -> i64 {
    let nanos = a.as_nanosecond() - b.as_nanosecond();
    i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
}

pub(super) fn shift(time: &jiff::Zoned, nanos: i64) -> Outcome {
    time.checked_add(jiff::SignedDuration::from_nanos(nanos))
        .map(|moved| Value::Time(Box::new(moved)))
        .map_err(|_| "time is out of range".to_owned())
}

/// How many elements `a..b` has.
pub(super) fn range_size(left: &Value, right: &Value) -> Result<usize, String> {
    match (left.as_int(), right.as_int()) {
        (Some(a), Some(b)) => {
            let size = (i128::from(b) - i128::from(a) + 1).max(0);
            Ok(usize::try_from(size).unwrap_or(usize::MAX))
        }
        _ => Err(undefined(Binary::Range, left, right)),
    }
}

fn is_in(needle: &Value, haystack: &Value) -> Result<bool, String> {
    match haystack {
        Value::Nil => Ok(false),
        Value::List(items) => Ok(items.iter().any(|item| item.equals(needle))),
        Value::Bytes(bytes) => Ok(bytes
            .iter()
            .any(|b| Value::Int(i64::from(*b)).equals(needle))),
        Value::Map(map) => match needle {
            Value::Str(key) => Ok(map.contains_key(&**key)),
            Value::Nil => Ok(map.contains_key("")),
            _ => Err(format!("a map has text keys, not {}", needle.go_type())),
        },
        Value::Groups(groups) => Ok(groups.iter().any(|(key, _)| key.equals(needle))),
        other => Err(format!("`in` is not defined for {}", other.go_type())),
    }
}

pub(super) fn matches(left: &Value, right: &Value, pattern: Option<&Regex>) -> Outcome {
    let text = match left {
        Value::Nil => return Ok(Value::Bool(false)),
        Value::Str(text) => text.to_string(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => return Err(format!("`matches` is not defined for {}", other.go_type())),
    };
    if let Some(pattern) = pattern {
        return Ok(Value::Bool(pattern.is_match(&text)));
    }
    match right {
        Value::Nil => Ok(Value::Bool(false)),
        Value::Str(pattern) => Ok(Value::Bool(compile_pattern(pattern)?.is_match(&text))),
        other => Err(format!("a pattern must be text, not {}", other.go_type())),
    }
}

/// `base[key]` and `base.key`.
pub(super) fn fetch(base: &Value, key: &Value) -> Outcome {
    match base {
        Value::Map(map) => match key {
            Value::Str(name) => Ok(map.get(&**name).cloned().unwrap_or(Value::Nil)),
            Value::Nil => Ok(map.get("").cloned().unwrap_or(Value::Nil)),
            _ => Err(format!("a map has text keys, not {}", key.go_type())),
        },
        Value::Groups(groups) => Ok(groups
            .iter()
            .find(|(k, _)| k.equals(key))
            .map_or(Value::list(Vec::new()), |(_, members)| members.clone())),
        Value::List(items) => {
            let at = position(key, items.len())?;
            Ok(items[at].clone())
        }
        Value::Bytes(bytes) => Ok(Value::Int(i64::from(bytes[position(key, bytes.len())?]))),
        // Go indexes the bytes of a text.
        Value::Str(text) => Ok(Value::Int(i64::from(
            text.as_bytes()[position(key, text.len())?],
        ))),
        other => Err(format!(
            "cannot fetch {} from {}",
            key.go_string(),
            other.go_type()
        )),
    }
}

/// A Go index: negative ones count from the end, everything else out of range is an error.
fn position(key: &Value, length: usize) -> Result<usize, String> {
    let index = key.as_int().ok_or_else(|| {
        format!(
            "an element is selected by an integer, not by {}",
            key.go_type()
        )
    })?;
    let from_start = if index < 0 {
        i128::from(index) + length as i128
    } else {
        i128::from(index)
    };
    usize::try_from(from_start)
        .ok()
        .filter(|at| *at < length)
        .ok_or_else(|| format!("index out of range: {index} (array length is {length})"))
}

/// `base[from:to]`; bounds outside of the array are moved to its ends.
pub(super) fn slice(base: &Value, from: Option<i64>, to: Option<i64>) -> Outcome {
    let cut = |length: usize| {
        let clamp = |bound: i64| {
            let bound = i128::from(bound) + if bound < 0 { length as i128 } else { 0 };
            usize::try_from(bound.max(0))
                .unwrap_or(usize::MAX)
                .min(length)
        };
        let to = to.map_or(length, clamp);
        (from.map_or(0, clamp).min(to), to)
    };
    match base {
        Value::List(items) => {
            let (from, to) = cut(items.len());
            Ok(Value::list(items[from..to].to_vec()))
        }
        Value::Bytes(bytes) => {
            let (from, to) = cut(bytes.len());
            Ok(Value::Bytes(bytes[from..to].into()))
        }
        Value::Str(text) => {
            let (from, to) = cut(text.len());
            Ok(Value::text(
                String::from_utf8_lossy(&text.as_bytes()[from..to]).into_owned(),
            ))
        }
        other => Err(format!("cannot slice {}", other.go_type())),
    }
}
