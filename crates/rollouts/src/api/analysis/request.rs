//! What a Rollout says about an analysis that it wants: `spec.strategy.canary.analysis`,
//! `steps[].analysis`, `prePromotionAnalysis` and `postPromotionAnalysis`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DryRun, FieldRef, MeasurementRetention, TemplateRef};

/// The word that asks for the pod template hash of the stable ReplicaSet.
pub const STABLE_HASH: &str = "Stable";
/// The word that asks for the pod template hash of the new ReplicaSet.
pub const LATEST_HASH: &str = "Latest";

/// An analysis that a Rollout asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutAnalysis {
    /// Templates to combine into one run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub templates: Vec<TemplateRef>,
    /// Values for the arguments of the templates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<RunArgument>,
    /// Metrics that are measured without influence on the verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dry_run: Vec<DryRun>,
    /// How many measurements are kept, where the default of 10 does not fit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measurement_retention: Vec<MeasurementRetention>,
    /// Labels and annotations for the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis_run_metadata: Option<RunMetadata>,
}

/// Labels and annotations for a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct RunMetadata {
    /// Labels to add.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations to add.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A value for an argument of the templates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunArgument {
    /// Name of the argument.
    pub name: String,
    /// The value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where the value is taken from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<RunValueFrom>,
}

/// Where a value is taken from when the run is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunValueFrom {
    /// `Stable` or `Latest`: the pod template hash of that ReplicaSet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template_hash_value: Option<String>,
    /// A field of the Rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_ref: Option<FieldRef>,
}
