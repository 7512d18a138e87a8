//! What a type of trigger is.
//!
//! A new one is a file with a type behind [`Trigger`], its line in `registry::ALL`, and its rows in `api/fields.rs`.

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;
use reconcile_core::object::FieldError;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{Executor, Firing, SuccessPolicy, TriggerError};
use crate::{
    api::{decode, trigger::Parameter},
    sensor::parameter,
};

/// A trigger that can run, or the field that is wrong.
pub type CheckedAction = Result<Arc<dyn Action>, FieldError>;

/// A type of trigger.
pub struct TriggerKind {
    /// Key of the template, as upstream names it.
    pub key: &'static str,
    /// Decodes and checks what is below that key; the error names the field below the path.
    pub(super) check: fn(&str, &Value) -> CheckedAction,
}

impl TriggerKind {
    /// The type that `T` is.
    pub(super) const fn of<T: Trigger>() -> Self {
        Self {
            key: T::KEY,
            check: |path, value| Ok(Arc::new(checked::<T>(path, value, None)?)),
        }
    }
}

/// What a template says below the key of its type.
pub trait Trigger:
    Clone + fmt::Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Key of the template, as upstream names it.
    const KEY: &'static str;

    /// What is done for a firing: all that is decided before anything is done.
    type Request: Send;

    /// Checks what can be checked before parameters are applied, and keeps what is costly to make.
    fn check(&mut self, path: &str) -> Result<(), FieldError>;

    /// Takes over what an earlier check made of equal fields: parameters make a new value for each event.
    fn reuse(&mut self, _checked: &Self) {}

    /// Patches of what is below the key.
    fn parameters(&self) -> &[Parameter] {
        &[]
    }

    /// Applies the parameters. Reads nothing: the same request is shown offline.
    fn resolve(&self, firing: &Firing) -> Result<Self::Request, TriggerError>;

    /// The request for a person. Values of Secrets are left out, and so is what only the cluster knows.
    fn preview(request: &Self::Request) -> Value;

    /// Does it. Reads Secrets of the Sensor's namespace only; every call has a deadline. The outcome decides
    /// whether the events are acknowledged, tried again or dead-lettered.
    fn execute(
        request: Self::Request,
        run: Run<'_>,
    ) -> impl Future<Output = Result<Done, TriggerError>> + Send;
}

/// What [`Trigger::execute`] works with.
#[derive(Clone, Copy)]
pub struct Run<'r> {
    /// Connections, identities, Secrets.
    pub executor: &'r Executor,
    /// The events, and for whom.
    pub firing: &'r Firing,
    /// When the action counts as successful.
    pub success: &'r SuccessPolicy,
}

/// What an action did: an object or the status of an answer, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done(pub String);

/// A [`Trigger`] of any type, as a Sensor holds it.
pub trait Action: fmt::Debug + Send + Sync {
    /// Key of the template.
    fn key(&self) -> &'static str;

    /// Patches of what is below the key.
    fn parameters(&self) -> &[Parameter];

    /// The same type of trigger with other fields, after parameters of the template were applied.
    fn again(&self, path: &str, value: &Value) -> CheckedAction;

    /// What it would do.
    fn preview(&self, firing: &Firing) -> Result<Value, TriggerError>;

    /// Does it.
    fn run<'r>(&'r self, run: Run<'r>) -> BoxFuture<'r, Result<Done, TriggerError>>;
}

impl<T: Trigger> Action for T {
    fn key(&self) -> &'static str {
        T::KEY
    }

    fn parameters(&self) -> &[Parameter] {
        Trigger::parameters(self)
    }

    fn again(&self, path: &str, value: &Value) -> CheckedAction {
        Ok(Arc::new(checked(path, value, Some(self))?))
    }

    fn preview(&self, firing: &Firing) -> Result<Value, TriggerError> {
        Ok(T::preview(&self.resolve(firing)?))
    }

    fn run<'r>(&'r self, run: Run<'r>) -> BoxFuture<'r, Result<Done, TriggerError>> {
        Box::pin(async move { T::execute(self.resolve(run.firing)?, run).await })
    }
}

fn checked<T: Trigger>(path: &str, value: &Value, before: Option<&T>) -> Result<T, FieldError> {
    let mut trigger: T = decode(path, value)?;
    if let Some(before) = before {
        trigger.reuse(before);
    }
    trigger.check(path)?;
    Ok(trigger)
}

/// A trigger with its own parameters applied.
pub fn patched<T: Trigger>(trigger: &T, firing: &Firing) -> Result<T, TriggerError> {
    let parameters = Trigger::parameters(trigger);
    if parameters.is_empty() {
        return Ok(trigger.clone());
    }
    let document = serde_json::to_value(trigger).unwrap_or(Value::Null);
    let document = parameter::apply(document, parameters, firing.inputs())?;
    Ok(decode(T::KEY, &document)?)
}

/// The value of a field that a manifest must have.
pub fn required<'t, T>(path: &str, field: &str, value: Option<&'t T>) -> Result<&'t T, FieldError> {
    value.ok_or_else(|| FieldError::new(format!("{path}.{field}"), "must not be empty"))
}

/// Checks a payload that must have values.
pub fn check_payload(path: &str, payload: &[Parameter]) -> Result<(), FieldError> {
    let path = format!("{path}.payload");
    if payload.is_empty() {
        return Err(FieldError::new(path, "must not be empty"));
    }
    check_sources(&path, payload)
}

/// Checks that each value of a list names the dependency that it comes from.
pub fn check_sources(path: &str, parameters: &[Parameter]) -> Result<(), FieldError> {
    for (index, parameter) in parameters.iter().enumerate() {
        let source = parameter.src.as_ref();
        if source.is_none_or(|source| source.dependency_name.is_empty()) {
            let path = format!("{path}[{index}].src.dependencyName");
            return Err(FieldError::new(path, "must not be empty"));
        }
    }
    Ok(())
}

/// A payload for a person: as JSON where it is JSON.
pub fn text_or_json(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| json!(String::from_utf8_lossy(body)))
}
