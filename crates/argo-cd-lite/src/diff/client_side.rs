//! Client-side apply, for manifests that server-side apply refuses.
//!
//! Server-side apply does not accept two list items with one key, for example an environment variable that is set
//! twice, and no field that the schema does not have, whatever `Validate` says. The API server itself does, and so does
//! client-side apply, upstream's default. Such objects are written by a three-way merge patch: lists are replaced as a
//! whole.

use reconcile_core::apply::ApplyError;
use serde_json::{Map, Value};

use super::structure::LAST_APPLIED;

/// True for the refusals of server-side apply that client-side apply does not know: two items of the manifest with one
/// key, and an item whose key was changed by hand, which stays beside the one of the manifest and has its name.
pub fn repeats_list_items(error: &ApplyError) -> bool {
    is_repetition(error.code(), &error.reason)
}

fn is_repetition(code: Option<u16>, reason: &str) -> bool {
    reason.contains("duplicate entries for key")
        || (code == Some(422) && reason.contains("Duplicate value: "))
}

/// True for the refusal of server-side apply that `Validate=false` does not change: a field that the schema does not
/// have. Other writes leave such a field out.
pub fn has_unknown_fields(error: &ApplyError) -> bool {
    is_unknown_field(&error.reason)
}

fn is_unknown_field(reason: &str) -> bool {
    reason.contains("typed patch object") && reason.contains("field not declared in schema")
}

/// `desired` with the annotation by which the next apply knows what this one set.
pub fn with_last_applied(desired: &Value) -> Value {
    let mut object = desired.clone();
    let text = desired.to_string();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations = metadata
            .entry("annotations")
            .or_insert_with(|| Value::Object(Map::new()));
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(LAST_APPLIED.to_owned(), text.into());
        }
    }
    object
}

/// The merge patch from `live` to `desired`, which also removes what the last apply set and `desired` does not name.
/// `None` when nothing changes.
pub fn client_side_patch(desired: &Value, live: &Value) -> Option<Value> {
    let applied = live
        .pointer("/metadata/annotations")
        .and_then(|annotations| annotations.get(LAST_APPLIED)?.as_str())
        .and_then(|text| serde_json::from_str::<Value>(text).ok())
        .unwrap_or(Value::Null);
    let mut patch = merge(&applied, desired, live)?;
    // What was applied is noted with every change.
    let noted = with_last_applied(desired);
    let note = noted.pointer("/metadata/annotations")?.get(LAST_APPLIED)?;
    let metadata = member(&mut patch, "metadata");
    member(metadata, "annotations")[LAST_APPLIED] = note.clone();
    Some(patch)
}

fn member<'v>(value: &'v mut Value, name: &str) -> &'v mut Value {
    if !value[name].is_object() {
        value[name] = Value::Object(Map::new());
    }
    &mut value[name]
}

/// The depth of this recursion is that of the manifest, which the parser bounds.
fn merge(applied: &Value, desired: &Value, live: &Value) -> Option<Value> {
    let (Value::Object(wanted), Value::Object(found)) = (desired, live) else {
        return (!covers(desired, live)).then(|| desired.clone());
    };
    let mut patch = Map::new();
    for (name, value) in wanted.iter().filter(|(name, _)| *name != "status") {
        let before = applied.get(name).unwrap_or(&Value::Null);
        match found.get(name) {
            Some(live) => {
                if let Some(change) = merge(before, value, live) {
                    patch.insert(name.clone(), change);
                }
            }
            None if value.is_null() => {}
            None => drop(patch.insert(name.clone(), value.clone())),
        }
    }
    let dropped = applied.as_object().into_iter().flat_map(Map::keys);
    for name in dropped.filter(|name| !wanted.contains_key(*name) && found.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// True when `live` is `desired` with at most defaults added inside of list items.
fn covers(desired: &Value, live: &Value) -> bool {
    match (desired, live) {
        (Value::Array(desired), Value::Array(live)) => {
            desired.len() == live.len()
                && desired
                    .iter()
                    .zip(live)
                    .all(|(desired, live)| covers(desired, live))
        }
        (Value::Object(desired), Value::Object(live)) => {
            desired.iter().all(|(name, value)| match live.get(name) {
                Some(live) => covers(value, live),
                None => value.is_null(),
            })
        }
        (desired, live) => desired == live,
    }
}

#[cfg(test)]
mod tests {
    use super::{is_repetition, is_unknown_field};

    #[test]
    fn refusals_that_lists_as_a_whole_do_not_know() {
        let env = "failed to create typed patch object: .spec.env: duplicate entries for key [name=\"A\"]";
        assert!(is_repetition(Some(500), env));
        let port = "Service \"web\" is invalid: spec.ports[1].name: Duplicate value: \"http\"";
        assert!(is_repetition(Some(422), port));
        assert!(!is_repetition(
            Some(422),
            "spec.ports[0].port: Invalid value: 0"
        ));
        assert!(!is_repetition(Some(409), "Duplicate value: x"));
    }

    #[test]
    fn unknown_fields_are_told_from_other_refusals() {
        assert!(is_unknown_field(
            "failed to create typed patch object (a/b; v1, Kind=X): .spec.x: field not declared in schema"
        ));
        assert!(!is_unknown_field("spec.x: field not declared in schema"));
        assert!(!is_unknown_field(
            "failed to create typed patch object: .spec: expected map, got 1"
        ));
    }
}
