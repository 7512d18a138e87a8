//! The specs of unfinished runs, parsed and checked once: each measurement takes two passes, and a spec hardly ever changes.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use reconcile_core::object::{ObjectKey, Root};
use serde_json::value::RawValue;

use super::validate::{Checked, InvalidRun, check};
use crate::api::analysis::{AnalysisRun, AnalysisRunSpec};

/// A spec as it was sent, and what it says.
#[derive(Debug)]
pub(super) struct CheckedSpec {
    text: Box<str>,
    /// Empty when it has a wrong form.
    pub(super) spec: Arc<AnalysisRunSpec>,
    /// The rules of its metrics, or why there are none.
    pub(super) checked: Result<Checked, InvalidRun>,
}

impl CheckedSpec {
    /// Parses and checks the spec of a run.
    pub(super) fn of(root: &Root<AnalysisRun>) -> Self {
        let spec = root.parse_spec();
        let checked = match &spec {
            Ok(spec) => check(spec),
            Err(error) => Err(InvalidRun::Spec(error.to_string())),
        };
        Self {
            text: text_of(root).into(),
            spec: Arc::new(spec.unwrap_or_default()),
            checked,
        }
    }
}

fn text_of(root: &Root<AnalysisRun>) -> &str {
    root.spec.as_deref().map_or("", RawValue::get)
}

/// The specs of unfinished runs. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub(super) struct CheckedSpecs(Arc<Mutex<HashMap<ObjectKey, Arc<CheckedSpec>>>>);

impl CheckedSpecs {
    /// The spec of a run, which is read again only when its text is another one.
    pub(super) fn of(&self, root: &Root<AnalysisRun>) -> Arc<CheckedSpec> {
        let key = root.key();
        let known = self.0.lock().get(&key).map(Arc::clone);
        if let Some(known) = known.filter(|known| *known.text == *text_of(root)) {
            return known;
        }
        let read = Arc::new(CheckedSpec::of(root));
        self.0.lock().insert(key, Arc::clone(&read));
        read
    }

    /// Drops the spec of a run that is gone or has ended.
    pub(super) fn forget(&self, key: &ObjectKey) {
        self.0.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(interval: &str) -> Root<AnalysisRun> {
        let metric =
            json!({"name": "m", "interval": interval, "provider": {"web": {"url": "http://x/"}}});
        let object =
            json!({"metadata": {"name": "run", "namespace": "ns"}, "spec": {"metrics": [metric]}});
        Root::from_value(&object).expect("a run")
    }

    #[test]
    fn a_spec_is_read_again_when_it_changes() {
        let specs = CheckedSpecs::default();
        let first = specs.of(&run("5s"));
        assert!(Arc::ptr_eq(&first, &specs.of(&run("5s"))));
        let changed = specs.of(&run("7s"));
        assert_eq!(changed.spec.metrics[0].interval.as_deref(), Some("7s"));
        assert!(specs.of(&run("soon")).checked.is_err());
        specs.forget(&run("soon").key());
        assert!(specs.0.lock().is_empty());
    }
}
