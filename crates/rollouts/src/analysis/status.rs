//! The report of a pass: the status of the run, and Events.

use reconcile_core::{
    event::EventNote,
    reconcile::{Report, Target},
};

use super::{
    observe::{ObservedRun, Persisted},
    plan::{Decision, Intent},
};

/// The status, written when it changed, and the Events that belong to the change. The status is a part of the
/// object itself: upstream's CRD has no status subresource for runs.
pub(super) fn report(observed: &ObservedRun, decision: &Decision) -> Report {
    let mut report = Report::default();
    if observed.situation.intent == Intent::Delete || decision.deletes() {
        return report;
    }
    let value = |status| serde_json::to_value(status).unwrap_or_default();
    let (old, new) = (&observed.situation.status, &decision.status);
    match &observed.persisted {
        // Most passes only start a measurement.
        Persisted::Read if old == new => {}
        Persisted::Read => report.status_at(Target::Main, &value(old), &value(new)),
        Persisted::Unread(old) => report.status_at(Target::Main, old, &value(new)),
    }
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
