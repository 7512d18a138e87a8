//! The cheap look: pure functions over JSON.

use serde_json::{Map, Value};

use super::ignore;
use crate::api::FIELD_MANAGER;

/// True when it is certain that applying `desired` would change nothing: every field that it names has
/// that value, and no field that we own is missing from it. False means: ask the server.
pub fn looks_same(desired: &Value, live: &Value, pointers: &[&str]) -> bool {
    let mut desired = desired.clone();
    if let Some(fields) = desired.as_object_mut() {
        fields.remove("status");
    }
    for pointer in pointers {
        ignore::remove(&mut desired, pointer);
    }
    let Some(owned) = owned_fields(live) else {
        // Never applied by us in this way: only the server can tell whose fields would go.
        return false;
    };
    is_within(&desired, live) && nothing_beyond(owned, &desired)
}

/// The fields that we own by server-side apply, as `managedFields` lists them.
fn owned_fields(live: &Value) -> Option<&Value> {
    let entries = live.pointer("/metadata/managedFields")?.as_array()?;
    let text = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let ours = |entry: &&Value| {
        text(entry, "manager") == FIELD_MANAGER
            && text(entry, "operation") == "Apply"
            && text(entry, "subresource").is_empty()
    };
    // Fields that another client-side tool wrote for us (kubectl, upstream) need a migration first.
    let legacy = entries.iter().any(|entry| {
        text(entry, "operation") == "Update"
            && (text(entry, "manager") == FIELD_MANAGER
                || text(entry, "manager") == "kubectl-client-side-apply")
            && text(entry, "subresource").is_empty()
    });
    if legacy {
        return None;
    }
    entries.iter().find(ours)?.get("fieldsV1")
}

/// Every value that `desired` names stands in `live`. Lists must agree in length and order; where they
/// do not, the server decides.
fn is_within(desired: &Value, live: &Value) -> bool {
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) => desired.iter().all(|(key, value)| {
            match live.get(key) {
                Some(found) => is_within(value, found),
                None => value.is_null(),
            }
        }),
        (Value::Array(desired), Value::Array(live)) => {
            desired.len() == live.len()
                && desired.iter().zip(live).all(|(desired, live)| is_within(desired, live))
        }
        (Value::Number(desired), Value::Number(live)) => desired.as_f64() == live.as_f64(),
        (desired, live) => desired == live,
    }
}

/// Every field in a `fieldsV1` tree is one that `desired` names.
fn nothing_beyond(owned: &Value, desired: &Value) -> bool {
    let Some(fields) = owned.as_object() else { return true };
    fields.iter().all(|(key, below)| {
        if key == "." {
            return true;
        }
        let found = match key.split_at_checked(2) {
            Some(("f:", name)) => desired.get(name),
            Some(("k:", keys)) => item_with(desired, keys),
            Some(("v:", value)) => item_equal(desired, value),
            Some(("i:", index)) => index.parse::<usize>().ok().and_then(|index| desired.get(index)),
            _ => None,
        };
        found.is_some_and(|found| nothing_beyond(below, found))
    })
}

fn item_with<'v>(list: &'v Value, keys: &str) -> Option<&'v Value> {
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

/// True when the answer of a dry-run equals the live object in everything that counts.
pub fn equal_outcome(predicted: &Value, live: &Value, pointers: &[&str]) -> bool {
    let reduce = |value: &Value| {
        let mut value = value.clone();
        if let Some(fields) = value.as_object_mut() {
            fields.remove("status");
        }
        if let Some(Value::Object(metadata)) = value.get_mut("metadata") {
            for counted in ["managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink"] {
                metadata.remove(counted);
            }
        }
        for pointer in pointers {
            ignore::remove(&mut value, pointer);
        }
        prune_empty(&mut value);
        value
    };
    reduce(predicted) == reduce(live)
}

/// Empty maps left over from a removal, such as `annotations: {}`, are no difference.
fn prune_empty(value: &mut Value) {
    if let Some(Value::Object(metadata)) = value.get_mut("metadata") {
        for field in ["annotations", "labels"] {
            if metadata.get(field).and_then(Value::as_object).is_some_and(Map::is_empty) {
                metadata.remove(field);
            }
        }
    }
}
