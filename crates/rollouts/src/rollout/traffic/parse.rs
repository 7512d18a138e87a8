//! Reads the configuration of routers.

use reconcile_core::object::FieldError;
use serde::Deserialize;
use serde_json::Value;

/// Reads a part of the configuration.
pub(super) fn parse<'d, T: Deserialize<'d>>(at: &str, value: &'d Value) -> Result<T, FieldError> {
    T::deserialize(value).map_err(|error| FieldError::new(at, format!("Invalid value: {error}")))
}
