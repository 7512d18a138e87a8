//! Which metrics are due, and when the next one will be.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};

use super::{Launch, LaunchStep, assess::Stage, later};
use crate::{
    analysis::validate::{Checked, CheckedMetric},
    api::analysis::{AnalysisPhase, AnalysisRunStatus, MetricResult},
};

/// Pause after a measurement that ended in an error, whatever the metric's interval is.
const RETRY_AFTER_ERROR: SignedDuration = SignedDuration::from_secs(10);

/// The measurements that are to be started now.
pub(super) fn due(
    status: &AnalysisRunStatus,
    checked: &Checked,
    stage: Stage,
    in_flight: &HashSet<String>,
    now: Timestamp,
) -> Vec<Launch> {
    let mut launches = Vec::new();
    for metric in &checked.metrics {
        if in_flight.contains(&metric.name) {
            continue;
        }
        let open = open_measurement(status, metric);
        let at = moment(status, metric);
        let launch = match &open {
            // Ending a measurement must not wait for its next look.
            Some(_) if stage.ends() => true,
            Some(_) => at.is_some_and(|at| at <= now),
            None => !stage.ends() && at.is_some_and(|at| at <= now),
        };
        if launch {
            launches.push(Launch {
                index: metric.index,
                metric: metric.name.clone(),
                number: number(status, metric),
                retention: metric.retention,
                step: match open {
                    None => LaunchStep::Start,
                    Some(open) if stage.ends() => LaunchStep::End(open),
                    Some(open) => LaunchStep::Continue(open),
                },
            });
        }
    }
    launches
}

/// The earliest moment at which a metric is due; metrics that `busy` names do not count, because their
/// end wakes the run.
pub(super) fn next(
    status: &AnalysisRunStatus,
    checked: &Checked,
    busy: impl Fn(&str) -> bool,
) -> Option<Timestamp> {
    let waiting = checked.metrics.iter().filter(|metric| !busy(&metric.name));
    waiting.filter_map(|metric| moment(status, metric)).min()
}

fn result_of<'s>(
    status: &'s AnalysisRunStatus,
    metric: &CheckedMetric,
) -> Option<&'s MetricResult> {
    status
        .metric_results
        .iter()
        .find(|result| result.name == metric.name)
}

fn open_measurement(
    status: &AnalysisRunStatus,
    metric: &CheckedMetric,
) -> Option<crate::api::analysis::Measurement> {
    let result = result_of(status, metric).filter(|result| !result.phase.is_completed())?;
    result
        .measurements
        .last()
        .filter(|last| last.finished_at.is_none())
        .cloned()
}

/// Number of the measurement that comes next, or is open.
fn number(status: &AnalysisRunStatus, metric: &CheckedMetric) -> i32 {
    result_of(status, metric)
        .map_or(0, |result| result.count.saturating_add(result.error))
        .saturating_add(1)
}

/// When the metric is to be measured next; `None` when it is complete.
fn moment(status: &AnalysisRunStatus, metric: &CheckedMetric) -> Option<Timestamp> {
    let started = status
        .started_at
        .as_ref()
        .map_or(Timestamp::MIN, |time| time.0);
    let first = later(started, metric.initial_delay.unwrap_or_default());
    let Some(result) = result_of(status, metric) else {
        return Some(first);
    };
    if result.phase.is_completed() {
        return None;
    }
    let Some(last) = result.measurements.last() else {
        return Some(first);
    };
    let Some(finished) = &last.finished_at else {
        return Some(last.resume_at.as_ref().map_or(started, |time| time.0));
    };
    if metric.count.is_some_and(|count| result.count >= count) {
        return None;
    }
    let pause = if last.phase == AnalysisPhase::Error {
        RETRY_AFTER_ERROR
    } else {
        metric.interval.unwrap_or(RETRY_AFTER_ERROR)
    };
    Some(later(finished.0, pause))
}
