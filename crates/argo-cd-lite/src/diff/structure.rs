//! The cheap look: pure functions over JSON.

use serde_json::{Map, Value};

use super::{IgnoredPlaces, StatusField};
use crate::api::FIELD_MANAGER;

/// Managers that wrote for us before server-side apply did.
const LEGACY_MANAGERS: &[&str] = &[FIELD_MANAGER, "kubectl-client-side-apply"];
/// Where client-side apply keeps what it applied.
pub(super) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// True when it is certain that applying `desired` would change nothing: every field that it names has
/// that value, and no field that we own is missing from it. False means: ask the server.
pub fn looks_same(desired: &Value, live: &Value, ignored: &IgnoredPlaces<'_>) -> bool {
    let mut desired = desired.clone();
    ignored.remove_from(&mut desired, live);
    if status_differs(&desired, live, ignored) {
        return false;
    }
    if let Some(fields) = desired.as_object_mut() {
        fields.remove("status");
    }
    let Some(owned) = owned_fields(live) else {
        // Never applied by us with server-side apply: only the server knows whose fields would go.
        return false;
    };
    is_within(&desired, live) && nothing_beyond(owned, &desired)
}

/// True when the status counts and the manifest names another one. No dry run shows that, because applying does not
/// write it.
pub fn status_differs(desired: &Value, live: &Value, ignored: &IgnoredPlaces<'_>) -> bool {
    ignored.status == StatusField::Counts
        && desired
            .get("status")
            .is_some_and(|status| !is_within(status, live.get("status").unwrap_or(&Value::Null)))
}

/// The fields that we own by server-side apply, as `managedFields` lists them. `None` while fields that
/// a client-side tool wrote for us (kubectl, upstream) have not been taken over.
fn owned_fields(live: &Value) -> Option<&Value> {
    if has_legacy_manager(live) {
        return None;
    }
    managers(live)
        .find(|entry| is_manager(entry, FIELD_MANAGER, "Apply"))?
        .get("fieldsV1")
}

pub(super) fn managers(live: &Value) -> impl Iterator<Item = &Value> {
    live.pointer("/metadata/managedFields")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

pub(super) fn is_manager(entry: &Value, name: &str, operation: &str) -> bool {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
    text("manager") == name && text("operation") == operation && text("subresource").is_empty()
}

fn is_legacy(entry: &Value) -> bool {
    LEGACY_MANAGERS
        .iter()
        .any(|name| is_manager(entry, name, "Update"))
}

/// True when fields were written for us by client-side apply.
pub fn has_legacy_manager(live: &Value) -> bool {
    managers(live).any(is_legacy)
}

/// `managedFields` with what client-side apply wrote for us as ours, so that the next apply removes what
/// is not wanted any more. `None` when there is nothing to take over.
pub fn take_over(live: &Value) -> Option<Value> {
    let entries: Vec<Value> = managers(live).cloned().collect();
    let (legacy, mut rest): (Vec<Value>, Vec<Value>) = entries.into_iter().partition(is_legacy);
    let first = legacy.first()?.clone();
    let at = rest
        .iter()
        .position(|entry| is_manager(entry, FIELD_MANAGER, "Apply"));
    let at = at.unwrap_or_else(|| {
        let mut entry = first;
        entry["manager"] = FIELD_MANAGER.into();
        entry["operation"] = "Apply".into();
        entry["fieldsV1"] = Value::Object(Map::new());
        rest.push(entry);
        rest.len() - 1
    });
    for entry in &legacy {
        if let Some(fields) = entry.get("fieldsV1") {
            unite(&mut rest[at]["fieldsV1"], fields);
        }
    }
    Some(Value::Array(rest))
}

fn unite(into: &mut Value, from: &Value) {
    let Some(from) = from.as_object() else { return };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    for (key, value) in from {
        unite(&mut into[key.as_str()], value);
        if into[key.as_str()].is_null() {
            into[key.as_str()] = Value::Object(Map::new());
        }
    }
}

/// True when client-side apply wrote a field or a list item that is still there and that the manifest does not name any
/// more. The dry run cannot see it, because the field belongs to the other manager.
pub fn leftover(desired: &Value, live: &Value) -> bool {
    let applied = live
        .pointer("/metadata/annotations")
        .and_then(|annotations| annotations.get(LAST_APPLIED)?.as_str())
        .and_then(|text| serde_json::from_str::<Value>(text).ok());
    applied.is_some_and(|applied| has_legacy_manager(live) && left(&applied, desired, live))
}

fn left(applied: &Value, desired: &Value, live: &Value) -> bool {
    match (applied, desired, live) {
        (Value::Object(applied), Value::Object(desired), Value::Object(live)) => applied
            .iter()
            .filter(|(_, value)| !value.is_null())
            .any(|(key, value)| match (desired.get(key), live.get(key)) {
                (_, None) => false,
                (None, Some(_)) => key != "status",
                (Some(desired), Some(live)) => left(value, desired, live),
            }),
        (Value::Array(applied), Value::Array(desired), Value::Array(live)) => applied.iter().any(
            |item| match (counterpart(item, desired), counterpart(item, live)) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(desired), Some(live)) => left(item, desired, live),
            },
        ),
        _ => false,
    }
}

