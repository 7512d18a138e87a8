//! Reads a run.

use std::collections::HashSet;

use reconcile_core::{
    fields,
    object::{ObjectKey, Root},
};
use serde_json::Value;

use super::{
    plan::{Intent, Situation},
    validate::{InvalidRun, check},
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
    pub spec: AnalysisRunSpec,
    /// Everything that the plan looks at.
    pub situation: Situation,
    /// The persisted status in the form that this version writes it, to find what changed.
    pub persisted: Value,
    /// Fields that the manifest sets and that have no effect; empty for none.
    pub ignored: String,
}

/// Reads a run. A part that has a wrong form becomes the reason why the run ends in an error.
pub(super) fn observe(root: &Root<AnalysisRun>) -> ObservedRun {
    let spec = root.parse_spec();
    let status = root.parse_status();
    let checked = match (&spec, &status) {
        (Err(error), _) | (_, Err(error)) => Err(InvalidRun::Spec(error.to_string())),
        (Ok(spec), Ok(_)) => check(spec),
    };
    let persisted = match (&root.status, &status) {
        (Some(_), Ok(status)) => serde_json::to_value(status).unwrap_or_default(),
        _ => root.status_value(),
    };
    let spec = spec.unwrap_or_default();
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
