//! The report of a pass: the status of the run, and Events.

use reconcile_core::{
    event::EventNote,
    reconcile::{Report, RootPatch, Target, into_merge_diff},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    observe::{ObservedRun, Persisted},
    plan::{Decision, Intent},
};
use crate::api::analysis::AnalysisRunStatus;

/// The status, written when it changed, and the Events that belong to the change. The status is a part of the
/// object itself: upstream's CRD has no status subresource for runs.
pub(super) fn report(observed: &ObservedRun, decision: &Decision) -> Report {
    let mut report = Report::default();
    if observed.situation.intent == Intent::Delete || decision.deletes() {
        return report;
    }
    let new = &decision.status;
    match &observed.persisted {
        Persisted::Read => report
            .patches
            .extend(patch(&observed.situation.status, new)),
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

/// The patch that turns `old` into `new`; none when they are equal, as after most passes that start a measurement. The results are
/// most of a status and always written whole, so those that are replaced are not turned into a tree.
fn patch(old: &AnalysisRunStatus, new: &AnalysisRunStatus) -> Option<RootPatch> {
    let mut diff = into_merge_diff(&without_results(old), without_results(new));
    if old.metric_results != new.metric_results {
        let results = match new.metric_results.as_slice() {
            [] => Value::Null,
            results => value(results),
        };
        diff.get_or_insert_with(|| json!({}))["metricResults"] = results;
    }
    diff.map(|diff| RootPatch {
        target: Target::Main,
        body: json!({ "status": diff }),
        guarded: false,
    })
}

fn without_results(status: &AnalysisRunStatus) -> Value {
    value(&AnalysisRunStatus {
        phase: status.phase.clone(),
        message: status.message.clone(),
        metric_results: Vec::new(),
        started_at: status.started_at.clone(),
        run_summary: status.run_summary.clone(),
        dry_run_summary: status.dry_run_summary.clone(),
        completed_at: status.completed_at.clone(),
    })
}

fn value(part: &(impl Serialize + ?Sized)) -> Value {
    serde_json::to_value(part).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use reconcile_core::reconcile::merge_patch;

    use super::*;
    use crate::api::analysis::{AnalysisPhase, Measurement, MetricResult, RunSummary};

    fn status(phase: AnalysisPhase, measurements: usize) -> AnalysisRunStatus {
        let measurement = Measurement {
            phase: AnalysisPhase::Successful,
            ..Measurement::default()
        };
        let result = MetricResult {
            name: "m".to_owned(),
            measurements: vec![measurement; measurements],
            ..MetricResult::default()
        };
        AnalysisRunStatus {
            message: phase.as_str().to_owned(),
            run_summary: RunSummary {
                count: i32::from(phase.is_completed()),
                ..RunSummary::default()
            },
            phase,
            metric_results: vec![result; measurements.min(1)],
            ..AnalysisRunStatus::default()
        }
    }

    #[test]
    fn a_patch_leads_from_each_status_to_each_other_and_has_only_what_changes() {
        let all = [
            status(AnalysisPhase::Unset, 0),
            status(AnalysisPhase::Running, 1),
            status(AnalysisPhase::Running, 2),
            status(AnalysisPhase::Failed, 2),
        ];
        for (old, new) in all
            .iter()
            .flat_map(|old| all.iter().map(move |new| (old, new)))
        {
            let Some(patch) = patch(old, new) else {
                assert_eq!(old, new);
                continue;
            };
            let mut object = json!({ "status": value(old) });
            merge_patch(&mut object, &patch.body);
            assert_eq!(object["status"], value(new), "{}", patch.body);
        }
        let patch = patch(&all[1], &all[2]).expect("another measurement");
        let members = patch.body["status"].as_object().expect("members");
        assert_eq!(members.keys().collect::<Vec<_>>(), ["metricResults"]);
    }
}
