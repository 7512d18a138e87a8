//! `Rollout.status`, with upstream's spelling: `observedGeneration` is a text, `HPAReplicas` is
//! capitalised, `canary` and `blueGreen` are always there.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use reconcile_core::conditions::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::api::schema;

/// What was reached so far, and what a person asked for (`abort`, `promoteFull`, `pauseConditions`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutStatus {
    /// The update is given up; set by a person or by the controller.
    #[serde(skip_serializing_if = "is_false")]
    pub abort: bool,
    /// When the update was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aborted_at: Option<Time>,
    /// Why the controller waits for a person.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub pause_conditions: Vec<PauseCondition>,
    /// The controller has paused. Set without [`RolloutStatus::pause_conditions`] it means that a person resumed.
    #[serde(skip_serializing_if = "is_false")]
    pub controller_pause: bool,
    /// Hash of the newest template.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub current_pod_hash: String,
    /// Hash of the steps.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub current_step_hash: String,
    /// Index of the step in work; the number of steps when all are done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_step_index: Option<i32>,
    /// Pods of all ReplicaSets.
    #[serde(skip_serializing_if = "is_zero")]
    pub replicas: i32,
    /// Pods of the newest ReplicaSet.
    #[serde(skip_serializing_if = "is_zero")]
    pub updated_replicas: i32,
    /// Ready pods.
    #[serde(skip_serializing_if = "is_zero")]
    pub ready_replicas: i32,
    /// Available pods.
    #[serde(skip_serializing_if = "is_zero")]
    pub available_replicas: i32,
    /// Pods as the autoscaler should count them.
    #[serde(rename = "HPAReplicas", skip_serializing_if = "is_zero")]
    pub hpa_replicas: i32,
    /// Selector in text form, for the autoscaler.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub selector: String,
    /// Hash of the stable ReplicaSet.
    #[serde(rename = "stableRS", skip_serializing_if = "String::is_empty")]
    pub stable_rs: String,
    /// Number of collisions of the hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collision_count: Option<i32>,
    /// Generation that this status is about, as text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub observed_generation: String,
    /// Conditions.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_default"
    )]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Canary only.
    #[serde(deserialize_with = "null_as_default")]
    pub canary: CanaryStatus,
    /// Blue-green only.
    #[serde(deserialize_with = "null_as_default")]
    pub blue_green: BlueGreenStatus,
    /// The last restart that was carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarted_at: Option<Time>,
    /// A person asked to skip steps, pauses and analysis.
    #[serde(skip_serializing_if = "is_false")]
    pub promote_full: bool,
    /// `Healthy`, `Degraded`, `Progressing` or `Paused`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub phase: String,
    /// Why the phase is what it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Generation of the referenced workload, as text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub workload_observed_generation: String,
    /// Load balancer of the AWS router.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::preserved_object")]
    pub alb: Option<Value>,
    /// Load balancers of the AWS router.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::preserved")]
    pub albs: Option<Value>,
    /// Times of the update.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::preserved_object")]
    pub duration: Option<RolloutDuration>,
    /// Fields of other versions, kept.
    #[serde(flatten)]
    #[schemars(skip)]
    pub other: Map<String, Value>,
}

/// Times of an update.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutDuration {
    /// When the update began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout_started_at: Option<Time>,
    /// Since when the update waits for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manual_pause_started_at: Option<Time>,
    /// Seconds that the update waited for people so far.
    #[serde(skip_serializing_if = "is_no_time")]
    pub total_manual_pause_duration_seconds: i64,
    /// When the update ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// `Promoted`, `FastPromoted`, `Aborted`, `RolledBack` or `FastRolledBack`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub completion_status: String,
    /// Fields of other versions, kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Why the controller waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PauseCondition {
    /// The reason.
    pub reason: PauseReason,
    /// Since when.
    pub start_time: Time,
}

/// Reasons of pauses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(with = "String")]
pub enum PauseReason {
    /// An analysis gave no verdict.
    InconclusiveAnalysisRun,
    /// An experiment gave no verdict.
    InconclusiveExperiment,
    /// The step is a pause.
    CanaryPauseStep,
    /// The new version waits for the switch.
    BlueGreenPause,
    /// A reason of another version.
    #[serde(untagged)]
    Other(String),
}

impl PauseReason {
    /// The reason as text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::InconclusiveAnalysisRun => "InconclusiveAnalysisRun",
            Self::InconclusiveExperiment => "InconclusiveExperiment",
            Self::CanaryPauseStep => "CanaryPauseStep",
            Self::BlueGreenPause => "BlueGreenPause",
            Self::Other(text) => text,
        }
    }
}

/// Canary only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CanaryStatus {
    /// Analysis of the current step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_step_analysis_run_status: Option<RunStatus>,
    /// Analysis beside the steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_background_analysis_run_status: Option<RunStatus>,
    /// Experiment of the current step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_experiment: Option<String>,
    /// Weights that the traffic router was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::preserved_object")]
    pub weights: Option<Value>,
    /// Which of the two Services is stable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable_ping_pong: Option<String>,
    /// State of step plugins.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::preserved")]
    pub step_plugin_statuses: Option<Value>,
    /// Fields of other versions, kept.
    #[serde(flatten)]
    #[schemars(skip)]
    pub other: Map<String, Value>,
}

/// Blue-green only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BlueGreenStatus {
    /// Hash that the preview Service selects.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub preview_selector: String,
    /// Hash that the active Service selects.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub active_selector: String,
    /// The preview may be scaled to its full size.
    #[serde(skip_serializing_if = "is_false")]
    pub scale_up_preview_check_point: bool,
    /// Analysis before the switch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_promotion_analysis_run_status: Option<RunStatus>,
    /// Analysis after the switch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_promotion_analysis_run_status: Option<RunStatus>,
    /// Fields of other versions, kept.
    #[serde(flatten)]
    #[schemars(skip)]
    pub other: Map<String, Value>,
}

/// An AnalysisRun as the Rollout sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RunStatus {
    /// Its name.
    pub name: String,
    /// Its phase.
    pub status: String,
    /// Its message.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(value: &i32) -> bool {
    *value == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_no_time(value: &i64) -> bool {
    *value == 0
}

/// Clients clear lists by writing `null` into them.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
