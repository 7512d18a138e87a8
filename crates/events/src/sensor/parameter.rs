//! Parameters: values taken from events and put into a template, a resource or a payload.

use std::{borrow::Cow, collections::BTreeMap};

use jiff::Timestamp;
use serde_json::Value;
use thiserror::Error;

use super::{
    language::{self, LanguageError},
    payload::{PayloadError, data_as_json},
};
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
#[derive(Debug, Error)]
#[error("parameter {index} ({dest:?}): {reason}")]
pub struct ParameterError {
    /// Position in the list.
    pub index: usize,
    /// Where it should go.
    pub dest: String,
    /// What is wrong.
    #[source]
    pub reason: ValueError,
}

/// Why a parameter has no value, or why its value has no place.
#[derive(Debug, Error)]
pub enum ValueError {
    /// It names no source.
    #[error("has no src")]
    NoSource,
    /// Its operation is not known.
    #[error("unknown operation {0:?}")]
    Operation(String),
    /// The source names neither a key nor a template.
    #[error("neither key nor template")]
    NoSelection,
    /// The key selects nothing.
    #[error("nothing at {0:?}")]
    Absent(String),
    /// The template renders nothing.
    #[error("the template gives nothing")]
    Empty,
    /// The payload has no values.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The input of a template cannot be decoded.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A template or a path is wrong.
    #[error(transparent)]
    Language(#[from] LanguageError),
    /// A part of an event has no such value.
    #[error("{part} of {dependency}: {reason}")]
    Event {
        /// `data` or `context`.
        part: &'static str,
        /// Name of the dependency.
        dependency: String,
        /// Why not.
        #[source]
        reason: Box<ValueError>,
    },
    /// All parameters together make a document that cannot be used.
    #[error("the values give no document that can be used: {0}")]
    Document(#[source] serde_json::Error),
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
        reason: ValueError::Document(error),
    })
}

/// Applies parameters to the text of a JSON document. What comes from an event keeps its text.
fn apply_to_text(
    mut document: String,
    parameters: &[Parameter],
    inputs: Inputs<'_>,
) -> Result<String, ParameterError> {
    for (index, parameter) in parameters.iter().enumerate() {
        let failed = |reason: ValueError| ParameterError {
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
            Some(other) => return Err(failed(ValueError::Operation(other.to_owned()))),
        };
        document = language::set(&document, &parameter.dest, &value)
            .map_err(|error| failed(error.into()))?;
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
    let failed = |reason: ValueError| ParameterError {
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
) -> Result<Option<Resolved>, ValueError> {
    let Some(source) = &parameter.src else {
        return Err(ValueError::NoSource);
    };
    resolve(source, inputs)
}

/// The value of a source; `None` when its dependency has no event and it names no default.
pub fn resolve(
    source: &ParameterSource,
    inputs: Inputs<'_>,
) -> Result<Option<Resolved>, ValueError> {
    let default = || source.value.clone().map(Resolved::Text);
    let Some(event) = inputs.events.get(&source.dependency_name) else {
        return Ok(default());
    };
    let Some(selection) = Selection::of(source) else {
        return Ok(Some(
            default().unwrap_or_else(|| Resolved::Text(event.whole().to_string())),
        ));
    };
    let attempt = match selection.part {
        Part::Data => match data_as_json(event) {
            Ok(json) => selection.value(&json, inputs.now),
            Err(error) => Err(error.into()),
        },
        Part::Context => selection.value(&event.context().to_string(), inputs.now),
    };
    match (attempt, default()) {
        (Ok(value), _) | (Err(_), Some(value)) => Ok(Some(value)),
        (Err(reason), None) => Err(ValueError::Event {
            part: selection.part.name(),
            dependency: source.dependency_name.clone(),
            reason: Box::new(reason),
        }),
    }
}

/// A part of an event.
#[derive(Clone, Copy, Debug)]
enum Part {
    Data,
    Context,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Context => "context",
        }
    }
}

/// The value that a source takes from a part of an event: what the template renders, else what is at the key.
struct Selection<'s> {
    part: Part,
    template: Option<&'s str>,
    key: Option<&'s str>,
    /// JSON that is no string keeps its type.
    keeps_type: bool,
}

impl<'s> Selection<'s> {
    /// The selection from the data, else from the context; `None` for the whole event.
    fn of(source: &'s ParameterSource) -> Option<Self> {
        fn given(field: Option<&String>) -> Option<&str> {
            field.map(String::as_str).filter(|text| !text.is_empty())
        }
        let data = (Part::Data, &source.data_template, &source.data_key);
        let context = (Part::Context, &source.context_template, &source.context_key);
        [data, context]
            .into_iter()
            .map(|(part, template, key)| Self {
                part,
                template: given(template.as_ref()),
                key: given(key.as_ref()),
                keeps_type: source.use_raw_data,
            })
            .find(|selection| selection.template.is_some() || selection.key.is_some())
    }

    fn value(&self, json: &str, now: Timestamp) -> Result<Resolved, ValueError> {
        let mut reason = ValueError::NoSelection;
        if let Some(template) = self.template {
            match rendered(template, json, now) {
                Ok(text) => return Ok(Resolved::Text(text)),
                Err(error) => reason = error,
            }
        }
        let Some(key) = self.key else {
            return Err(reason);
        };
        match language::get(json, key) {
            None => Err(ValueError::Absent(key.to_owned())),
            Some(found) if self.keeps_type && !found.is_string() => Ok(Resolved::Raw(found.raw)),
            Some(found) if found.raw == "null" => Ok(Resolved::Text(found.raw)),
            Some(found) => Ok(Resolved::Text(found.text)),
        }
    }
}

fn rendered(template: &str, text: &str, now: Timestamp) -> Result<String, ValueError> {
    let input = json::decode(text)?;
    let text = language::Template::parse(template)?.render(&input, now)?;
    // Nothing to show for: an absent value prints like this.
    if text.is_empty() || text == "<no value>" {
        return Err(ValueError::Empty);
    }
    Ok(text)
}