/// Fields that identify the items of a list, in the order in which they are looked for.
pub(super) const ITEM_KEYS: &[&str] = &[
    "name",
    "mountPath",
    "devicePath",
    "containerPort",
    "port",
    "key",
    "ip",
    "topologyKey",
    "type",
    "uid",
];

/// The item of `list` that is the same one as `item`, whatever else it holds.
pub(super) fn counterpart<'v>(item: &Value, list: &'v [Value]) -> Option<&'v Value> {
    let key = ITEM_KEYS
        .iter()
        .find(|key| item.get(**key).is_some_and(|value| !value.is_null()));
    match key {
        Some(key) => list.iter().find(|other| other.get(*key) == item.get(*key)),
        None if item.is_object() => list.iter().find(|other| is_within(item, other)),
        None => list.iter().find(|other| *other == item),
    }
}

/// `live` has every value that `desired` names. Lists must agree in length and order; where they
/// do not, the server decides.
fn is_within(desired: &Value, live: &Value) -> bool {
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) => {
            desired.iter().all(|(key, value)| match live.get(key) {
                Some(found) => is_within(value, found),
                None => value.is_null(),
            })
        }
        (Value::Array(desired), Value::Array(live)) => {
            desired.len() == live.len()
                && desired
                    .iter()
                    .zip(live)
                    .all(|(desired, live)| is_within(desired, live))
        }
        (Value::Number(desired), Value::Number(live)) => same_number(desired, live),
        (desired, live) => desired == live,
    }
}

/// Integers are compared as such: beyond 2^53, different ones are the same float.
fn same_number(one: &serde_json::Number, other: &serde_json::Number) -> bool {
    match (one.as_i128(), other.as_i128()) {
        (Some(one), Some(other)) => one == other,
        _ => one.as_f64() == other.as_f64(),
    }
}

/// Every field in a `fieldsV1` tree is one that `desired` names.
fn nothing_beyond(owned: &Value, desired: &Value) -> bool {
    let Some(fields) = owned.as_object() else {
        return true;
    };
    fields.iter().all(|(key, below)| {
        if key == "." {
            return true;
        }
        let found = match key.split_at_checked(2) {
            Some(("f:", name)) => desired.get(name),
            Some(("k:", keys)) => item_with(desired, keys),
            Some(("v:", value)) => item_equal(desired, value),
            Some(("i:", index)) => index
                .parse::<usize>()
                .ok()
                .and_then(|index| desired.get(index)),
            _ => None,
        };
        found.is_some_and(|found| nothing_beyond(below, found))
    })
}

pub(super) fn item_with<'v>(list: &'v Value, keys: &str) -> Option<&'v Value> {
    let keys: Map<String, Value> = serde_json::from_str(keys).ok()?;
    list.as_array()?.iter().find(|item| {
        keys.iter().all(|(key, value)| match item.get(key) {
            Some(found) => found == value,
            // Defaulted keys (`protocol: TCP` of ports) are not written in manifests.
            None => key == "protocol" && value == "TCP",
        })
    })
}

fn item_equal<'v>(list: &'v Value, value: &str) -> Option<&'v Value> {
    let value: Value = serde_json::from_str(value).ok()?;
    list.as_array()?.iter().find(|item| **item == value)
}
