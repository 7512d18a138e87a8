//! Writes what was measured into the status.

use std::collections::BTreeMap;

use super::Delivery;
use crate::{
    analysis::validate::Checked,
    api::analysis::{AnalysisPhase, AnalysisRunStatus, Measurement, MetricResult},
};

/// Adds a measurement to the result of its metric. An unfinished measurement is replaced by what
/// became of it.
pub(super) fn record(
    status: &mut AnalysisRunStatus,
    checked: &Checked,
    delivery: &Delivery,
    measurement: &Measurement,
    metadata: &BTreeMap<String, String>,
) {
    let Some(metric) = checked
        .metrics
        .iter()
        .find(|metric| metric.name == delivery.metric)
    else {
        return;
    };
    let results = &mut status.metric_results;
    let position = results.iter().position(|result| result.name == metric.name);
    let position = position.unwrap_or_else(|| {
        results.push(MetricResult {
            name: metric.name.clone(),
            phase: AnalysisPhase::Running,
            dry_run: metric.dry_run,
            metadata: metadata.clone(),
            ..MetricResult::default()
        });
        results.len() - 1
    });
    let result = &mut results[position];
    if result.phase.is_completed() {
        return;
    }
    if result
        .measurements
        .last()
        .is_some_and(|last| last.finished_at.is_none())
    {
        result.measurements.pop();
    }
    result.measurements.push(measurement.clone());
    count(result, &measurement.phase);
}

fn count(result: &mut MetricResult, phase: &AnalysisPhase) {
    let counter = match phase {
        AnalysisPhase::Successful => &mut result.successful,
        AnalysisPhase::Failed => &mut result.failed,
        AnalysisPhase::Inconclusive => &mut result.inconclusive,
        AnalysisPhase::Error => &mut result.error,
        _ => return,
    };
    *counter = counter.saturating_add(1);
    if *phase == AnalysisPhase::Error {
        result.consecutive_error = result.consecutive_error.saturating_add(1);
    } else {
        result.consecutive_error = 0;
        result.count = result.count.saturating_add(1);
    }
    result.consecutive_success = if *phase == AnalysisPhase::Successful {
        result.consecutive_success.saturating_add(1)
    } else {
        0
    };
}

/// Drops the oldest measurements beyond what is to be kept.
pub(super) fn trim(status: &mut AnalysisRunStatus, checked: &Checked) {
    for result in &mut status.metric_results {
        if let Some(metric) = checked
            .metrics
            .iter()
            .find(|metric| metric.name == result.name)
        {
            let surplus = result.measurements.len().saturating_sub(metric.retention);
            result.measurements.drain(..surplus);
        }
    }
}
