//! From a value to a verdict, by the conditions of the metric.

use expressions::{
    analysis::{AnalysisValue, evaluate_at},
    expr::EvalError,
};
use jiff::Timestamp;
use thiserror::Error;

use super::redaction::Redactor;
use crate::api::analysis::{AnalysisPhase, Metric};

/// What precedes the reason where the query gave no value.
const EMPTY: &str = "the query gave no value, so the condition cannot be applied: ";

/// A condition that cannot be applied to a value.
#[derive(Debug, Error)]
#[error("{}{source}", if *is_empty { EMPTY } else { "" })]
pub(super) struct ConditionError {
    /// There is no value to apply it to.
    is_empty: bool,
    source: EvalError,
}

impl ConditionError {
    /// The error as the status shows it. Messages shorten the expression, so its secrets go first.
    pub(super) fn redacted(mut self, redactor: &Redactor) -> String {
        self.source.expression = redactor.redact(self.source.expression);
        redactor.redact(self.to_string())
    }
}

/// The verdict on `value`. Without conditions everything is a success; a failure condition that is met
/// wins over a success condition; with both, meeting neither is inconclusive.
pub(super) fn judge(
    value: &AnalysisValue,
    metric: &Metric,
    now: Timestamp,
) -> Result<AnalysisPhase, ConditionError> {
    let met = |condition: &Option<String>| match condition.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => match evaluate_at(text, value, now) {
            Ok(met) => Ok(Some(met)),
            Err(source) => Err(ConditionError {
                is_empty: is_empty(value),
                source,
            }),
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
