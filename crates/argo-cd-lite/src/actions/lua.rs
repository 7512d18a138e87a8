//! Actions from the settings.

use expressions::lua::{Limits, LuaError, Script, restore_empty_objects, run as run_script};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{ActionError, ActionInfo, ActionParam, Call, Change, patches};
use crate::settings::ActionSet;

/// Runs `discovery.lua`: a table of names, each with what there is to know about it.
pub(super) fn discover(
    set: &ActionSet,
    object: &Value,
    now: Timestamp,
) -> Result<Vec<ActionInfo>, ActionError> {
    let value = execute(&set.discovery, &[("obj", object)], now);
    let value = value.map_err(|error| failed(set, "discovery.lua", error))?;
    let Value::Object(actions) = value else {
        return Ok(Vec::new());
    };
    Ok(actions
        .into_iter()
        .map(|(name, about)| info(name, &about))
        .collect())
}

fn info(name: String, about: &Value) -> ActionInfo {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let params = about["params"].as_array().into_iter().flatten();
    ActionInfo {
        name,
        disabled: about["disabled"].as_bool() == Some(true),
        display_name: text(&about["displayName"]),
        icon_class: text(&about["iconClass"]),
        params: params
            .map(|param| ActionParam {
                name: text(&param["name"]),
                default: text(&param["default"]),
            })
            .collect(),
    }
}

/// Runs the action: it gives the changed object, or a list of objects with operations.
pub(super) fn run(
    set: &ActionSet,
    name: &str,
    call: &Call<'_>,
) -> Result<Vec<Change>, ActionError> {
    let part = format!("action.lua of {name}");
    let definition = set.definitions.iter().find(|one| one.name == name);
    let source = definition.map_or("", |definition| definition.action.as_str());
    let params = json!(call.params);
    let globals = [("obj", call.object), ("actionParams", &params)];
    let value = execute(source, &globals, call.now).map_err(|error| failed(set, &part, error))?;
    match value {
        Value::Object(_) => changed(set, &part, value, call),
        Value::Array(items) => {
            let mut changes = Vec::new();
            for mut item in items {
                let resource = item["resource"].take();
                match item["operation"].as_str() {
                    Some("create") if resource.is_object() => {
                        changes.push(Change::Create(resource));
                    }
                    Some("patch") => changes.extend(changed(set, &part, resource, call)?),
                    _ => {
                        return Err(failed(
                            set,
                            &part,
                            "each item needs a resource and the operation create or patch",
                        ));
                    }
                }
            }
            Ok(changes)
        }
        _ => Err(failed(set, &part, "the script returns no table")),
    }
}

/// Only the object itself can be changed.
fn changed(
    set: &ActionSet,
    part: &str,
    mut new: Value,
    call: &Call<'_>,
) -> Result<Vec<Change>, ActionError> {
    let identity = |object: &Value| {
        let metadata = &object["metadata"];
        [
            object["apiVersion"].clone(),
            object["kind"].clone(),
            metadata["namespace"].clone(),
            metadata["name"].clone(),
        ]
    };
    if identity(&new) != identity(call.object) {
        return Err(failed(
            set,
            part,
            "only the object that the action runs on can be patched",
        ));
    }
    restore_empty_objects(&mut new, call.object);
    Ok(patches(&without_nulls(call.object), new))
}

/// What Lua cannot hold is no change.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, field)| !field.is_null())
            .map(|(name, field)| (name.clone(), without_nulls(field)))
            .collect(),
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

fn execute(source: &str, globals: &[(&str, &Value)], now: Timestamp) -> Result<Value, LuaError> {
    // As upstream: actions see the same libraries as a plain health check.
    let script = Script {
        source,
        libraries: expressions::lua::Libraries::Safe,
    };
    run_script(&script, globals, now, &Limits::default())
}

fn failed(set: &ActionSet, part: &str, reason: impl std::fmt::Display) -> ActionError {
    ActionError::Script {
        key: set.key.clone(),
        reason: format!("{part}: {reason}"),
    }
}
