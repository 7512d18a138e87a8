//! Reads a run.

use std::{collections::HashSet, sync::Arc};

use reconcile_core::{
    fields,
    object::{ObjectKey, Root},
};
use serde_json::Value;

use super::{
    checked_specs::{CheckedSpec, CheckedSpecs},
    plan::{Intent, Situation},
    validate::InvalidRun,
};
use crate::api::{
    analysis::{AnalysisRun, AnalysisRunSpec, AnalysisRunStatus},
    analysis_fields::RUN_LEDGER,
};

/// A run as a pass sees it.
#[derive(Debug)]
pub struct ObservedRun {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Uid of the run.
    pub uid: String,
    /// The raw spec; empty when it has a wrong form.
    pub spec: Arc<AnalysisRunSpec>,
    /// Everything that the plan looks at.
    pub situation: Situation,
    /// What the object has as its status, to find what changed.
    pub persisted: Persisted,
    /// Fields that the manifest sets and that have no effect; empty for none.
    pub ignored: String,
}

/// The status that the object has.
#[derive(Debug)]
pub enum Persisted {
    /// That of the situation.
    Read,
    /// None, or one of a wrong form.
    Unread(Value),
}

/// Reads a run. A part that has a wrong form becomes the reason why the run ends in an error.
pub(super) fn observe(root: &Root<AnalysisRun>, specs: &CheckedSpecs) -> ObservedRun {
    let status = root.parse_status();
    let is_completed = status
        .as_ref()
        .is_ok_and(|status| status.phase.is_completed());
    let read = if is_completed {
        specs.forget(&root.key());
        Arc::new(CheckedSpec::of(root))
    } else {
        specs.of(root)
    };
    let checked = match (&read.checked, &status) {
        (Ok(_), Err(error)) => Err(InvalidRun::Spec(error.to_string())),
        (checked, _) => checked.clone(),
    };
    let persisted = match (&root.status, &status) {
        (Some(_), Ok(_)) => Persisted::Read,
        _ => Persisted::Unread(root.status_value()),
    };
    let spec = Arc::clone(&read.spec);
    let status: AnalysisRunStatus = status.unwrap_or_default();
    // Told once, when the run starts. A run that cannot be carried out says why in its status.
    let ignored = if status.started_at.is_none() && checked.is_ok() {
        fields::message(&RUN_LEDGER.findings(&root.spec_value(), "spec"))
    } else {
        String::new()
    };
    let intent = if root.is_deleting() {
        Intent::Delete
    } else if spec.terminate {
        Intent::Terminate
    } else {
        Intent::Measure
    };
    ObservedRun {
        key: root.key(),
        uid: root.uid().to_owned(),
        situation: Situation {
            checked,
            intent,
            ttl: spec.ttl_strategy.clone(),
            status,
            delivered: Vec::new(),
            in_flight: HashSet::new(),
        },
        spec,
        persisted,
        ignored,
    }
}
