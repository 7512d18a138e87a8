//! Functions from values to a value.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use jaq_core::ops::Math;
use serde_json::{Map, Value, json};

use super::{
    JqError,
    values::{arithmetic, compare, float, has, is_true, length, split, type_of},
};

/// From the input and the argument to a value; the argument is null for a function without one.
pub(super) type Function = fn(&Value, &Value) -> Result<Value, JqError>;

/// Padding of base64 is optional, as in jq.
const ANY_PADDING: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The function of this name and number of arguments, of which there is one at most.
pub(super) fn find(name: &str, arguments: usize) -> Option<Function> {
    Some(match (name, arguments) {
        ("not", 0) => |input, _| Ok((!is_true(input)).into()),
        ("length", 0) => |input, _| length(input),
        ("type", 0) => |input, _| Ok(type_of(input).into()),
        ("tostring", 0) => |input, _| Ok(to_text(input).into()),
        ("tojson", 0) => |input, _| Ok(input.to_string().into()),
        ("fromjson", 0) => |input, _| {
            let parsed = serde_json::from_str(text(input)?);
            parsed.map_err(|_| JqError::Mismatch("fromjson needs JSON"))
        },
        ("tonumber", 0) => |input, _| to_number(input),
        ("ascii_downcase", 0) => |input, _| Ok(text(input)?.to_ascii_lowercase().into()),
        ("ascii_upcase", 0) => |input, _| Ok(text(input)?.to_ascii_uppercase().into()),
        ("ltrimstr", 1) => |input, argument| {
            Ok(trimmed(input, argument, |text, part| {
                text.strip_prefix(part)
            }))
        },
        ("rtrimstr", 1) => |input, argument| {
            Ok(trimmed(input, argument, |text, part| {
                text.strip_suffix(part)
            }))
        },
        ("trim", 0) => |input, _| Ok(text(input)?.trim().into()),
        ("ltrim", 0) => |input, _| Ok(text(input)?.trim_start().into()),
        ("rtrim", 0) => |input, _| Ok(text(input)?.trim_end().into()),
        ("split", 1) => |input, argument| Ok(split(text(input)?, text(argument)?)),
        ("join", 1) => |input, argument| join(input, argument),
        ("has", 1) => |input, argument| has(input, argument).map(Value::Bool),
        ("keys" | "keys_unsorted", 0) => |input, _| keys(input),
        ("to_entries", 0) => |input, _| {
            let fields = object(input)?.iter();
            Ok(fields
                .map(|(key, value)| json!({"key": key, "value": value}))
                .collect())
        },
        ("from_entries", 0) => |input, _| from_entries(input),
        ("add", 0) => |input, _| {
            let mut sum = Value::Null;
            for item in items(input)? {
                sum = arithmetic(Math::Add, &sum, item)?;
            }
            Ok(sum)
        },
        ("reverse", 0) => |input, _| match input {
            Value::String(text) => Ok(text.chars().rev().collect::<String>().into()),
            Value::Null => Ok(json!([])),
            _ => Ok(list(input)?.iter().rev().cloned().collect()),
        },
        ("first", 0) => |input, _| Ok(list(input)?.first().cloned().unwrap_or(Value::Null)),
        ("last", 0) => |input, _| Ok(list(input)?.last().cloned().unwrap_or(Value::Null)),
        ("flatten", 0) => |input, _| flatten(input),
        ("floor", 0) => |input, _| Ok(float(number(input)?.floor())),
        ("ceil", 0) => |input, _| Ok(float(number(input)?.ceil())),
        ("round", 0) => |input, _| Ok(float(number(input)?.round())),
        ("sqrt", 0) => |input, _| Ok(float(number(input)?.sqrt())),
        ("abs", 0) => |input, _| Ok(float(number(input)?.abs())),
        ("@text", 0) => |input, _| Ok(to_text(input).into()),
        ("@json", 0) => |input, _| Ok(input.to_string().into()),
        ("@base64", 0) => |input, _| Ok(STANDARD.encode(to_text(input)).into()),
        ("@base64d", 0) => |input, _| {
            let bytes = ANY_PADDING.decode(text(input)?);
            let bytes = bytes.map_err(|_| JqError::Mismatch("@base64d needs base64"))?;
            Ok(String::from_utf8_lossy(&bytes).into_owned().into())
        },
        ("@uri", 0) => |input, _| Ok(escaped(&to_text(input)).into()),
        _ => return None,
    })
}

/// What `\(...)` puts into a text.
pub(super) fn to_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn text(value: &Value) -> Result<&str, JqError> {
    value.as_str().ok_or(JqError::Mismatch("it needs a text"))
}

fn number(value: &Value) -> Result<f64, JqError> {
    value.as_f64().ok_or(JqError::Mismatch("it needs a number"))
}

pub(super) fn list(value: &Value) -> Result<&Vec<Value>, JqError> {
    value.as_array().ok_or(JqError::Mismatch("it needs a list"))
}

