//! Why templates and values make no AnalysisRun.

use thiserror::Error;

use super::field_path::FieldPathError;

/// Why no run can be built from the templates and values.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BuildError {
    /// Two templates bring a metric of the same name.
    #[error("two metrics have the same name '{0}'")]
    DuplicateMetric(String),
    /// Two templates bring different defaults for the same argument.
    #[error(
        "Argument `{name}` specified multiple times with different values: '{first}', '{second}'"
    )]
    ConflictingArgument {
        /// Name of the argument.
        name: String,
        /// The default met first.
        first: String,
        /// The other one.
        second: String,
    },
    /// Nobody gives the argument a value.
    #[error("args.{0} was not resolved")]
    Unresolved(String),
    /// Nothing ends the metric.
    #[error("metric '{0}' has an interval and no count, so it never ends; set count")]
    Endless(String),
    /// Two dry-run rules are the same.
    #[error("two Dry-Run metric rules have the same name '{0}'")]
    DuplicateDryRun(String),
    /// Two retention rules are the same.
    #[error("two Measurement Retention metric rules have the same name '{0}'")]
    DuplicateRetention(String),
    /// A field of the Rollout cannot be taken as a value.
    #[error("args.{name}: {error}")]
    Field {
        /// Name of the argument.
        name: String,
        /// What is wrong with the path.
        error: FieldPathError,
    },
    /// `podTemplateHashValue` is neither `Stable` nor `Latest`.
    #[error("args.{name}: podTemplateHashValue must be Stable or Latest, not '{word}'")]
    HashWord {
        /// Name of the argument.
        name: String,
        /// What is there.
        word: String,
    },
}
