//! The report of a pass: the status of the Experiment, and Events. The status is a part of the object itself:
//! upstream's CRD has no status subresource for Experiments.

use jiff::Timestamp;
use reconcile_core::{
    conditions::{self, Condition, Times},
    event::EventNote,
    reconcile::{Done, Report, Target},
};
use serde_json::Value;

use super::{
    apply::Applied,
    error::ExperimentError,
    observed::Observed,
    plan::{Decision, INVALID_SPEC},
};
use crate::api::experiment::{Experiment, ExperimentStatus, TemplatePhase};

/// Condition type for fields of the manifest that have no effect; not known upstream.
const UNSUPPORTED: &str = "UnsupportedFields";

/// Outcome of the actions of a pass.
pub(super) type Outcomes = [Done<Applied, ExperimentError>];

/// The report of a pass.
pub(super) fn report(
    observed: &Observed,
    decision: &Decision,
    done: &Outcomes,
    now: Timestamp,
) -> Report {
    let mut report = Report::default();
    let mut status = decision.status.clone();
    for event in &decision.events {
        report.event(event.clone());
    }
    for outcome in done {
        match &outcome.result {
            Ok(Applied::Done) => {}
            Ok(Applied::Started {
                analysis,
                name,
                phase,
            }) => {
                let mut all = status.analysis_runs.iter_mut();
                if let Some(run) = all.find(|run| run.name == *analysis) {
                    run.analysis_run.clone_from(name);
                    run.phase = phase.clone();
                }
            }
            Ok(Applied::Refused { template, message }) => {
                let mut all = status.template_statuses.iter_mut();
                if let Some(refused) = all.find(|status| status.name == *template) {
                    refused.status = TemplatePhase::Error;
                    refused.message.clone_from(message);
                }
                report.event(EventNote::warning("TemplateError", message.clone()));
            }
            Err(error) => {
                report.event(EventNote::warning("ReconciliationError", error.to_string()));
            }
        }
    }
    unsupported(observed, &mut status, now);
    // The next pass acts on what this one wrote.
    report.again = status != observed.status && done.iter().all(|done| done.result.is_ok());
    write(&mut report, &status, &observed.raw_status);
    report
}

fn unsupported(observed: &Observed, status: &mut ExperimentStatus, now: Timestamp) {
    let text = &observed.unsupported;
    if text.is_empty() {
        conditions::remove(&mut status.conditions, UNSUPPORTED);
        return;
    }
    let condition = Condition::new(UNSUPPORTED, true, "NotSupported", text.clone());
    conditions::set(
        &mut status.conditions,
        condition,
        Times::TransitionAndUpdate,
        now,
    );
}

/// The manifest is wrong: a condition says so, and nothing else moves.
pub(super) fn rejected(root: &Experiment, message: &str, now: Timestamp) -> Report {
    let mut report = Report::default();
    let name = root.key().name;
    let text = format!("The Experiment \"{name}\" is invalid: {message}");
    let Ok(mut status) = root.parse_status() else {
        report.event(EventNote::warning(INVALID_SPEC, text));
        return report;
    };
    let condition = Condition::new(INVALID_SPEC, true, INVALID_SPEC, text.clone());
    let times = Times::TransitionAndUpdate;
    if conditions::set(&mut status.conditions, condition, times, now) {
        report.event(EventNote::warning(INVALID_SPEC, text));
    }
    write(&mut report, &status, &root.status_value());
    report
}

fn write(report: &mut Report, status: &ExperimentStatus, old: &Value) {
    let new = serde_json::to_value(status).unwrap_or_default();
    report.status_at(Target::Main, old, &new);
}
