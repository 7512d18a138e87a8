//! The languages that Sensors use inside texts: paths into JSON, templates, expressions.

use std::{collections::BTreeMap, sync::Arc};

use expressions::{gjson, gotemplate, govaluate, sjson};
use jiff::Timestamp;
use serde_json::{Value, json};

/// A value found by a path.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// As JSON.
    pub value: Value,
    /// As text: strings without quotes, numbers as they were written, everything else as JSON.
    pub text: String,
}

/// The value at a gjson path; `None` when there is none.
pub fn get(json: &str, path: &str) -> Option<Found> {
    let found = gjson::get(json, path)?;
    Some(Found {
        value: found.to_json(),
        text: found.text(),
    })
}

/// Sets the value at an sjson path, making what is missing on the way.
pub fn set(document: &Value, path: &str, value: &Value) -> Result<Value, String> {
    let text = sjson::set(&document.to_string(), path, value).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
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
    pub fn parse(text: &str) -> Result<Self, String> {
        let parsed = gotemplate::Template::parse(text).map_err(|error| error.to_string())?;
        Ok(Self {
            text: text.to_owned(),
            parsed: Arc::new(parsed),
        })
    }

    /// Renders it; `input` is `.Input`, and `now` what its clock shows.
    pub fn render(&self, input: &Value, now: Timestamp) -> Result<String, String> {
        self.parsed
            .render_at(&json!({ "Input": input }), now)
            .map_err(|error| error.to_string())
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
    pub fn parse(text: &str) -> Result<Self, String> {
        let parsed = govaluate::Expression::parse(text).map_err(|error| error.to_string())?;
        Ok(Self {
            text: text.to_owned(),
            parsed: Arc::new(parsed),
        })
    }

    /// Evaluates it; anything but a bool is an error.
    pub fn holds(&self, values: &[(String, Value)]) -> Result<bool, String> {
        let values: BTreeMap<String, govaluate::Value> = values
            .iter()
            .map(|(name, value)| (name.clone(), value.into()))
            .collect();
        self.parsed
            .evaluate_bool(&values)
            .map_err(|error| error.to_string())
    }
}
