//! What the three kinds have in common: metadata, status, fields without effect, and the report.

use jiff::Timestamp;
use reconcile_core::{
    conditions::{Condition, Times, merge},
    fields::Finding,
    object::{Kind, Root},
    reconcile::Report,
};
use serde_json::{Map, Value, json};

use super::{
    conditions::{DEDICATED_POD, UNSUPPORTED, unsupported},
    context::ObjectMeta,
};

/// The part of what was observed that does not depend on the kind.
pub struct ObjectState {
    /// Metadata.
    pub meta: ObjectMeta,
    /// The current status.
    pub status: Value,
    /// Fields without effect.
    pub findings: Vec<Finding>,
    /// What is said about a pod of its own.
    pub pod: PodReport,
}

/// What is said about a pod of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum PodReport {
    /// Nothing: there is none.
    #[default]
    None,
    /// This.
    Condition(Condition),
    /// Another process says it.
    Theirs,
}

impl ObjectState {
    /// Reads it from an object. What is ignored does not matter where nothing runs, so `find` looks for fields
    /// without effect only when the check of the spec passed.
    pub fn of<K: Kind, T, E>(
        root: &Root<K>,
        check: &Result<T, E>,
        find: impl FnOnce() -> Vec<Finding>,
    ) -> Self {
        Self {
            meta: ObjectMeta::of(root),
            status: root.status_value(),
            findings: if check.is_ok() { find() } else { Vec::new() },
            pod: PodReport::None,
        }
    }

    /// The report with these conditions, sorted by type, and `members` of its status. The
    /// conditions of others, and other members, stay; `owned` are ours.
    pub fn report(
        &self,
        owned: &[&str],
        mut wanted: Vec<Condition>,
        members: Map<String, Value>,
        now: Timestamp,
    ) -> Report {
        wanted.extend(unsupported(&self.findings));
        let mut owned: Vec<&str> = owned.iter().copied().chain([UNSUPPORTED]).collect();
        match &self.pod {
            PodReport::None => owned.push(DEDICATED_POD),
            PodReport::Condition(condition) => {
                owned.push(DEDICATED_POD);
                wanted.push(condition.clone());
            }
            PodReport::Theirs => {}
        }
        let mut status = self.status.as_object().cloned().unwrap_or_default();
        let mut conditions: Vec<Condition> = status
            .get("conditions")
            .and_then(Value::as_array)
            .map(|all| {
                all.iter()
                    .filter_map(|one| serde_json::from_value(one.clone()).ok())
                    .collect()
            })
            .unwrap_or_default();
        merge(&mut conditions, &owned, wanted, Times::Transition, now);
        conditions.sort_by(|a, b| a.kind.cmp(&b.kind));
        status.insert("conditions".to_owned(), json!(conditions));
        status.insert("observedGeneration".to_owned(), json!(self.meta.generation));
        status.extend(members);
        let mut report = Report::default();
        report.status(&self.status, &Value::Object(status));
        report
    }
}
