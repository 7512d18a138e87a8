//! The languages that Sensors use inside texts: paths into JSON, templates, expressions.

use std::{collections::BTreeMap, sync::Arc};

use expressions::{gjson, gotemplate, govaluate, sjson};
use jiff::Timestamp;
use serde_json::Value;
use thiserror::Error;

use crate::json;

/// A text in one of the languages that is wrong, or that has no value for its input.
#[derive(Clone, Debug, Error)]
pub enum LanguageError {
    /// A value cannot be set at a path.
    #[error(transparent)]
    Path(#[from] sjson::SetError),
    /// A template.
    #[error(transparent)]
    Template(#[from] gotemplate::TemplateError),
    /// An expression.
    #[error(transparent)]
    Expression(#[from] govaluate::GovaluateError),
}

/// A value found by a path.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The JSON text as it stood in the document.
    pub raw: String,
    /// As text: strings without quotes, numbers as they were written, everything else as JSON.
    pub text: String,
}

impl Found {
    /// The decoded value; null when it cannot be decoded, for example a number that is too large.
    pub fn value(&self) -> Value {
        json::decode(&self.raw).unwrap_or_default()
    }

    /// True for a string.
    pub fn is_string(&self) -> bool {
        self.raw.starts_with('"')
    }
}

/// The value at a gjson path; `None` when there is none.
pub fn get(json: &str, path: &str) -> Option<Found> {
    let found = gjson::get(json, path)?;
    let raw = found.raw().to_owned();
    let text = match found.kind() {
        // Also what JSON permits and Unicode does not.
        gjson::ValueKind::String => match json::decode(&raw) {
            Ok(Value::String(text)) => text,
            _ => String::new(),
        },
        // A float cannot hold it: the digits as they came.
        gjson::ValueKind::Number if !found.number().is_finite() => raw.clone(),
        _ => found.text(),
    };
    Some(Found { raw, text })
}

/// Sets the value at an sjson path to JSON text, creating what is missing on the way. Everything else in
/// the document keeps its text.
pub fn set(document: &str, path: &str, raw: &str) -> Result<String, LanguageError> {
    Ok(sjson::set_raw(document, path, raw)?)
}

/// A Go template with the sprig functions.
#[derive(Clone)]
pub struct Template {
    text: String,
    parsed: Arc<gotemplate::Template>,
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl Template {
    /// Parses a template.
    pub fn parse(text: &str) -> Result<Self, LanguageError> {
        let parsed = gotemplate::Template::parse(text)?;
        Ok(Self {
            text: text.to_owned(),
            parsed: Arc::new(parsed),
        })
    }

    /// Renders it; `input` is `.Input`, and `now` what its clock shows.
    pub fn render(&self, input: &Value, now: Timestamp) -> Result<String, LanguageError> {
        let data = serde_json::json!({ "Input": input });
        Ok(self.parsed.render_at(&data, now)?)
    }
}

/// A boolean expression over named values.
#[derive(Clone)]
pub struct Expression {
    text: String,
    parsed: Arc<govaluate::Expression>,
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl Expression {
    /// Parses an expression.
    pub fn parse(text: &str) -> Result<Self, LanguageError> {
        let parsed = govaluate::Expression::parse(text)?;
        Ok(Self {
            text: text.to_owned(),
            parsed: Arc::new(parsed),
        })
    }

    /// Evaluates it; anything but a bool is an error.
    pub fn holds(&self, values: &[(String, Value)]) -> Result<bool, LanguageError> {
        let values: BTreeMap<String, govaluate::Value> = values
            .iter()
            .map(|(name, value)| (name.clone(), value.into()))
            .collect();
        Ok(self.parsed.evaluate_bool(&values)?)
    }
}
