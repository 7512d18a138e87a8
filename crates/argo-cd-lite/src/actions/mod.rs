//! Actions on single objects: restart, pause, run a schedule now, and those that administrators define.
//!
//! ```text
//!  object + settings ─► list ─► names, which of them are possible now, parameters
//!  object + settings + name + parameters ─► run ─► changes: merge patches and new objects
//! ```
//!
//! Nothing is written here. A custom set of actions takes the place of the built-in ones of its kind, unless it
//! asks for both; its own actions come first then.

mod built_in;
mod create;
mod lua;
mod row;

use std::collections::BTreeMap;

use jiff::Timestamp;
use reconcile_core::reconcile::into_merge_diff;
use serde::Serialize;
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::settings::{ActionSet, ArgoSettings};

/// An action that an object has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionInfo {
    /// The name that `run` takes.
    pub name: String,
    /// Not possible in the object's present state.
    pub disabled: bool,
    /// What a person reads, where it is not the name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    /// Classes of its picture.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub icon_class: String,
    /// What can be chosen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<ActionParam>,
}

/// A parameter of an action.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ActionParam {
    /// Its name.
    pub name: String,
    /// Its value when nothing is chosen.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub default: String,
}

/// One effect of an action.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase", tag = "operation", content = "body")]
pub enum Change {
    /// A merge patch of the object.
    Patch(Value),
    /// A merge patch of the object's status.
    PatchStatus(Value),
    /// A new object.
    Create(Value),
}

/// Why an action does not happen.
#[derive(Debug, Error)]
pub enum ActionError {
    /// No such action.
    #[error("{kind} has no action {name:?}; it has {known}")]
    Unknown {
        /// Kind of the object.
        kind: String,
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// Not in this state of the object.
    #[error("action {0:?} is not possible in the present state of the object")]
    Disabled(String),
    /// A parameter is missing or wrong.
    #[error("parameter {name}: {reason}")]
    Param {
        /// The parameter.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The object lacks what the action needs.
    #[error("the object has no {0}")]
    Lacking(&'static str),
    /// A script from the settings failed.
    #[error("{key}: {reason}")]
    Script {
        /// Key in the settings.
        key: String,
        /// What is wrong.
        reason: String,
    },
}

/// What an action is asked to do.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The live object.
    pub object: &'a Value,
    /// Parameters by name.
    pub params: &'a BTreeMap<String, String>,
    /// The time.
    pub now: Timestamp,
}

/// The actions of an object, by name.
pub fn list(
    settings: &ArgoSettings,
    object: &Value,
    now: Timestamp,
) -> Result<Vec<ActionInfo>, ActionError> {
    let (group, kind) = group_kind(object);
    let custom = settings.customizations.actions(group, kind);
    let mut actions = match custom {
        Some(set) => lua::discover(set, object, now)?,
        None => Vec::new(),
    };
    if custom.is_none_or(|set| set.merge_built_in) {
        for built_in in built_in::list(group, kind, object) {
            if actions.iter().all(|known| known.name != built_in.name) {
                actions.push(built_in);
            }
        }
    }
    actions.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(actions)
}

/// What the action `name` changes.
pub fn run(
    settings: &ArgoSettings,
    name: &str,
    call: &Call<'_>,
) -> Result<Vec<Change>, ActionError> {
    let (group, kind) = group_kind(call.object);
    let known = list(settings, call.object, call.now)?;
    let Some(info) = known.iter().find(|info| info.name == name) else {
        let names: Vec<&str> = known.iter().map(|info| info.name.as_str()).collect();
        return Err(ActionError::Unknown {
            kind: kind.to_owned(),
            name: name.to_owned(),
            known: if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            },
        });
    };
    if info.disabled {
        return Err(ActionError::Disabled(name.to_owned()));
    }
    let defined = |set: &&ActionSet| set.definitions.iter().any(|one| one.name == name);
    match settings.customizations.actions(group, kind).filter(defined) {
        Some(set) => lua::run(set, name, call),
        None => built_in::run(group, kind, name, call),
    }
}

/// Group and kind of an object.
fn group_kind(object: &Value) -> (&str, &str) {
    let api = object["apiVersion"].as_str().unwrap_or_default();
    let group = api.split_once('/').map_or("", |(group, _)| group);
    (group, object["kind"].as_str().unwrap_or_default())
}

/// The patches that lead from one state of an object to another: one for the status, one for the rest.
fn patches(old: &Value, mut new: Value) -> Vec<Change> {
    let mut old = old.clone();
    let status_of = |object: &mut Value| {
        let fields = object.as_object_mut();
        fields.and_then(|fields| fields.remove("status"))
    };
    let (old_status, new_status) = (status_of(&mut old), status_of(&mut new));
    let status = into_merge_diff(
        &json!({ "status": old_status.unwrap_or_else(|| Value::Object(Map::new())) }),
        json!({ "status": new_status.unwrap_or_else(|| Value::Object(Map::new())) }),
    );
    let rest = into_merge_diff(&old, new);
    let changes = [rest.map(Change::Patch), status.map(Change::PatchStatus)];
    changes.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests;
