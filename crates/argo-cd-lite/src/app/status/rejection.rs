//! The report on an Application that could not be read.

use jiff::Timestamp;
use reconcile_core::{
    error::error_chain,
    object::Root,
    reconcile::{Report, RootPatch, Target},
};
use serde_json::{Value, json};

use super::conditions::{conditions, warnings};
use crate::{
    api::{ANNOTATION_REFRESH, Application, HealthStatus, Time},
    app::{ObserveError, Problem},
    clusters::{ClusterError, LiveError},
    diff::DiffError,
};

/// The report of a pass that could not read what it needs.
pub(in crate::app) fn reject(
    root: &Root<Application>,
    error: &ObserveError,
    now: Timestamp,
) -> Report {
    let problem = match error {
        ObserveError::Spec(error) => Problem::invalid_spec(error.to_string()),
        // The API server was not reachable; the next pass tries again.
        ObserveError::Api(error)
        | ObserveError::Diff(DiffError::Api(error))
        | ObserveError::Live(LiveError::Read(error))
            if error.code().is_none() =>
        {
            return Report::default();
        }
        // The pass begins again when the cluster is open.
        ObserveError::Cluster(ClusterError::Closed(_)) => return Report::default(),
        ObserveError::Cluster(ClusterError::Unreachable(error)) if error.is_control_plane => {
            return Report::default();
        }
        other => Problem::comparison(error_chain(other)),
    };
    let problem = if root.is_deleting() {
        Problem::remark("DeletionError", problem.message)
    } else {
        problem
    };
    let mut report = Report::default();
    let Ok(old) = root.parse_status() else {
        return report;
    };
    let mut new = old.clone();
    new.conditions = conditions(&old.conditions, &[problem], now);
    report.events = warnings(&old.conditions, &new.conditions);
    if matches!(error, ObserveError::Spec(_) | ObserveError::Cluster(_)) {
        let mut sync = old.sync.clone().unwrap_or_default();
        "Unknown".clone_into(&mut sync.status);
        new.sync = Some(sync);
        if new
            .health
            .as_ref()
            .is_none_or(|health| health.status != "Unknown")
        {
            new.health = Some(HealthStatus {
                status: "Unknown".to_owned(),
                message: String::new(),
                last_transition_time: Some(Time::new(now)),
            });
        }
    }
    let old = match root.status_value() {
        Value::Null => json!({}),
        old => old,
    };
    let new = serde_json::to_value(&new).unwrap_or(Value::Null);
    report.status_at(Target::Main, &old, &new);
    if root.annotation(ANNOTATION_REFRESH).is_some() {
        // Whoever asked waits for this to go.
        report.patches.push(RootPatch {
            target: Target::Main,
            body: json!({ "metadata": super::refresh_is_done() }),
            guarded: false,
        });
    }
    report
}
