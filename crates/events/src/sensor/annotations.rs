//! What annotations of a Sensor change.

use std::sync::Arc;

use serde_json::Value;

use super::{CheckedSensor, checked::Problems};

/// What an error in one of several filters joined by `or` does: `ignore` (the default) takes it as a filter that does not
/// admit the event, `discard` discards the event as upstream does.
pub const FILTER_ERRORS: &str = "events.argoproj.io/filter-errors";

/// The value of an annotation of an object.
pub fn annotation<'o>(object: &'o Value, name: &str) -> Option<&'o str> {
    object["metadata"]["annotations"][name].as_str()
}

impl CheckedSensor {
    /// Heeds the value of [`FILTER_ERRORS`].
    pub fn heed_filter_errors(&mut self, value: Option<&str>, problems: &mut Problems) {
        match value {
            None | Some("ignore") => return,
            Some("discard") => {}
            Some(other) => {
                let problem = format!(
                    "metadata.annotations[{FILTER_ERRORS}]: {other:?} is not `discard` or `ignore`"
                );
                problems.dependencies.push(problem);
                return;
            }
        }
        for trigger in &mut self.triggers {
            let trigger = Arc::make_mut(trigger);
            let filters = trigger.dependencies.iter_mut();
            for filters in filters.filter_map(|dependency| dependency.filters.as_mut()) {
                Arc::make_mut(filters).discard_on_error();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use reconcile_core::object::ObjectKey;
    use serde_json::json;

    use super::*;
    use crate::sensor::checked::check;

    fn checked(value: Option<&str>) -> (CheckedSensor, Problems) {
        let filter = json!({"path": "n", "type": "number", "value": ["1"]});
        let spec = json!({
            "dependencies": [{
                "name": "a", "eventSourceName": "src", "eventName": "a",
                "filters": {"data": [filter]}, "filtersLogicalOperator": "or",
            }],
            "triggers": [{"template": {"name": "t", "log": {}}}],
        });
        let (mut sensor, mut problems) =
            check(&ObjectKey::new("ns", "s"), "uid", &spec).expect("decodes");
        sensor.heed_filter_errors(value, &mut problems);
        (sensor, problems)
    }

    #[test]
    fn the_annotation_reaches_the_filters_and_other_values_are_named() {
        let (usual, none) = checked(None);
        assert_eq!(none, Problems::default());
        assert_eq!(checked(Some("ignore")), (usual.clone(), none.clone()));
        let (strict, problems) = checked(Some("discard"));
        assert_eq!(problems, none);
        // Another sensor: its workers are exchanged.
        assert_ne!(strict, usual);
        let (_, problems) = checked(Some("strict"));
        assert_eq!(
            problems.dependencies,
            [
                "metadata.annotations[events.argoproj.io/filter-errors]: \"strict\" is not `discard` or `ignore`"
            ]
        );
    }
}
