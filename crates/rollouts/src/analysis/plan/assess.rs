//! The verdict of a metric and of the whole run.

use std::collections::HashSet;

use reconcile_core::event::EventNote;

use super::Intent;
use crate::{
    analysis::validate::{Checked, CheckedMetric},
    api::analysis::{AnalysisPhase, AnalysisRunStatus, MetricResult, RunSummary},
};

/// Phase and message of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RunVerdict {
    pub(super) phase: AnalysisPhase,
    pub(super) message: String,
}

/// Whether a run still starts measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It does.
    Measuring,
    /// A metric that counts was not successful, so the others end with what they have.
    Concluding,
    /// Somebody asked for the end.
    Terminating,
}

impl Stage {
    /// The stage that a run with this status is in.
    pub(super) fn of(status: &AnalysisRunStatus, intent: Intent) -> Self {
        let is_bad = |result: &MetricResult| {
            !result.dry_run
                && result.phase.is_completed()
                && result.phase != AnalysisPhase::Successful
        };
        if intent == Intent::Terminate {
            Self::Terminating
        } else if status.metric_results.iter().any(is_bad) {
            Self::Concluding
        } else {
            Self::Measuring
        }
    }

    /// True when nothing new is measured and open measurements end.
    pub(super) fn ends(self) -> bool {
        self != Self::Measuring
    }
}

/// Assesses all metrics and then the run. A metric that ends the run also ends the others, so the
/// metrics are gone through again until nothing changes; upstream takes one pass and one write for each.
pub(super) fn assess(
    status: &mut AnalysisRunStatus,
    checked: &Checked,
    intent: Intent,
    in_flight: &HashSet<String>,
    events: &mut Vec<EventNote>,
) -> RunVerdict {
    loop {
        let stage = Stage::of(status, intent);
        let verdict = assess_once(status, checked, stage, events);
        // A Job that is just being made must be ended before the run is, as one that is there already.
        let making = checked
            .metrics
            .iter()
            .any(|metric| metric.lasting && in_flight.contains(&metric.name));
        let open = making || has_open_measurement(status);
        let verdict = if stage.ends() && open && verdict.phase.is_completed() {
            RunVerdict {
                phase: AnalysisPhase::Running,
                message: String::new(),
            }
        } else {
            verdict
        };
        if Stage::of(status, intent) == stage {
            return verdict;
        }
    }
}

fn assess_once(
    status: &mut AnalysisRunStatus,
    checked: &Checked,
    stage: Stage,
    events: &mut Vec<EventNote>,
) -> RunVerdict {
    let mut run = RunVerdict {
        phase: AnalysisPhase::Unset,
        message: String::new(),
    };
    if stage == Stage::Terminating {
        "Run Terminated".clone_into(&mut run.message);
    }
    let (mut counted, mut dry) = (RunSummary::default(), RunSummary::default());
    let mut all_completed = true;
    for metric in &checked.metrics {
        let summary = if metric.dry_run {
            &mut dry
        } else {
            &mut counted
        };
        summary.count += 1;
        let result = status
            .metric_results
            .iter_mut()
            .find(|result| result.name == metric.name);
        let Some(result) = result else {
            all_completed = false;
            continue;
        };
        transition(metric, result, stage, events);
        if !result.phase.is_completed() {
            all_completed = false;
            continue;
        }
        add(summary, &result.phase);
        conclude(metric, result, &mut run);
    }
    status.run_summary = counted;
    status.dry_run_summary = Some(dry);
    let open = !all_completed || run.phase == AnalysisPhase::Unset;
    if stage.ends() && run.phase == AnalysisPhase::Unset {
        run.phase = AnalysisPhase::Successful;
    } else if !stage.ends() && open {
        run = RunVerdict {
            phase: AnalysisPhase::Running,
            message: String::new(),
        };
    }
    run
}

fn has_open_measurement(status: &AnalysisRunStatus) -> bool {
    status.metric_results.iter().any(|result| {
        !result.phase.is_completed()
            && result
                .measurements
                .last()
                .is_some_and(|last| !last.phase.is_completed())
    })
}

/// Moves the phase of a metric on.
fn transition(
    metric: &CheckedMetric,
    result: &mut MetricResult,
    stage: Stage,
    events: &mut Vec<EventNote>,
) {
    let phase = metric_phase(metric, result, stage);
    if result.phase == phase {
        return;
    }
    if phase.is_completed() {
        let text = format!("Metric '{}' Completed. Result: {phase}", metric.name);
        events.push(event(format!("Metric{phase}"), text, &phase));
    }
    if let Some(last) = result.measurements.last() {
        result.message.clone_from(&last.message);
    }
    result.phase = phase;
}

