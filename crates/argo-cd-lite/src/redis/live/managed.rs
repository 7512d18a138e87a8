//! Both sides of the objects of an Application, as pages and command line compare them.

use serde_json::{Map, Value, json};

use super::masked::mask;
use crate::{
    clusters::ResourceId,
    diff::{IgnoreRules, Prediction},
};

pub(super) struct ManagedObject {
    /// What identifies it.
    pub(super) id: ResourceId,
    /// As Git describes it; `None` when it does not.
    pub(super) target: Option<Value>,
    /// As it is stored; `None` when it is missing.
    pub(super) live: Option<Value>,
    /// What the server would make of it, where both sides differ.
    pub(super) predicted: Option<Prediction>,
    pub(super) hook: bool,
    /// A sync would change nothing.
    pub(super) same: bool,
}

/// The rows as the cache has them, sorted by full name. The data of Secrets is masked.
pub(super) fn rows(mut objects: Vec<ManagedObject>, rules: &IgnoreRules) -> Value {
    objects.sort_by(|a, b| a.id.cmp(&b.id));
    objects
        .into_iter()
        .map(|object| row(object, rules))
        .collect()
}

fn row(object: ManagedObject, rules: &IgnoreRules) -> Value {
    let ManagedObject {
        id,
        target,
        live,
        predicted,
        hook,
        same,
    } = object;
    let normal = |value: &Value| normalized(value, live.as_ref(), &id, rules);
    let normalized_live = live.as_ref().map(normal);
    let is_unchanged = match &predicted {
        Some(prediction) => *prediction == Prediction::Unchanged,
        None => target.is_some() && live.is_some(),
    };
    let predicted = match predicted {
        Some(Prediction::Object(after)) => Some(normal(&after)),
        _ if is_unchanged => normalized_live.clone(),
        // What the server does not accept is shown as Git has it.
        _ => target.clone(),
    };
    let version = live
        .as_ref()
        .and_then(|live| live.pointer("/metadata/resourceVersion"))
        .cloned();
    let mut states = [target, live, normalized_live, predicted];
    mask(&mut states);
    let [target, live, normalized_live, predicted] =
        states.map(|state| state.map_or_else(|| "null".to_owned(), |state| state.to_string()));
    let mut row = Map::new();
    for (name, text) in [("group", &id.kind.group), ("namespace", &id.namespace)] {
        if !text.is_empty() {
            row.insert(name.to_owned(), (**text).into());
        }
    }
    row.insert("kind".to_owned(), (*id.kind.kind).into());
    row.insert("name".to_owned(), (*id.name).into());
    for (name, state) in [
        ("targetState", target),
        ("liveState", live),
        ("normalizedLiveState", normalized_live),
        ("predictedLiveState", predicted),
    ] {
        row.insert(name.to_owned(), state.into());
    }
    if let Some(version) = version {
        row.insert("resourceVersion".to_owned(), version);
    }
    if hook {
        row.insert("hook".to_owned(), true.into());
    }
    if !same {
        row.insert("modified".to_owned(), json!(true));
    }
    row.into()
}

