//! From an old status to a new one.

use serde_json::{Map, Value};

/// The JSON merge patch that turns `old` into `new`, made of the parts of `new`: a status of thousands of
/// objects is not copied. `None` when they are equal.
pub(super) fn into_patch(old: &Value, new: Value) -> Option<Value> {
    if *old == new {
        return None;
    }
    let Value::Object(before) = old else {
        return Some(new);
    };
    let after = match new {
        Value::Object(after) => after,
        other => return Some(other),
    };
    let mut patch = Map::new();
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in after {
        let changed = match before.get(&key) {
            Some(previous) => into_patch(previous, value),
            None => Some(value),
        };
        if let Some(changed) = changed {
            patch.insert(key, changed);
        }
    }
    Some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use reconcile_core::reconcile::merge_diff;
    use serde_json::json;

    use super::into_patch;

    #[test]
    fn it_says_the_same_as_the_patch_by_copies() {
        let states = [
            json!({}),
            json!({"a": 1, "b": {"c": [1, 2], "d": {}}}),
            json!({"a": 1, "b": {"c": [1, 3], "d": {"e": null}}}),
            json!({"b": "text"}),
            json!([1]),
        ];
        for old in &states {
            for new in &states {
                assert_eq!(into_patch(old, new.clone()), merge_diff(old, new));
            }
        }
    }
}
