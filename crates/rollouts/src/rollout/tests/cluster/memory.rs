//! What was read of the Rollout before: most passes see the same spec, and checking it takes more time than the rest of
//! a pass.

use reconcile_core::object::Root;
use serde_json::{Value, value::RawValue};

use super::Cluster;
use crate::{
    api::rollout::Rollout,
    rollout::{
        RolloutError,
        observe::{self, Checked},
        observed::Observed,
    },
};

/// The last Rollout that was read.
pub(super) struct Memory {
    object: Value,
    root: Rollout,
    /// The same spec, checked; none before that, and where it depends on a workload.
    checked: Option<Checked>,
}

fn raw(value: &Value) -> Option<Box<RawValue>> {
    let value = Some(value).filter(|value| !value.is_null())?;
    Some(RawValue::from_string(value.to_string()).expect("a value is JSON"))
}

impl Cluster {
    /// The Rollout as the API server shows it.
    pub(in crate::rollout::tests) fn root(&self) -> Rollout {
        let object = &self.objects.root;
        let mut memory = self.memory.borrow_mut();
        if let Some(known) = &mut *memory
            && known.object["spec"] == object["spec"]
            && known.object["metadata"] == object["metadata"]
        {
            if known.object["status"] != object["status"] {
                known.root.status = raw(&object["status"]);
                known.object["status"] = object["status"].clone();
            }
            return known.root.clone();
        }
        let root: Rollout = Root::from_value(object).expect("a Rollout");
        let same_spec = |known: &Memory| known.object["spec"] == object["spec"];
        let known = memory.take().filter(same_spec);
        *memory = Some(Memory {
            object: object.clone(),
            root: root.clone(),
            checked: known.and_then(|known| known.checked),
        });
        root
    }

    /// Everything that a plan looks at, out of the indexes.
    pub(super) fn observe_indexes(&self) -> Result<Observed, RolloutError> {
        let (sources, root) = (self.sources(&[]), self.root());
        if !root_has_template(&self.objects.root) {
            return observe::observe(&sources, &root);
        }
        let known = self
            .memory
            .borrow()
            .as_ref()
            .and_then(|known| known.checked.clone());
        let checked = match known {
            Some(checked) => checked,
            None => observe::check(&sources, &root)?,
        };
        if let Some(memory) = &mut *self.memory.borrow_mut() {
            memory.checked.get_or_insert_with(|| checked.clone());
        }
        observe::observe_checked(&sources, &root, checked)
    }
}

/// Its template is its own, not that of a workload.
fn root_has_template(object: &Value) -> bool {
    object["spec"]["workloadRef"].is_null()
}
