//! Reads one value of an object by the path that a `fieldRef` gives.

use serde_json::Value;
use thiserror::Error;

/// Why a path gives no value.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FieldPathError {
    /// There is no such field.
    #[error("path {0} is invalid in rollout")]
    Missing(String),
    /// The field is a list or an object.
    #[error("path {0} in rollout must terminate in a primitive value")]
    NotPrimitive(String),
}

/// The value at `path` as text, for example `metadata.labels['team']`, `spec.replicas` or
/// `spec.template.spec.containers[0].image`. Labels and annotations without a key give all of them, one
/// `key="value"` per line, as the downward API does; an absent label gives the empty text.
pub(crate) fn field_value(object: &Value, path: &str) -> Result<String, FieldPathError> {
    let missing = || FieldPathError::Missing(path.to_owned());
    if let Some((map, key)) = subscript(path) {
        let value = object
            .get("metadata")
            .and_then(|metadata| metadata.get(map)?.get(key));
        return Ok(value.and_then(Value::as_str).unwrap_or_default().to_owned());
    }
    if let Some(map) = path
        .strip_prefix("metadata.")
        .filter(|map| is_label_map(map))
    {
        return Ok(all_of(
            object
                .get("metadata")
                .and_then(|metadata| metadata.get(map)),
        ));
    }
    let mut value = object;
    for section in path
        .split(['.', '[', ']'])
        .filter(|section| !section.is_empty())
    {
        let next = match value {
            Value::Array(items) => section
                .parse()
                .ok()
                .and_then(|index: usize| items.get(index)),
            Value::Object(fields) => fields.get(section),
            _ => None,
        };
        value = next.ok_or_else(missing)?;
    }
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Null => Err(missing()),
        Value::Array(_) | Value::Object(_) => Err(FieldPathError::NotPrimitive(path.to_owned())),
    }
}

fn is_label_map(name: &str) -> bool {
    name == "labels" || name == "annotations"
}

/// Splits `metadata.labels['key']` into `labels` and `key`.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, rest) = path.strip_prefix("metadata.")?.split_once('[')?;
    let key = rest.strip_suffix(']')?;
    let key = key
        .strip_prefix('\'')
        .and_then(|key| key.strip_suffix('\''))
        .or_else(|| key.strip_prefix('"')?.strip_suffix('"'))?;
    is_label_map(map).then_some((map, key))
}

fn all_of(map: Option<&Value>) -> String {
    let pairs = map.and_then(Value::as_object).into_iter().flatten();
    let lines: Vec<String> = pairs
        .map(|(key, value)| format!("{key}={:?}", value.as_str().unwrap_or_default()))
        .collect();
    lines.join("\n")
}
