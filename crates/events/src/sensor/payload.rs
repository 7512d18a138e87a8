//! The payload of an event as JSON.

use std::borrow::Cow;

use thiserror::Error;

use crate::event::CloudEvent;

/// A payload that has no values to select.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PayloadError {
    /// Its bytes are not UTF-8.
    #[error("the payload is not text")]
    NotText,
    /// It is not JSON and its content type does not say YAML.
    #[error("the payload is not JSON")]
    NotJson,
    /// It should be YAML, but is not.
    #[error("{0}")]
    Yaml(String),
}

/// The payload as JSON text; YAML is converted.
pub fn data_as_json(event: &CloudEvent) -> Result<Cow<'_, str>, PayloadError> {
    let text = std::str::from_utf8(&event.data).map_err(|_| PayloadError::NotText)?;
    if serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok() {
        return Ok(text.into());
    }
    if event.datacontenttype.contains("yaml") {
        return reconcile_core::yaml::value(text)
            .map_err(|error| PayloadError::Yaml(error.to_string()))
            .map(|value| Cow::Owned(value.to_string()));
    }
    Err(PayloadError::NotJson)
}
