//! Parameters: values taken from events and put into a template, a resource or a payload.

use std::{borrow::Cow, collections::BTreeMap};

use jiff::Timestamp;
use serde_json::Value;
use thiserror::Error;

use super::language;
use crate::{
    api::trigger::{Parameter, ParameterSource},
    event::CloudEvent,
    json,
};

/// The events of one firing, by dependency.
pub type Events = BTreeMap<String, CloudEvent>;

/// What values are taken from.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'i> {
    /// The events.
    pub events: &'i Events,
    /// What the clock of templates shows.
    pub now: Timestamp,
}

/// A parameter that has no value or no place.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("parameter {index} ({dest:?}): {reason}")]
pub struct ParameterError {
    /// Position in the list.
    pub index: usize,
    /// Where it should go.
    pub dest: String,
    /// What is wrong.
    pub reason: String,
}

/// A value for a parameter: text, or JSON that keeps its type.
#[derive(Clone, Debug, PartialEq)]
pub enum Resolved {
    /// A string.
    Text(String),
    /// JSON text of any other type, because `useRawData` asked for it: exactly as it stood in the event.
    Raw(String),
}

impl Resolved {
    fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) | Self::Raw(text) => text.into(),
        }
    }

    fn into_json(self) -> String {
        match self {
            Self::Text(text) => Value::String(text).to_string(),
            Self::Raw(text) => text,
        }
    }
}

/// Applies parameters to a JSON document.
pub fn apply(
    document: Value,
    parameters: &[Parameter],
    inputs: Inputs<'_>,
) -> Result<Value, ParameterError> {
    if parameters.is_empty() {
        return Ok(document);
    }
    let text = apply_to_text(document.to_string(), parameters, inputs)?;
    json::decode(&text).map_err(|error| ParameterError {
        index: parameters.len() - 1,
        dest: String::new(),
        reason: format!("the values give no document that can be used: {error}"),
    })
}

/// Applies parameters to the text of a JSON document. What comes from an event keeps its text.
fn apply_to_text(
    mut document: String,
    parameters: &[Parameter],
    inputs: Inputs<'_>,
) -> Result<String, ParameterError> {
    for (index, parameter) in parameters.iter().enumerate() {
        let failed = |reason: String| ParameterError {
            index,
            dest: parameter.dest.clone(),
            reason,
        };
        let Some(value) = resolve_parameter(parameter, inputs).map_err(failed)? else {
            continue;
        };
        let value = match parameter.operation.as_deref() {
            None | Some("" | "overwrite") => value.into_json(),
            Some(operation @ ("append" | "prepend")) => {
                match language::get(&document, &parameter.dest) {
                    None => value.into_json(),
                    Some(current) => {
                        let (current, text) = (current.text, value.text());
                        let joined = if operation == "append" {
                            format!("{current}{text}")
                        } else {
                            format!("{text}{current}")
                        };
                        Value::String(joined).to_string()
                    }
                }
            }
            Some(other) => return Err(failed(format!("unknown operation {other:?}"))),
        };
        document = language::set(&document, &parameter.dest, &value).map_err(failed)?;
    }
    Ok(document)
}

/// Builds a payload from nothing. The first parameter without a destination that has a value becomes the
/// whole body.
pub fn payload(parameters: &[Parameter], inputs: Inputs<'_>) -> Result<Vec<u8>, ParameterError> {
    let (whole, placed): (Vec<_>, Vec<_>) = parameters
        .iter()
        .enumerate()
        .partition(|(_, parameter)| parameter.dest.is_empty());
    let bodies = !whole.is_empty() && placed.is_empty();
    for (index, parameter) in whole {
        if let Some(body) = text(index, parameter, inputs)? {
            return Ok(body.into_bytes());
        }
    }
    if bodies {
        // None of the dependencies has an event.
        return Ok(Vec::new());
    }
    let placed: Vec<Parameter> = placed
        .into_iter()
        .map(|(_, parameter)| parameter.clone())
        .collect();
    Ok(apply_to_text("{}".to_owned(), &placed, inputs)?.into_bytes())
}

