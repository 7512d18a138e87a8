//! What identifies the owner of an object: labels, the identity of the firing, the generated name.

use kube::api::DynamicObject;
use reconcile_core::kube_types::names;
use serde_json::{Value, json};

use crate::trigger::{Firing, TriggerError};

/// Identity of the firing that created an object.
pub(super) const FIRING: &str = "events.argoproj.io/event-id";
/// Length of the suffix of generated names; the API server uses 5, which is too short to be derived.
const SUFFIX: usize = 8;

/// Adds upstream's labels and the identity of the firing.
pub(super) fn with_provenance(
    mut object: Value,
    firing: &Firing,
) -> Result<DynamicObject, TriggerError> {
    let marks = json!({
        "metadata": {
            "labels": {
                "events.argoproj.io/sensor": label(&firing.sensor.name),
                "events.argoproj.io/trigger": label(&firing.trigger),
                "events.argoproj.io/action-timestamp": firing.now.as_millisecond().to_string(),
            },
            "annotations": { FIRING: firing.id },
        }
    });
    merge(&mut object, &marks);
    serde_json::from_value(object)
        .map_err(|error| TriggerError::Failed(format!("not an object: {error}")))
}

/// `text` where it can be the value of a label, else what comes closest: names of triggers are free text.
fn label(text: &str) -> String {
    if names::is_label_value(text) {
        return text.to_owned();
    }
    let plain: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    names::truncate(
        plain.trim_matches(|c: char| !c.is_ascii_alphanumeric()),
        names::LABEL_MAX,
    )
}

/// Members of `over` win; objects are merged, everything else is replaced.
pub(super) fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) => base.clone_from(over),
    }
}

/// A generated name: the same for every try of a firing.
pub(super) fn derived_name(prefix: &str, id: &str, attempt: u32) -> String {
    let number = names::fnv1a_64(format!("{id}/{attempt}").as_bytes());
    let suffix = names::random_suffix(number, SUFFIX);
    format!(
        "{}{suffix}",
        names::truncate(prefix, names::LABEL_MAX - SUFFIX)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_name_is_the_same_for_every_try_of_a_firing() {
        let name = derived_name("job-", "0123abcd", 0);
        assert_eq!(name, derived_name("job-", "0123abcd", 0));
        assert_ne!(name, derived_name("job-", "0123abce", 0));
        assert_ne!(name, derived_name("job-", "0123abcd", 1));
        assert_eq!(name.len(), "job-".len() + SUFFIX);
        assert!(names::is_dns_label(&name), "{name}");
        assert!(derived_name(&"x".repeat(80), "1", 0).len() <= names::LABEL_MAX);
    }

    #[test]
    fn every_name_of_a_trigger_gives_a_label() {
        assert_eq!(label("my-trigger"), "my-trigger");
        assert_eq!(label("my trigger!"), "my_trigger");
        let long = "a b".repeat(50);
        for name in ["größer & besser", "...", long.as_str()] {
            assert!(names::is_label_value(&label(name)), "{name}");
        }
    }

    #[test]
    fn merging_keeps_what_the_patch_does_not_name() {
        let mut live = json!({"a": {"b": 1, "c": [1, 2]}, "d": 1});
        merge(&mut live, &json!({"a": {"c": [3]}, "e": null}));
        assert_eq!(live, json!({"a": {"b": 1, "c": [3]}, "d": 1, "e": null}));
    }
}
