//! The answer of a dry-run against the live object.

use serde_json::{Map, Value};

use super::{
    IgnoredPlaces, WebhookChanges,
    structure::{is_manager, item_with, managers},
};
use crate::api::FIELD_MANAGER;

/// What the server counts or keeps for itself.
const COUNTED: &[&str] = &[
    "managedFields",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "uid",
    "selfLink",
];

/// True when the answer of a dry-run equals the live object in everything that counts. What differs only
/// because an admission webhook wrote it, such as a time, does not count: it is not
/// among the fields that we own in the answer. With [`WebhookChanges::Count`] it does.
pub fn equal_outcome(
    predicted: &Value,
    live: &Value,
    ignored: &IgnoredPlaces<'_>,
    webhooks: WebhookChanges,
) -> bool {
    let owned = managers(predicted)
        .find(|entry| is_manager(entry, FIELD_MANAGER, "Apply"))
        .and_then(|entry| entry.get("fieldsV1"));
    let (predicted, live) = (
        reduced(predicted, live, ignored),
        reduced(live, live, ignored),
    );
    match owned.filter(|_| webhooks == WebhookChanges::Ignore) {
        Some(owned) => !differs(&predicted, &live, Owner::of(owned)),
        None => predicted == live,
    }
}

/// One side without what does not count. `owners` is the live object, which says whose fields are whose.
fn reduced(value: &Value, owners: &Value, ignored: &IgnoredPlaces<'_>) -> Value {
    let mut value = value.clone();
    ignored.remove_from(&mut value, owners);
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
    }
    if let Some(Value::Object(metadata)) = value.get_mut("metadata") {
        for counted in COUNTED {
            metadata.remove(*counted);
        }
    }
    if let Some(Value::Object(metadata)) = value.get_mut("metadata") {
        // Left over from a removal; no difference.
        metadata.retain(|name, value| {
            !matches!(name.as_str(), "annotations" | "labels")
                || !value.as_object().is_some_and(Map::is_empty)
        });
    }
    value
}

/// Whether a part of the answer is ours.
#[derive(Clone, Copy)]
enum Owner<'a> {
    /// The whole of it.
    Ours,
    /// What this node of `fieldsV1` lists.
    Partly(&'a Map<String, Value>),
    /// Nothing of it.
    Others,
}

impl<'a> Owner<'a> {
    fn of(node: &'a Value) -> Self {
        match node.as_object() {
            Some(below) if below.keys().any(|key| key != ".") => Self::Partly(below),
            _ => Self::Ours,
        }
    }

    fn member(self, name: &str) -> Self {
        match self {
            Self::Partly(below) => below
                .get(&format!("f:{name}"))
                .map_or(Self::Others, Owner::of),
            all => all,
        }
    }

    fn is_ours(self) -> bool {
        !matches!(self, Self::Others)
    }
}

fn differs(predicted: &Value, live: &Value, owner: Owner<'_>) -> bool {
    if predicted == live {
        return false;
    }
    match (predicted, live, owner) {
        (Value::Object(predicted), Value::Object(live), _) => {
            // Only applying removes a field.
            live.keys().any(|name| !predicted.contains_key(name))
                || predicted.iter().any(|(name, value)| {
                    let owner = owner.member(name);
                    match live.get(name) {
                        Some(live) => differs(value, live, owner),
                        None => owner.is_ours(),
                    }
                })
        }
        (Value::Array(items), Value::Array(found), Owner::Partly(below)) => {
            list_differs(predicted, items, live, found, below)
        }
        _ => owner.is_ours(),
    }
}

/// Lists whose items have keys, or are a set: an item of ours that is not there or is another one, or an
/// item that goes.
fn list_differs(
    predicted: &Value,
    items: &[Value],
    live: &Value,
    found: &[Value],
    below: &Map<String, Value>,
) -> bool {
    let mut names: Option<Vec<String>> = None;
    for (key, owned) in below {
        let Some(("k:", keys)) = key.split_at_checked(2) else {
            continue;
        };
        let item = match (item_with(predicted, keys), item_with(live, keys)) {
            (Some(after), Some(before)) => differs(after, before, Owner::of(owned)),
            (Some(_), None) => true,
            (None, _) => false,
        };
        if item {
            return true;
        }
        names = serde_json::from_str::<Map<String, Value>>(keys)
            .ok()
            .map(|keys| keys.into_iter().map(|(name, _)| name).collect());
    }
    let Some(names) = names else {
        // A set.
        let ours = |item: &Value| below.contains_key(&format!("v:{item}"));
        return items.iter().any(|item| ours(item) && !found.contains(item))
            || found.iter().any(|item| !items.contains(item));
    };
    let same = |a: &Value, b: &Value| names.iter().all(|name| a.get(name) == b.get(name));
    found
        .iter()
        .any(|item| !items.iter().any(|other| same(item, other)))
}
