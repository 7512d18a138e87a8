//! What a live object would be after its target is applied, as far as it is known without the API server.
//!
//! Fields that only the live object has stay: they are defaults, or somebody else's. Those that were applied before
//! and are not wanted any more go. Lists of named things are merged by name for kinds of Kubernetes, by position
//! otherwise.

use serde_json::{Map, Value};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Fields that distinguish the items of lists, in the order in which they are tried.
const KEYS: &[&[&str]] = &[
    &["containerPort", "protocol"],
    &["port", "protocol"],
    &["mountPath"],
    &["devicePath"],
    &["name"],
    &["ip"],
    &["type"],
    &["key"],
];

/// The predicted object.
pub(super) fn after_apply(live: &Value, target: &Value) -> Value {
    let applied = live["metadata"]["annotations"][LAST_APPLIED]
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or(Value::Null);
    let api = target["apiVersion"].as_str().unwrap_or_default();
    let group = api.split_once('/').map_or("", |(group, _)| group);
    let lists = if !group.contains('.') || group.ends_with(".k8s.io") {
        ListMerge::ByName
    } else {
        ListMerge::ByPosition
    };
    merge(live, target, &applied, lists)
}

/// Which items of two lists belong together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ListMerge {
    /// Those of one name, where the items have names.
    ByName,
    ByPosition,
}

fn merge(live: &Value, target: &Value, applied: &Value, lists: ListMerge) -> Value {
    match (live, target) {
        (Value::Object(live), Value::Object(target)) => {
            let mut merged = Map::new();
            for (name, value) in live {
                if !target.contains_key(name) && applied.get(name).is_none() {
                    merged.insert(name.clone(), value.clone());
                }
            }
            for (name, value) in target {
                let before = live.get(name).unwrap_or(&Value::Null);
                let value = merge(before, value, &applied[name.as_str()], lists);
                // A null asks for nothing.
                if !value.is_null() {
                    merged.insert(name.clone(), value);
                }
            }
            Value::Object(merged)
        }
        (Value::Array(live), Value::Array(target)) => {
            Value::Array(merge_lists(live, target, applied, lists))
        }
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => live.clone(),
        _ => target.clone(),
    }
}

fn merge_lists(live: &[Value], target: &[Value], applied: &Value, lists: ListMerge) -> Vec<Value> {
    let keys = match lists {
        ListMerge::ByName => KEYS,
        ListMerge::ByPosition => &[],
    };
    let mut keys = keys.iter();
    let key = keys.find(|key| tells_apart(live, key) && tells_apart(target, key));
    let Some(key) = key.filter(|_| !target.is_empty()) else {
        return target
            .iter()
            .enumerate()
            .map(|(index, item)| match live.get(index) {
                Some(before) if live.len() == target.len() => {
                    merge(before, item, &applied[index], lists)
                }
                _ => item.clone(),
            })
            .collect();
    };
    let applied = applied.as_array().map_or(&[][..], Vec::as_slice);
    let find = |items: &'_ [Value], item: &Value| -> Option<Value> {
        items.iter().find(|one| same(one, item, key)).cloned()
    };
    let mut merged: Vec<Value> = live
        .iter()
        .filter_map(|before| match find(target, before) {
            Some(item) => {
                let applied = find(applied, before).unwrap_or(Value::Null);
                Some(merge(before, &item, &applied, lists))
            }
            None if find(applied, before).is_some() => None,
            None => Some(before.clone()),
        })
        .collect();
    let new = target.iter().filter(|item| find(live, item).is_none());
    merged.extend(new.cloned());
    merged
}

/// All items are objects that have the first field of the key, and no two agree in all of them.
fn tells_apart(items: &[Value], key: &[&str]) -> bool {
    items.iter().enumerate().all(|(at, item)| {
        item.get(key[0]).is_some() && !items[..at].iter().any(|other| same(item, other, key))
    })
}

/// Ports without a protocol are TCP.
fn same(a: &Value, b: &Value, key: &[&str]) -> bool {
    key.iter().all(|field| {
        let of = |item: &Value| match (&item[*field], *field) {
            (Value::Null, "protocol") => Value::from("TCP"),
            (value, _) => value.clone(),
        };
        of(a) == of(b)
    })
}
