//! What was read of the Rollout before: most passes see the same spec, and checking it takes more time than the rest of
//! a pass.

use std::cell::RefMut;

use reconcile_core::object::{FieldError, Root};
use serde_json::{Value, value::RawValue};

use super::Cluster;
use crate::{
    api::rollout::{Rollout, RolloutStatus},
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
    status: Result<RolloutStatus, FieldError>,
    /// The same spec, checked; none before that, and where it depends on a workload.
    checked: Option<Checked>,
}

fn raw(value: &Value) -> Option<Box<RawValue>> {
    let value = Some(value).filter(|value| !value.is_null())?;
    Some(RawValue::from_string(value.to_string()).expect("a value is JSON"))
}

impl Memory {
    fn of(object: &Value) -> Self {
        let root: Rollout = Root::from_value(object).expect("a Rollout");
        Self {
            object: object.clone(),
            status: root.parse_status(),
            root,
            checked: None,
        }
    }

    /// Takes over what changed since.
    fn follow(&mut self, object: &Value) {
        if self.object["spec"] != object["spec"] {
            *self = Self::of(object);
        } else if self.object["metadata"] != object["metadata"] {
            let checked = self.checked.take();
            *self = Self::of(object);
            self.checked = checked;
        } else if self.object["status"] != object["status"] {
            self.object["status"] = object["status"].clone();
            self.root.status = raw(&object["status"]);
            self.status = self.root.parse_status();
        }
    }
}

impl Cluster {
    /// What is remembered of the Rollout, brought up to date.
    fn remembered(&self) -> RefMut<'_, Memory> {
        let object = &self.objects.root;
        let mut memory = RefMut::map(self.memory.borrow_mut(), |memory| {
            memory.get_or_insert_with(|| Memory::of(object))
        });
        memory.follow(object);
        memory
    }

    /// The Rollout as the API server shows it.
    pub(in crate::rollout::tests) fn root(&self) -> Rollout {
        self.remembered().root.clone()
    }

    /// Its status.
    pub(in crate::rollout::tests) fn status(&self) -> RolloutStatus {
        self.remembered().status.clone().expect("a status")
    }

    /// Everything that a plan looks at, out of the indexes.
    pub(super) fn observe_indexes(&self) -> Result<Observed, RolloutError> {
        let sources = self.sources(&[]);
        let mut memory = self.remembered();
        if !root_has_template(&self.objects.root) {
            return observe::observe(sources, &memory.root);
        }
        let checked = match &memory.checked {
            Some(checked) => checked.clone(),
            None => observe::check(sources, &memory.root)?,
        };
        memory.checked.get_or_insert_with(|| checked.clone());
        let status = (memory.status.clone()?, memory.object["status"].clone());
        observe::observe_checked(sources, &memory.root, checked, status)
    }
}

/// Its template is its own, not that of a workload.
fn root_has_template(object: &Value) -> bool {
    object["spec"]["workloadRef"].is_null()
}
