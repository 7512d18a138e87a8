//! Which changes of a resource become events.

use expressions::{gjson, pattern::compile_pattern};
use jiff::Timestamp;
use kube::core::DynamicObject;
use reconcile_core::object::FieldError;
use regex::Regex;
use serde::Deserialize;

use super::Change;
use crate::source::kind::Input;

/// `filter` as the manifest has it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Config {
    prefix: String,
    labels: Vec<Selector>,
    fields: Vec<Selector>,
    created_by: Option<Timestamp>,
    after_start: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Selector {
    key: String,
    operation: String,
    value: String,
}

/// A checked filter.
#[derive(Debug)]
pub(super) struct Filter {
    prefix: String,
    fields: Vec<Field>,
    created_by: Option<Timestamp>,
    after_start: bool,
}

/// A condition on a field of the object.
#[derive(Debug)]
struct Field {
    path: String,
    pattern: Regex,
    /// The pattern must match, or must not.
    matches: bool,
}

impl Filter {
    /// Checks a filter; beside it, the label selector for the API server.
    pub(super) fn check(input: &Input<'_>, config: Config) -> Result<(Self, String), FieldError> {
        let selectors: Result<Vec<String>, FieldError> = config
            .labels
            .iter()
            .enumerate()
            .map(|(at, label)| {
                requirement(label)
                    .map_err(|error| input.wrong(&format!("filter.labels[{at}]"), error))
            })
            .collect();
        let fields: Result<Vec<Field>, FieldError> = config
            .fields
            .into_iter()
            .enumerate()
            .map(|(at, field)| {
                check_field(field)
                    .map_err(|error| input.wrong(&format!("filter.fields[{at}]"), error))
            })
            .collect();
        let filter = Self {
            prefix: config.prefix,
            fields: fields?,
            created_by: config.created_by,
            after_start: config.after_start,
        };
        Ok((filter, selectors?.join(",")))
    }

    /// Whether a change becomes an event; `json` is the object, `since` when the source began.
    pub(super) fn wants(
        &self,
        change: Change,
        object: &DynamicObject,
        json: &str,
        since: Timestamp,
    ) -> bool {
        let meta = &object.metadata;
        let name = meta.name.as_deref().unwrap_or_default();
        let created = meta.creation_timestamp.as_ref().map(|time| time.0);
        let is_late = self
            .created_by
            .is_some_and(|by| created.is_some_and(|at| at > by));
        let is_old = self.after_start && happened(change, object).is_some_and(|at| at < since);
        name.starts_with(&self.prefix)
            && !is_late
            && !is_old
            && self.fields.iter().all(|field| field.holds(json))
    }
}

impl Field {
    fn holds(&self, json: &str) -> bool {
        let Some(found) = gjson::get(json, &self.path) else {
            return false;
        };
        // As upstream, which knows strings only.
        let text = match found.kind() {
            gjson::ValueKind::String => found.text(),
            _ => String::new(),
        };
        self.pattern.is_match(&text) == self.matches
    }
}

fn check_field(field: Selector) -> Result<Field, String> {
    let matches = match field.operation.as_str() {
        "=" | "==" => true,
        "!=" => false,
        other => return Err(format!("operation {other:?} is not =, == or !=")),
    };
    Ok(Field {
        path: field.key,
        pattern: compile_pattern(&field.value).map_err(|error| error.to_string())?,
        matches,
    })
}

/// A part of a label selector.
fn requirement(label: &Selector) -> Result<String, String> {
    let Selector {
        key,
        operation,
        value,
    } = label;
    let plain = |text: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        text.chars().all(known)
    };
    if key.is_empty() || !plain(key) || !value.split(',').all(|value| plain(value.trim())) {
        return Err(format!(
            "{key:?} and {value:?} are not a label and its values"
        ));
    }
    let one = || {
        if value.contains(',') {
            return Err(format!("{value:?} is not one value"));
        }
        Ok(value)
    };
    Ok(match operation.as_str() {
        "" | "=" | "==" => format!("{key}={}", one()?),
        "!=" => format!("{key}!={}", one()?),
        "in" | "notin" => format!("{key} {operation} ({value})"),
        "exists" => key.clone(),
        "!" => format!("!{key}"),
        other => return Err(format!("operation {other:?} is not known")),
    })
}

/// When a change happened, as far as the object says so.
fn happened(change: Change, object: &DynamicObject) -> Option<Timestamp> {
    let meta = &object.metadata;
    let created = meta.creation_timestamp.as_ref().map(|time| time.0);
    match change {
        Change::Add => created,
        Change::Delete => meta.deletion_timestamp.as_ref().map(|time| time.0),
        Change::Update => {
            let fields = meta.managed_fields.iter().flatten();
            let updates = fields.filter(|entry| entry.operation.as_deref() == Some("Update"));
            let times = updates.filter_map(|entry| Some(entry.time.as_ref()?.0));
            times.chain(created).max()
        }
    }
}
