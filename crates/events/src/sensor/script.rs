//! Lua scripts of dependencies: a filter, or a change of the payload.

use std::{sync::Arc, time::Duration};

use expressions::lua::{self, Libraries, Limits, LuaError};
use jiff::Timestamp;
use reconcile_core::object::FieldError;
use serde_json::Value;
use thiserror::Error;

use super::payload::{PayloadError, data_as_json};
use crate::{
    event::{CloudEvent, JSON},
    json,
};

/// What a script may use. Many Sensors share the threads that run scripts.
const LIMITS: Limits = Limits {
    time: Duration::from_millis(200),
    memory: 32 << 20,
    source: 64 << 10,
};

/// Why a script decides nothing.
#[derive(Clone, Debug, Error)]
pub enum ScriptError {
    /// The payload has no values.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// A script sees objects only.
    #[error("the payload is no JSON object")]
    NoObject,
    /// The script fails.
    #[error(transparent)]
    Lua(#[from] LuaError),
    /// A transform must return a table.
    #[error("the script returns no table")]
    NoTable,
}

/// A checked script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script(Arc<str>);

impl Script {
    /// Checks the script at `path`.
    pub fn check(path: &str, source: &str) -> Result<Self, FieldError> {
        if source.len() > LIMITS.source {
            let message = format!("has more than {} bytes", LIMITS.source);
            return Err(FieldError::new(path, message));
        }
        lua::check(source).map_err(|error| FieldError::new(path, error.to_string()))?;
        Ok(Self(source.into()))
    }

    /// Runs it as a filter: whether it returns true.
    pub(super) fn admits(&self, event: &CloudEvent, now: Timestamp) -> Result<bool, ScriptError> {
        let (_, value) = self.run(event, now)?;
        Ok(value == Value::Bool(true))
    }

    /// Runs it as a transform: the event with the payload that it returns.
    pub(super) fn transform(
        &self,
        event: &CloudEvent,
        now: Timestamp,
    ) -> Result<CloudEvent, ScriptError> {
        let (before, mut value) = self.run(event, now)?;
        if !value.is_object() && !value.is_array() {
            return Err(ScriptError::NoTable);
        }
        lua::empty_tables_as_objects(&mut value, &before);
        Ok(CloudEvent {
            data: value.to_string().into(),
            datacontenttype: JSON.to_owned(),
            ..event.clone()
        })
    }

    /// The payload, and what the script makes of it.
    fn run(&self, event: &CloudEvent, now: Timestamp) -> Result<(Value, Value), ScriptError> {
        let payload = payload(event)?;
        let script = lua::Script {
            source: &self.0,
            libraries: Libraries::Bounded,
        };
        let value = lua::run(&script, &[("event", &payload)], now, &LIMITS)?;
        Ok((payload, value))
    }
}

/// The payload, which must be an object.
pub(super) fn payload(event: &CloudEvent) -> Result<Value, ScriptError> {
    let text = data_as_json(event)?;
    let payload = json::decode(&text).map_err(|_| PayloadError::NotJson)?;
    if payload.is_object() {
        Ok(payload)
    } else {
        Err(ScriptError::NoObject)
    }
}
