//! Conditions on single values of the payload.

use std::sync::Arc;

use expressions::pattern::compile_pattern;
use jiff::Timestamp;
use reconcile_core::object::FieldError;
use regex::Regex;
use serde_json::Value;

use super::Refusal;
use crate::{
    api::sensor,
    sensor::language::{self, Found, Template},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparator {
    GreaterOrEqual,
    Greater,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
}

#[derive(Clone, Debug)]
enum ExpectedValues {
    Bool(Vec<bool>),
    Number(Vec<f64>),
    /// Matched anywhere in the text, as upstream does.
    Text(Vec<Arc<Regex>>),
}

/// A checked data filter.
#[derive(Clone, Debug)]
pub(super) struct DataFilter {
    path: String,
    template: Option<Template>,
    comparator: Comparator,
    wanted: ExpectedValues,
    raw: sensor::DataFilter,
}

impl PartialEq for DataFilter {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl ExpectedValues {
    fn check(path: &str, raw: &sensor::DataFilter) -> Result<Self, FieldError> {
        let at = |field: &str, message: String| FieldError::new(format!("{path}.{field}"), message);
        let numbered = raw.value.iter().enumerate();
        Ok(match raw.type_.as_str() {
            "bool" => Self::Bool(
                numbered
                    .map(|(index, text)| {
                        parse_bool(text).ok_or_else(|| {
                            at(
                                &format!("value[{index}]"),
                                format!("{text:?} is not a bool"),
                            )
                        })
                    })
                    .collect::<Result<_, _>>()?,
            ),
            "number" => Self::Number(
                numbered
                    .map(|(index, text)| {
                        text.trim().parse().map_err(|_| {
                            at(
                                &format!("value[{index}]"),
                                format!("{text:?} is not a number"),
                            )
                        })
                    })
                    .collect::<Result<_, _>>()?,
            ),
            "string" => Self::Text(
                numbered
                    .map(|(index, text)| {
                        compile_pattern(text)
                            .map(Arc::new)
                            .map_err(|error| at(&format!("value[{index}]"), error.to_string()))
                    })
                    .collect::<Result<_, _>>()?,
            ),
            other => {
                return Err(at(
                    "type",
                    format!("{other:?} is not bool, number or string"),
                ));
            }
        })
    }
}

impl DataFilter {
    pub(super) fn check(path: &str, raw: &sensor::DataFilter) -> Result<Self, FieldError> {
        let at = |field: &str, message: String| FieldError::new(format!("{path}.{field}"), message);
        if raw.path.is_empty() {
            return Err(at("path", "must not be empty".into()));
        }
        if raw.value.is_empty() {
            return Err(at("value", "must not be empty".into()));
        }
        let comparator = match raw.comparator.as_str() {
            "" | "=" => Comparator::Equal,
            "!=" => Comparator::NotEqual,
            ">=" => Comparator::GreaterOrEqual,
            ">" => Comparator::Greater,
            "<" => Comparator::Less,
            "<=" => Comparator::LessOrEqual,
            other => {
                return Err(at(
                    "comparator",
                    format!("{other:?} is not >=, >, =, !=, < or <="),
                ));
            }
        };
        let template = (!raw.template.is_empty())
            .then(|| Template::parse(&raw.template))
            .transpose();
        let template = template.map_err(|error| at("template", error.to_string()))?;
        let wanted = ExpectedValues::check(path, raw)?;
        Ok(Self {
            path: raw.path.clone(),
            template,
            comparator,
            wanted,
            raw: raw.clone(),
        })
    }

    pub(super) fn admit(&self, json: &str, now: Timestamp) -> Result<(), Refusal> {
        let path = &self.path;
        let Some(found) = language::get(json, path) else {
            return Err(Refusal::Absent {
                filter: "data",
                path: path.clone(),
            });
        };
        let found = match &self.template {
            None => found,
            Some(template) => {
                let text = template
                    .render(&Value::String(found.text), now)
                    .map_err(|error| Refusal::Template {
                        path: path.clone(),
                        error,
                    })?;
                // Nothing to compare: an absent value prints like this.
                if text.is_empty() || text == "<no value>" {
                    return Err(Refusal::EmptyTemplate(path.clone()));
                }
                Found {
                    raw: Value::String(text.clone()).to_string(),
                    text,
                }
            }
        };
        if self.matches(&found) {
            Ok(())
        } else {
            Err(Refusal::Data {
                path: path.clone(),
                value: found.text,
            })
        }
    }

    fn matches(&self, found: &Found) -> bool {
        match &self.wanted {
            ExpectedValues::Bool(wanted) => wanted.contains(&as_bool(&found.value())),
            ExpectedValues::Number(wanted) => {
                let value = as_number(&found.value());
                wanted
                    .iter()
                    .any(|wanted| self.comparator.holds(value, *wanted))
            }
            ExpectedValues::Text(wanted) => match self.comparator {
                // With several values one that does not match is enough.
                Comparator::NotEqual => wanted.iter().any(|regex| !regex.is_match(&found.text)),
                Comparator::Equal => wanted.iter().any(|regex| regex.is_match(&found.text)),
                _ => false,
            },
        }
    }
}

/// The value as a bool, as upstream's library reads any value: texts by their word, numbers unless zero,
/// everything else as false.
fn as_bool(value: &Value) -> bool {
    match value {
        Value::Bool(value) => *value,
        Value::String(text) => parse_bool(&text.to_lowercase()).unwrap_or(false),
        Value::Number(number) => number.as_f64().is_some_and(|number| number != 0.0),
        _ => false,
    }
}

/// The value as a number, as upstream's library reads any value: true is one, what is no number is zero.
fn as_number(value: &Value) -> f64 {
    match value {
        Value::Number(number) => number.as_f64().unwrap_or_default(),
        Value::String(text) => text.parse().unwrap_or_default(),
        Value::Bool(true) => 1.0,
        _ => 0.0,
    }
}

impl Comparator {
    #[expect(
        clippy::float_cmp,
        reason = "the manifest asks for exactly this comparison"
    )]
    fn holds(self, value: f64, wanted: f64) -> bool {
        match self {
            Self::GreaterOrEqual => value >= wanted,
            Self::Greater => value > wanted,
            Self::Equal => value == wanted,
            Self::NotEqual => value != wanted,
            Self::Less => value < wanted,
            Self::LessOrEqual => value <= wanted,
        }
    }
}

/// The spellings that Go's `strconv.ParseBool` takes.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
