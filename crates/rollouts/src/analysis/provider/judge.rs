//! From a value to a verdict, by the conditions of the metric.

use expressions::analysis::{AnalysisValue, evaluate_at};
use jiff::Timestamp;

use crate::api::analysis::{AnalysisPhase, Metric};

/// The verdict on `value`. Without conditions everything is a success; a failure condition that is met
/// wins over a success condition; with both, meeting neither is inconclusive.
pub(super) fn judge(
    value: &AnalysisValue,
    metric: &Metric,
    now: Timestamp,
) -> Result<AnalysisPhase, String> {
    let met = |condition: &Option<String>| match condition.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => match evaluate_at(text, value, now) {
            Ok(met) => Ok(Some(met)),
            Err(error) if is_empty(value) => Err(format!(
                "the query gave no value, so the condition cannot be applied: {error}"
            )),
            Err(error) => Err(error.to_string()),
        },
    };
    let success = met(&metric.success_condition)?;
    let failure = met(&metric.failure_condition)?;
    Ok(match (success, failure) {
        (_, Some(true)) | (Some(false), None) => AnalysisPhase::Failed,
        (None | Some(true), None | Some(false)) => AnalysisPhase::Successful,
        (Some(false), Some(false)) => AnalysisPhase::Inconclusive,
    })
}

fn is_empty(value: &AnalysisValue) -> bool {
    match value {
        AnalysisValue::Null | AnalysisValue::NoFloat => true,
        AnalysisValue::Floats(floats) => floats.is_empty(),
        AnalysisValue::Values(values) => values.is_empty(),
        _ => false,
    }
}