/// An object without what is not compared.
fn normalized(value: &Value, live: Option<&Value>, id: &ResourceId, rules: &IgnoreRules) -> Value {
    let mut value = value.clone();
    if let Some(live) = live {
        rules.for_object(id).remove_from(&mut value, live);
    }
    if let Some(Value::Object(metadata)) = value.get_mut("metadata") {
        metadata.remove("managedFields");
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::IgnoreDifference, diff::WebhookChanges};

    fn map(value: &str, extra: Value) -> Value {
        let mut map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "ns"}, "data": {"a": value}});
        if let Value::Object(fields) = extra {
            map["metadata"]
                .as_object_mut()
                .expect("metadata")
                .extend(fields);
        }
        map
    }

    fn managed(
        target: Option<Value>,
        live: Option<Value>,
        predicted: Option<Prediction>,
    ) -> ManagedObject {
        ManagedObject {
            id: ResourceId::new("", "ConfigMap", "ns", "m"),
            same: target.is_some() && live.is_some() && predicted.is_none(),
            target,
            live,
            predicted,
            hook: false,
        }
    }

    fn only(object: ManagedObject, rules: &[IgnoreDifference]) -> Value {
        let rules = IgnoreRules::new(rules, WebhookChanges::Ignore);
        rows(vec![object], &rules)[0].clone()
    }

    fn state(row: &Value, name: &str) -> Value {
        serde_json::from_str(row[name].as_str().expect("text")).expect("JSON")
    }

    #[test]
    fn each_state_is_json_text() {
        let stored = json!({"resourceVersion": "7", "managedFields": [{"manager": "x"}]});
        let row = only(
            managed(Some(map("1", Value::Null)), Some(map("1", stored)), None),
            &[],
        );
        assert_eq!(
            (&row["resourceVersion"], row.get("modified")),
            (&json!("7"), None)
        );
        assert!(state(&row, "liveState")["metadata"]["managedFields"].is_array());
        assert!(state(&row, "normalizedLiveState")["metadata"]["managedFields"].is_null());
        assert_eq!(row["predictedLiveState"], row["normalizedLiveState"]);

        let row = only(managed(Some(map("1", Value::Null)), None, None), &[]);
        assert_eq!(
            (&row["liveState"], &row["modified"]),
            (&json!("null"), &json!(true))
        );
        assert_eq!(row["predictedLiveState"], row["targetState"]);

        let row = only(managed(None, Some(map("1", Value::Null)), None), &[]);
        assert_eq!(
            (&row["targetState"], &row["predictedLiveState"]),
            (&json!("null"), &json!("null"))
        );
    }

    #[test]
    fn ignored_places_are_in_no_compared_state() {
        let rule = IgnoreDifference {
            kind: "ConfigMap".into(),
            json_pointers: vec!["/data/a".into()],
            ..IgnoreDifference::default()
        };
        let after = Prediction::Object(map("2", json!({"labels": {"new": "yes"}})));
        let row = only(
            managed(
                Some(map("2", Value::Null)),
                Some(map("1", Value::Null)),
                Some(after),
            ),
            &[rule],
        );
        assert!(state(&row, "normalizedLiveState")["data"]["a"].is_null());
        assert!(state(&row, "predictedLiveState")["data"]["a"].is_null());
        assert_eq!(
            state(&row, "predictedLiveState")["metadata"]["labels"]["new"],
            "yes"
        );
        assert_eq!(state(&row, "liveState")["data"]["a"], "1");
    }

    #[test]
    fn no_value_of_a_secret_is_in_a_row() {
        let secret = |value: &str| {
            json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {"name": "m", "namespace": "ns", "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": json!({"apiVersion": "v1", "kind": "Secret", "data": {"key": value}}).to_string(),
                }},
                "data": {"key": value, "other": "c2FtZQ=="},
            })
        };
        let object = ManagedObject {
            id: ResourceId::new("", "Secret", "ns", "m"),
            target: Some(secret("bmV3")),
            live: Some(secret("b2xk")),
            predicted: Some(Prediction::Object(secret("bmV3"))),
            hook: false,
            same: false,
        };
        let row = only(object, &[]);
        let text = row.to_string();
        assert!(
            !text.contains("bmV3") && !text.contains("b2xk") && !text.contains("c2FtZQ"),
            "{text}"
        );
        let key = |name: &str| state(&row, name)["data"]["key"].clone();
        assert_ne!(
            key("targetState"),
            key("liveState"),
            "that they differ is shown"
        );
        assert_eq!(key("targetState"), key("predictedLiveState"));
        let other = |name: &str| state(&row, name)["data"]["other"].clone();
        assert_eq!(other("targetState"), other("liveState"));
    }
}
