//! `Experiment`: versions that run beside each other for a while.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use reconcile_core::{
    conditions::Condition,
    kube_types::LabelSelector,
    object::{Kind, Root},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    analysis::{AnalysisPhase, Argument, DryRun, MeasurementRetention, RunArgument, RunMetadata},
    rollout::PodMetadata,
};

/// Names of the kind `Experiment`.
#[derive(Debug)]
pub struct ExperimentKind;

impl Kind for ExperimentKind {
    const GROUP: &'static str = "argoproj.io";
    const VERSION: &'static str = "v1alpha1";
    const KIND: &'static str = "Experiment";
    const PLURAL: &'static str = "experiments";
    type Scope = kube::core::NamespaceResourceScope;
    type Spec = ExperimentSpec;
    type Status = ExperimentStatus;
}

/// An Experiment as it arrives.
pub type Experiment = Root<ExperimentKind>;

/// Annotation of ReplicaSets and Services: the Experiment that they belong to.
pub const EXPERIMENT_NAME: &str = "experiment.argoproj.io/name";
/// Annotation of ReplicaSets and Services: the template that they are made from.
pub const TEMPLATE_NAME: &str = "experiment.argoproj.io/template-name";
/// Label of AnalysisRuns: the `status.availableAt`, in seconds since 1970, of the try that the run
/// belongs to. A person who retries an Experiment clears its status, and the runs stay.
pub const AVAILABLE_AT: &str = "experiment.argoproj.io/available-at";

/// What runs, for how long, and how it is judged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExperimentSpec {
    /// The versions.
    pub templates: Vec<TemplateSpec>,
    /// How long they run once all are available, for example `5m`; until somebody ends it when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Seconds without progress after which a template has failed; 600 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_deadline_seconds: Option<i32>,
    /// Ends the Experiment.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub terminate: bool,
    /// The analyses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub analyses: Vec<AnalysisRef>,
    /// Seconds that the pods stay after the end; 30 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down_delay_seconds: Option<i32>,
    /// Metrics that are measured without influence on the verdict.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dry_run: Vec<DryRun>,
    /// How many measurements are kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub measurement_retention: Vec<MeasurementRetention>,
    /// Labels and annotations of the AnalysisRuns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis_run_metadata: Option<RunMetadata>,
}

/// One version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TemplateSpec {
    /// Its name, unique in the Experiment.
    pub name: String,
    /// Number of pods; 1 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Seconds that a pod must be ready before it counts as available.
    #[serde(skip_serializing_if = "is_zero")]
    pub min_ready_seconds: i32,
    /// Its pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// The pod template.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub template: Value,
    /// Asks for a Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<TemplateService>,
}

/// A Service for a template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TemplateService {
    /// Its name; that of the ReplicaSet when empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// An analysis of an Experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AnalysisRef {
    /// Its name, unique in the Experiment.
    pub name: String,
    /// The template that it is made from.
    pub template_name: String,
    /// The template is a ClusterAnalysisTemplate.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cluster_scope: bool,
    /// Values for the arguments of the template.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Argument>,
    /// The Experiment waits for it, and ends when all that it waits for were successful.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub required_for_completion: bool,
}

/// Phase of an Experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExperimentStatus {
    /// Phase of the whole.
    #[serde(skip_serializing_if = "is_unset")]
    pub phase: AnalysisPhase,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The templates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub template_statuses: Vec<TemplateStatus>,
    /// Since when all templates are available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_at: Option<Time>,
    /// Conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The analyses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub analysis_runs: Vec<AnalysisStatus>,
    /// Fields of other versions, kept.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Phase of a template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TemplateStatus {
    /// Its name.
    pub name: String,
    /// Pods.
    pub replicas: i32,
    /// Pods of the template; all of them.
    pub updated_replicas: i32,
    /// Ready pods.
    pub ready_replicas: i32,
    /// Available pods.
    pub available_replicas: i32,
    /// Collisions of names that another version counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collision_count: Option<i32>,
    /// Its phase.
    #[serde(skip_serializing_if = "TemplatePhase::is_unset")]
    pub status: TemplatePhase,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When its pods last changed: the clock of the progress deadline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
    /// Its Service.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service_name: String,
    /// The hash that its Service selects.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pod_template_hash: String,
}

/// Phases of a template, from good to bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum TemplatePhase {
    /// Not reconciled yet.
    #[default]
    Unset,
    /// It ran to the end.
    Successful,
    /// All pods are available.
    Running,
    /// Pods are on their way.
    Progressing,
    /// It could not be carried out.
    Error,
    /// Its pods did not come up in time.
    Failed,
}

impl TemplatePhase {
    /// True when nothing more happens.
    pub const fn is_completed(self) -> bool {
        matches!(self, Self::Successful | Self::Failed | Self::Error)
    }

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unset => "",
            Self::Successful => "Successful",
            Self::Running => "Running",
            Self::Progressing => "Progressing",
            Self::Error => "Error",
            Self::Failed => "Failed",
        }
    }

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    fn is_unset(&self) -> bool {
        *self == Self::Unset
    }
}

impl From<String> for TemplatePhase {
    fn from(word: String) -> Self {
        match word.as_str() {
            "Successful" => Self::Successful,
            "Running" => Self::Running,
            "Progressing" => Self::Progressing,
            "Error" => Self::Error,
            "Failed" => Self::Failed,
            _ => Self::Unset,
        }
    }
}

impl From<TemplatePhase> for String {
    fn from(phase: TemplatePhase) -> Self {
        phase.as_str().to_owned()
    }
}

/// Phase of an analysis.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AnalysisStatus {
    /// Its name.
    pub name: String,
    /// Its AnalysisRun; empty until there is one.
    pub analysis_run: String,
    /// Phase of the run.
    pub phase: AnalysisPhase,
    /// Message of the run, or why there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// The Experiment that a canary step asks for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExperimentStep {
    /// The versions.
    pub templates: Vec<StepTemplate>,
    /// As [`ExperimentSpec::duration`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// The analyses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub analyses: Vec<StepAnalysis>,
    /// As [`ExperimentSpec::dry_run`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dry_run: Vec<DryRun>,
    /// As [`ExperimentSpec::scale_down_delay_seconds`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down_delay_seconds: Option<i32>,
    /// As [`ExperimentSpec::analysis_run_metadata`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis_run_metadata: Option<RunMetadata>,
}

/// A version of the Rollout that takes part in an Experiment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StepTemplate {
    /// Its name.
    pub name: String,
    /// `canary` or `stable`: the ReplicaSet whose pod template it has.
    pub spec_ref: String,
    /// Number of pods; 1 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Labels and annotations added to its pods; the labels are added to the selector too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<PodMetadata>,
    /// Its pods; the selector of the ReplicaSet when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// Its share of the traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<i32>,
    /// Asks for a Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<TemplateService>,
}

/// An analysis of the Experiment of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StepAnalysis {
    /// Its name.
    pub name: String,
    /// The template that it is made from.
    pub template_name: String,
    /// The template is a ClusterAnalysisTemplate.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cluster_scope: bool,
    /// Values for the arguments of the template.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<RunArgument>,
    /// As [`AnalysisRef::required_for_completion`].
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub required_for_completion: bool,
}

/// The annotations that bind an object to a template of an Experiment.
pub fn template_annotations(experiment: &str, template: &str) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        (EXPERIMENT_NAME, experiment.to_owned()),
        (TEMPLATE_NAME, template.to_owned()),
    ])
}

fn is_unset(phase: &AnalysisPhase) -> bool {
    *phase == AnalysisPhase::Unset
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_zero(number: &i32) -> bool {
    *number == 0
}
