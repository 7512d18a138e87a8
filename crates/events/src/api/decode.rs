//! Parts of a manifest as typed values.

use reconcile_core::object::{FieldError, parse_at};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Decodes a part of a manifest, with nulls as absent, which is how Go reads them.
pub fn decode<T: DeserializeOwned>(path: &str, value: &Value) -> Result<T, FieldError> {
    parse_at(path, &without_nulls(value).to_string())
}

/// Drops null members. Embedded resources stay as they are: a null in a patch means deletion.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| {
                let kept = if key == "resource" {
                    value.clone()
                } else {
                    without_nulls(value)
                };
                (key.clone(), kept)
            })
            .collect(),
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}