/// Takes a completed metric into the verdict of the run: the worst one counts, the first one on a tie.
fn conclude(metric: &CheckedMetric, result: &mut MetricResult, run: &mut RunVerdict) {
    let limit = beyond_limit(metric, result).map(|(_, reason)| reason);
    let reason = limit.or_else(|| streak_missed(metric, result));
    if metric.dry_run {
        if run.phase == AnalysisPhase::Unset {
            run.phase = AnalysisPhase::Successful;
        }
        if let Some(reason) = reason {
            result.message = format!("Metric assessed {} due to {reason}", result.phase);
        }
        return;
    }
    if run.phase == AnalysisPhase::Unset || badness(&result.phase) > badness(&run.phase) {
        run.phase = result.phase.clone();
        if let Some(reason) = reason {
            run.message = format!(
                "Metric \"{}\" assessed {} due to {reason}",
                metric.name, result.phase
            );
            if !result.message.is_empty() {
                run.message.push_str(": \"Error Message: ");
                run.message.push_str(&result.message);
                run.message.push('"');
            }
        }
    }
}

fn badness(phase: &AnalysisPhase) -> u8 {
    match phase {
        AnalysisPhase::Successful => 0,
        AnalysisPhase::Inconclusive => 2,
        AnalysisPhase::Error => 3,
        AnalysisPhase::Failed => 4,
        _ => 1,
    }
}

fn metric_phase(metric: &CheckedMetric, result: &MetricResult, stage: Stage) -> AnalysisPhase {
    if result.phase.is_completed() {
        return result.phase.clone();
    }
    let Some(last) = result.measurements.last() else {
        return if stage.ends() {
            AnalysisPhase::Successful
        } else {
            AnalysisPhase::Pending
        };
    };
    if !last.phase.is_completed() {
        return AnalysisPhase::Running;
    }
    if let Some((phase, _)) = beyond_limit(metric, result) {
        return phase;
    }
    if metric
        .success_limit
        .is_some_and(|limit| result.consecutive_success >= limit)
    {
        return AnalysisPhase::Successful;
    }
    if metric.count.is_some_and(|count| result.count >= count) {
        // The streak was asked for and never came: a metric that tolerates any number of failures has
        // no other way to fail than this.
        return match (metric.success_limit, metric.failure_limit) {
            (None, _) => AnalysisPhase::Successful,
            (Some(_), Some(_)) => AnalysisPhase::Inconclusive,
            (Some(_), None) => AnalysisPhase::Failed,
        };
    }
    if stage.ends() {
        AnalysisPhase::Successful
    } else {
        AnalysisPhase::Running
    }
}

/// The limit that was exceeded, if any. Of several the last one counts: errors, then inconclusive
/// measurements, then failures.
fn beyond_limit(metric: &CheckedMetric, result: &MetricResult) -> Option<(AnalysisPhase, String)> {
    let mut beyond = None;
    let failed = result.failed;
    if let Some(limit) = metric.failure_limit.filter(|limit| failed > *limit) {
        let reason = format!("failed ({failed}) > failureLimit ({limit})");
        beyond = Some((AnalysisPhase::Failed, reason));
    }
    let (inconclusive, limit) = (result.inconclusive, metric.inconclusive_limit);
    if inconclusive > limit {
        let reason = format!("inconclusive ({inconclusive}) > inconclusiveLimit ({limit})");
        beyond = Some((AnalysisPhase::Inconclusive, reason));
    }
    let (errors, limit) = (result.consecutive_error, metric.error_limit);
    if errors > limit {
        let reason = format!("consecutiveErrors ({errors}) > consecutiveErrorLimit ({limit})");
        beyond = Some((AnalysisPhase::Error, reason));
    }
    beyond
}

fn streak_missed(metric: &CheckedMetric, result: &MetricResult) -> Option<String> {
    let limit = metric.success_limit?;
    let streak = result.consecutive_success;
    (result.phase != AnalysisPhase::Successful)
        .then(|| format!("consecutiveSuccess ({streak}) < consecutiveSuccessLimit ({limit})"))
}

fn add(summary: &mut RunSummary, phase: &AnalysisPhase) {
    let counter = match phase {
        AnalysisPhase::Error => &mut summary.error,
        AnalysisPhase::Failed => &mut summary.failed,
        AnalysisPhase::Inconclusive => &mut summary.inconclusive,
        _ => &mut summary.successful,
    };
    *counter += 1;
}

/// An Event about a completed metric or run.
pub(super) fn event(reason: String, note: String, phase: &AnalysisPhase) -> EventNote {
    match phase {
        AnalysisPhase::Error | AnalysisPhase::Failed => EventNote::warning(reason, note),
        _ => EventNote::normal(reason, note),
    }
}
