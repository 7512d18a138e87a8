//! Refusals of objects, in the words of the API server.

use reconcile_core::{
    apply::ApplyError,
    error::{Classify, ErrorClass},
};
use thiserror::Error;

use super::super::ObserveError;
use crate::clusters::DiscoveryError;

/// A task that was not carried out.
#[derive(Debug, Error)]
pub(super) enum TaskError {
    /// The API server refuses the object; the operation reports it.
    #[error("{0}")]
    Refused(String),
    /// The API server cannot be used; the pass ends and is tried again.
    #[error(transparent)]
    Pass(Box<ObserveError>),
}

impl TaskError {
    /// The reason of a refusal; other failures are errors of the pass.
    #[expect(
        clippy::result_large_err,
        reason = "the error of the pass, which is moved once"
    )]
    pub(super) fn refusal(self) -> Result<String, ObserveError> {
        match self {
            Self::Refused(reason) => Ok(reason),
            Self::Pass(error) => Err(*error),
        }
    }
}

impl From<ApplyError> for TaskError {
    fn from(error: ApplyError) -> Self {
        match (error.class(), error.code()) {
            (ErrorClass::Fenced, _) | (_, None) => Self::Pass(Box::new(error.into())),
            _ => Self::Refused(shorten_refusal(&error.reason)),
        }
    }
}

impl From<DiscoveryError> for TaskError {
    fn from(error: DiscoveryError) -> Self {
        Self::Pass(Box::new(error.into()))
    }
}

/// Characters of a refusal that end in the status.
const MAX_REFUSAL: usize = 1024;

/// A refusal without the values that it quotes: for an immutable field the API server prints whole pod specs.
fn shorten_refusal(reason: &str) -> String {
    const VALUE: &str = "Invalid value: ";
    const LONG: usize = 200;
    let mut short = String::new();
    let mut rest = reason;
    while let Some(at) = rest.find(VALUE) {
        let (before, after) = rest.split_at(at + VALUE.len());
        short.push_str(before);
        // The explanation follows the value; a value may hold colons of its own.
        let end = [": field is immutable", ": updates to ", ": may not "]
            .iter()
            .filter_map(|words| after.find(words))
            .min()
            .unwrap_or(0);
        if end > LONG {
            short.push_str("(...)");
            rest = &after[end..];
        } else {
            rest = after;
        }
    }
    short.push_str(rest);
    if let Some((end, _)) = short.char_indices().nth(MAX_REFUSAL) {
        short.truncate(end);
        short.push_str("...");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::shorten_refusal;

    #[test]
    fn a_refusal_does_not_print_whole_pod_specs() {
        let spec = format!("core.PodTemplateSpec{{{}}}", "Env:x, ".repeat(500));
        let reason = format!(
            "Job.batch \"j\" is invalid: spec.template: Invalid value: {spec}: field is immutable"
        );
        assert_eq!(
            shorten_refusal(&reason),
            "Job.batch \"j\" is invalid: spec.template: Invalid value: (...): field is immutable"
        );
        let plain = "a: Invalid value: \"b\": must be c";
        assert_eq!(shorten_refusal(plain), plain);
        assert!(shorten_refusal(&"ä".repeat(5000)).chars().count() <= 1027);
    }
}
