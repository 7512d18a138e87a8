//! Changes of events before the filters.

use std::sync::Arc;

use expressions::jq::{JqError, JqProgram};
use jiff::Timestamp;
use reconcile_core::object::FieldError;
use thiserror::Error;

use super::script::{Script, ScriptError, payload};
use crate::{
    api::sensor,
    event::{CloudEvent, JSON},
};

/// Why there is no changed event.
#[derive(Debug, Error)]
pub enum TransformError {
    /// The payload cannot be changed, or the script fails.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// The program does not fit the payload.
    #[error(transparent)]
    Jq(#[from] JqError),
    /// A payload stays an object.
    #[error("the first output of jq is no JSON object")]
    NoObject,
}

/// A checked change of events.
#[derive(Clone, Debug, PartialEq)]
pub enum Transform {
    /// `jq`
    Jq(Arc<JqProgram>),
    /// `script`, in Lua.
    Script(Script),
}

impl Transform {
    /// Checks the transform at `path`; `jq` wins, as upstream. `None` when it changes nothing.
    pub fn check(path: &str, raw: &sensor::Transform) -> Result<Option<Self>, FieldError> {
        if !raw.jq.is_empty() {
            let program = JqProgram::parse(&raw.jq)
                .map_err(|error| FieldError::new(format!("{path}.jq"), error.to_string()))?;
            return Ok(Some(Self::Jq(Arc::new(program))));
        }
        if raw.script.is_empty() {
            return Ok(None);
        }
        Script::check(&format!("{path}.script"), &raw.script)
            .map(|script| Some(Self::Script(script)))
    }

    /// The event with the changed payload.
    pub(super) fn apply(
        &self,
        event: &CloudEvent,
        now: Timestamp,
    ) -> Result<CloudEvent, TransformError> {
        let program = match self {
            Self::Script(script) => return Ok(script.transform(event, now)?),
            Self::Jq(program) => program,
        };
        let output = program.first(&payload(event)?)?;
        let output = output.filter(serde_json::Value::is_object);
        let output = output.ok_or(TransformError::NoObject)?;
        Ok(CloudEvent {
            data: output.to_string().into(),
            datacontenttype: JSON.to_owned(),
            ..event.clone()
        })
    }
}
