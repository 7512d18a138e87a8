//! The four patch types on JSON values.

use serde_json::{Map, Value};

use super::ownership::{Path, key_of_list};

/// RFC 7386.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let map = target.as_object_mut().expect("made an object above");
    for (key, value) in patch {
        if value.is_null() {
            map.remove(key);
        } else {
            merge(map.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// What a null in a patch does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Nulls {
    /// It removes the field: strategic merge.
    Delete,
    /// Nothing: apply.
    Ignore,
}

/// Puts `wanted` over `target`: objects merge, keyed lists merge by key, everything else is
/// replaced.
pub(super) fn overlay(target: &mut Value, wanted: &Value, name: &str, nulls: Nulls) {
    match (target, wanted) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                if value.is_null() {
                    if nulls == Nulls::Delete {
                        into.remove(key);
                    }
                    continue;
                }
                match into.get_mut(key) {
                    Some(current) => overlay(current, value, key, nulls),
                    None => drop(into.insert(key.clone(), value.clone())),
                }
            }
        }
        (Value::Array(into), Value::Array(from)) => match key_of_list(name, from) {
            Some(key) if into.iter().all(|item| item.get(key).is_some()) => {
                for item in from {
                    match into.iter_mut().find(|current| current[key] == item[key]) {
                        Some(current) => overlay(current, item, "", nulls),
                        None => into.push(item.clone()),
                    }
                }
            }
            _ => into.clone_from(from),
        },
        (target, wanted) => *target = wanted.clone(),
    }
}

/// Removes a field named in the notation of field ownership, and parents that become empty.
pub(super) fn remove(object: &mut Value, path: &[String]) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    if let Some(name) = first.strip_prefix("f:") {
        let Some(map) = object.as_object_mut() else {
            return;
        };
        if let (false, Some(child)) = (rest.is_empty(), map.get_mut(name)) {
            remove(child, rest);
            let emptied = matches!(child, Value::Object(m) if m.is_empty())
                || matches!(child, Value::Array(l) if l.is_empty());
            if !emptied {
                return;
            }
        }
        map.remove(name);
    } else if let Some(key) = first.strip_prefix("k:") {
        let Some(list) = object.as_array_mut() else {
            return;
        };
        let Ok(Value::Object(key)) = serde_json::from_str::<Value>(key) else {
            return;
        };
        let is = |item: &Value| {
            key.iter()
                .all(|(name, value)| item.get(name) == Some(value))
        };
        let key_names: Vec<&String> = key.keys().collect();
        if let Some(item) = list.iter_mut().find(|item| is(item)) {
            // The key itself is the element's identity: it goes with the last other field.
            if !(rest.len() == 1 && key_names.iter().any(|name| rest[0] == format!("f:{name}"))) {
                remove(item, rest);
            }
        }
        list.retain(|item| {
            !(is(item)
                && item
                    .as_object()
                    .is_some_and(|map| map.keys().all(|k| key.contains_key(k))))
        });
    }
}

/// Removes several fields.
pub(super) fn remove_all(object: &mut Value, paths: &[Path]) {
    for path in paths {
        remove(object, path);
    }
}