/// The text of a parameter that is used by itself, as dynamic headers are. `None` when the dependency has
/// no event.
pub fn text(
    index: usize,
    parameter: &Parameter,
    inputs: Inputs<'_>,
) -> Result<Option<String>, ParameterError> {
    let failed = |reason: String| ParameterError {
        index,
        dest: parameter.dest.clone(),
        reason,
    };
    let value = resolve_parameter(parameter, inputs).map_err(failed)?;
    Ok(value.map(|value| value.text().into_owned()))
}

fn resolve_parameter(
    parameter: &Parameter,
    inputs: Inputs<'_>,
) -> Result<Option<Resolved>, String> {
    let Some(source) = &parameter.src else {
        return Err("has no src".to_owned());
    };
    resolve(source, inputs)
}

/// The value of a source; `None` when its dependency has no event and it names no default.
pub fn resolve(source: &ParameterSource, inputs: Inputs<'_>) -> Result<Option<Resolved>, String> {
    let default = || source.value.clone().map(Resolved::Text);
    let Some(event) = inputs.events.get(&source.dependency_name) else {
        return Ok(default());
    };
    let given = |field: &Option<String>| field.as_deref().is_some_and(|text| !text.is_empty());
    let (about, template, key) = if given(&source.data_template) || given(&source.data_key) {
        (
            "data",
            source.data_template.as_deref(),
            source.data_key.as_deref(),
        )
    } else if given(&source.context_template) || given(&source.context_key) {
        (
            "context",
            source.context_template.as_deref(),
            source.context_key.as_deref(),
        )
    } else {
        return Ok(Some(
            default().unwrap_or_else(|| Resolved::Text(event.whole().to_string())),
        ));
    };
    let json = if about == "data" {
        data_as_json(event)
    } else {
        Ok(Cow::Owned(event.context().to_string()))
    };
    let attempt =
        json.and_then(|json| from_json(&json, template, key, source.use_raw_data, inputs.now));
    match (attempt, default()) {
        (Ok(value), _) | (Err(_), Some(value)) => Ok(Some(value)),
        (Err(reason), None) => Err(format!("{about} of {}: {reason}", source.dependency_name)),
    }
}

fn from_json(
    json: &str,
    template: Option<&str>,
    key: Option<&str>,
    raw: bool,
    now: Timestamp,
) -> Result<Resolved, String> {
    let mut reason = String::from("neither key nor template");
    if let Some(template) = template.filter(|template| !template.is_empty()) {
        match rendered(template, json, now) {
            Ok(text) => return Ok(Resolved::Text(text)),
            Err(error) => reason = error,
        }
    }
    let Some(key) = key.filter(|key| !key.is_empty()) else {
        return Err(reason);
    };
    match language::get(json, key) {
        None => Err(format!("nothing at {key:?}")),
        Some(found) if raw && !found.is_string() => Ok(Resolved::Raw(found.raw)),
        Some(found) if found.raw == "null" => Ok(Resolved::Text(found.raw)),
        Some(found) => Ok(Resolved::Text(found.text)),
    }
}

fn rendered(template: &str, text: &str, now: Timestamp) -> Result<String, String> {
    let input = json::decode(text).map_err(|error| error.to_string())?;
    let text = language::Template::parse(template)?.render(&input, now)?;
    // Nothing to show for: an absent value prints like this.
    if text.is_empty() || text == "<no value>" {
        return Err("the template gives nothing".to_owned());
    }
    Ok(text)
}

/// The payload as JSON text; YAML is converted.
pub fn data_as_json(event: &CloudEvent) -> Result<Cow<'_, str>, String> {
    let text =
        std::str::from_utf8(&event.data).map_err(|_| "the payload is not text".to_owned())?;
    if serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok() {
        return Ok(text.into());
    }
    if event.datacontenttype.contains("yaml") {
        return reconcile_core::yaml::value(text)
            .map_err(|error| error.to_string())
            .map(|value| Cow::Owned(value.to_string()));
    }
    Err("the payload is not JSON".to_owned())
}
