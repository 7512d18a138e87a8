//! Status of a run.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Phase of a run, a metric or a measurement. Unknown values are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(from = "String", into = "String")]
pub enum AnalysisPhase {
    /// Not started; an empty string on the wire.
    #[default]
    Unset,
    /// Accepted, nothing measured yet.
    Pending,
    /// Going on.
    Running,
    /// Ended well.
    Successful,
    /// Ended badly.
    Failed,
    /// Could not be measured.
    Error,
    /// Neither well nor badly.
    Inconclusive,
    /// A word that this version does not know.
    Other(String),
}

impl AnalysisPhase {
    /// True when nothing more happens.
    pub fn is_completed(&self) -> bool {
        matches!(
            self,
            Self::Successful | Self::Failed | Self::Error | Self::Inconclusive
        )
    }

    /// The word on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Unset => "",
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Successful => "Successful",
            Self::Failed => "Failed",
            Self::Error => "Error",
            Self::Inconclusive => "Inconclusive",
            Self::Other(word) => word,
        }
    }
}

impl From<String> for AnalysisPhase {
    fn from(word: String) -> Self {
        match word.as_str() {
            "" => Self::Unset,
            "Pending" => Self::Pending,
            "Running" => Self::Running,
            "Successful" => Self::Successful,
            "Failed" => Self::Failed,
            "Error" => Self::Error,
            "Inconclusive" => Self::Inconclusive,
            _ => Self::Other(word),
        }
    }
}

impl From<AnalysisPhase> for String {
    fn from(phase: AnalysisPhase) -> Self {
        phase.as_str().to_owned()
    }
}

impl fmt::Display for AnalysisPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl JsonSchema for AnalysisPhase {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AnalysisPhase".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// Status of a run.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisRunStatus {
    /// Phase of the run.
    pub phase: AnalysisPhase,
    /// Why it has this phase.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What was measured, per metric.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metric_results: Vec<MetricResult>,
    /// When the run started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// Metrics by outcome.
    #[serde(default)]
    pub run_summary: RunSummary,
    /// Dry-run metrics by outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run_summary: Option<RunSummary>,
    /// When the run was completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Time>,
}

/// Metrics by outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunSummary {
    /// All of them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub count: i32,
    /// Successful ones.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub successful: i32,
    /// Failed ones.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: i32,
    /// Inconclusive ones.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub inconclusive: i32,
    /// Those that could not be measured.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub error: i32,
}

/// What was measured of one metric.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetricResult {
    /// Name of the metric.
    pub name: String,
    /// Phase of the metric.
    pub phase: AnalysisPhase,
    /// The latest measurements, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measurements: Vec<Measurement>,
    /// Why it has this phase.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Measurements that gave a verdict; errors do not count.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub count: i32,
    /// Successful measurements.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub successful: i32,
    /// Failed measurements.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: i32,
    /// Inconclusive measurements.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub inconclusive: i32,
    /// Errors.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub error: i32,
    /// Errors in a row.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub consecutive_error: i32,
    /// Successful measurements in a row.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub consecutive_success: i32,
    /// True when the metric has no influence on the verdict.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// What the provider says about the metric, for example the query after substitution.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// One measurement.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Measurement {
    /// How it ended, or `Running`.
    pub phase: AnalysisPhase,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// What was measured, as text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// What the provider needs to continue the measurement, and details of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// When an unfinished measurement is checked again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume_at: Option<Time>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde effects over a reference"
)]
const fn is_zero(number: &i32) -> bool {
    *number == 0
}