fn object(value: &Value) -> Result<&Map<String, Value>, JqError> {
    value
        .as_object()
        .ok_or(JqError::Mismatch("it needs an object"))
}

/// The members of a list or object.
fn items(value: &Value) -> Result<Vec<&Value>, JqError> {
    match value {
        Value::Array(items) => Ok(items.iter().collect()),
        Value::Object(fields) => Ok(fields.values().collect()),
        _ => Err(JqError::Mismatch("only lists and objects have members")),
    }
}

fn to_number(value: &Value) -> Result<Value, JqError> {
    let wrong = JqError::Mismatch("tonumber needs a number in a text");
    match value {
        Value::Number(_) => Ok(value.clone()),
        Value::String(text) => match serde_json::from_str::<Value>(text.trim()) {
            Ok(number @ Value::Number(_)) => Ok(number),
            _ => text.trim().parse().map(float).map_err(|_| wrong),
        },
        _ => Err(wrong),
    }
}

/// Without the part at its begin or end, where it is there.
fn trimmed(
    value: &Value,
    part: &Value,
    strip: for<'t> fn(&'t str, &'t str) -> Option<&'t str>,
) -> Value {
    let stripped = value.as_str().zip(part.as_str());
    let stripped = stripped.and_then(|(text, part)| strip(text, part));
    stripped.map_or_else(|| value.clone(), Value::from)
}

fn join(value: &Value, separator: &Value) -> Result<Value, JqError> {
    let separator = text(separator)?;
    let parts = list(value)?.iter().map(|item| match item {
        Value::Null => Ok(String::new()),
        Value::Array(_) | Value::Object(_) => Err(JqError::Mismatch("join needs a list of texts")),
        other => Ok(to_text(other)),
    });
    Ok(parts.collect::<Result<Vec<_>, _>>()?.join(separator).into())
}

fn keys(value: &Value) -> Result<Value, JqError> {
    match value {
        Value::Array(items) => Ok((0..items.len()).map(Value::from).collect()),
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort();
            Ok(keys
                .into_iter()
                .map(|key| Value::from(key.as_str()))
                .collect())
        }
        _ => Err(JqError::Mismatch("only lists and objects have keys")),
    }
}

fn from_entries(value: &Value) -> Result<Value, JqError> {
    let mut fields = Map::new();
    for entry in list(value)? {
        let member = |names: &[&str]| {
            let mut found = names.iter().filter_map(|name| entry.get(*name));
            found.find(|value| !value.is_null())
        };
        let key = match member(&["key", "k", "name", "Name", "Key"]) {
            Some(Value::String(key)) => key.clone(),
            Some(key @ (Value::Number(_) | Value::Bool(_))) => key.to_string(),
            _ => return Err(JqError::Mismatch("from_entries needs keys that are texts")),
        };
        let value = member(&["value", "v", "Value", "V"]);
        fields.insert(key, value.cloned().unwrap_or(Value::Null));
    }
    Ok(Value::Object(fields))
}

/// The items of lists in lists, however deep.
fn flatten(value: &Value) -> Result<Value, JqError> {
    let mut open: Vec<&Value> = list(value)?.iter().rev().collect();
    let mut flat = Vec::new();
    while let Some(item) = open.pop() {
        match item {
            Value::Array(items) => open.extend(items.iter().rev()),
            other => flat.push(other.clone()),
        }
    }
    Ok(Value::Array(flat))
}

/// As a part of a URL.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&hex::encode_upper([byte]));
        }
    }
    out
}

/// How the items of a list are put in order by keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ordered {
    /// All of them.
    Sort,
    /// Lists of those with equal keys.
    Group,
    /// The first one of each key.
    Unique,
    /// The one with the smallest key.
    Least,
    /// The one with the largest key.
    Most,
}

/// Puts items in order by their keys.
pub(super) fn ordered(how: Ordered, mut keyed: Vec<(Value, Value)>) -> Value {
    if how == Ordered::Most {
        // The last one of several.
        let most = keyed.into_iter().max_by(|a, b| compare(&a.0, &b.0));
        return most.map_or(Value::Null, |(_, item)| item);
    }
    keyed.sort_by(|a, b| compare(&a.0, &b.0));
    match how {
        Ordered::Least => keyed
            .into_iter()
            .next()
            .map_or(Value::Null, |(_, item)| item),
        Ordered::Unique => {
            keyed.dedup_by(|a, b| compare(&a.0, &b.0).is_eq());
            keyed.into_iter().map(|(_, item)| item).collect()
        }
        Ordered::Group => {
            let groups = keyed.chunk_by(|a, b| compare(&a.0, &b.0).is_eq());
            let group = |group: &[(Value, Value)]| -> Value {
                group.iter().map(|(_, item)| item.clone()).collect()
            };
            groups.map(group).collect()
        }
        _ => keyed.into_iter().map(|(_, item)| item).collect(),
    }
}
