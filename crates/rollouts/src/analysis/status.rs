//! The report of a pass: the status of the run, and Events.

use reconcile_core::{
    event::EventNote,
    reconcile::{Report, Target},
};

use super::{
    observe::ObservedRun,
    plan::{Decision, Intent},
};

/// The status, written when it changed, and the Events that belong to the change. The status is a part of the
/// object itself: upstream's CRD has no status subresource for runs.
pub(super) fn report(observed: &ObservedRun, decision: &Decision) -> Report {
    let mut report = Report::default();
    if observed.situation.intent == Intent::Delete || decision.deletes() {
        return report;
    }
    let status = serde_json::to_value(&decision.status).unwrap_or_default();
    report.status_at(Target::Main, &observed.persisted, &status);
    if !observed.ignored.is_empty() {
        report.event(EventNote::warning(
            "UnsupportedFields",
            observed.ignored.clone(),
        ));
    }
    for event in &decision.events {
        report.event(event.clone());
    }
    report
}
