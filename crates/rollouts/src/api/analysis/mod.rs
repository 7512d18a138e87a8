//! `AnalysisTemplate`, `ClusterAnalysisTemplate` and `AnalysisRun` as users write them, and what a Rollout
//! says about the runs that it wants.
//!
//! Every field of upstream is present, so that nothing is lost on the way from a template to a run.

mod provider;
mod request;
mod spec;
mod status;

use reconcile_core::object::Kind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use provider::{
    Authentication, BasicAuth, CloudWatch, CloudWatchDimension, CloudWatchMetric,
    CloudWatchMetricStat, CloudWatchQuery, Datadog, Graphite, Header, Influxdb, Job, JobMetadata,
    Kayenta, KayentaScope, KayentaScopeDetail, KayentaThreshold, NewRelic, OAuth2, Prometheus,
    Provider, RangeQuery, SecretRef, SigV4, SkyWalking, Wavefront, Web,
};
pub use request::{
    LATEST_HASH, RolloutAnalysis, RunArgument, RunMetadata, RunValueFrom, STABLE_HASH,
};
pub use spec::{
    AnalysisRunSpec, AnalysisTemplateSpec, Argument, DryRun, FieldRef, MeasurementRetention,
    Metric, SecretKeyRef, TemplateRef, TtlStrategy, ValueFrom,
};
pub use status::{AnalysisPhase, AnalysisRunStatus, Measurement, MetricResult, RunSummary};

/// Marker of the kind `AnalysisTemplate`.
#[derive(Clone, Copy, Debug)]
pub struct AnalysisTemplate;

/// Marker of the kind `ClusterAnalysisTemplate`, which has no namespace.
#[derive(Clone, Copy, Debug)]
pub struct ClusterAnalysisTemplate;

/// Marker of the kind `AnalysisRun`.
#[derive(Clone, Copy, Debug)]
pub struct AnalysisRun;

/// Templates have no status; whatever somebody wrote there is ignored.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct TemplateStatus {}

impl Kind for AnalysisTemplate {
    const GROUP: &'static str = "argoproj.io";
    const VERSION: &'static str = "v1alpha1";
    const KIND: &'static str = "AnalysisTemplate";
    const PLURAL: &'static str = "analysistemplates";
    type Scope = kube::core::NamespaceResourceScope;
    type Spec = AnalysisTemplateSpec;
    type Status = TemplateStatus;
}

impl Kind for ClusterAnalysisTemplate {
    const GROUP: &'static str = "argoproj.io";
    const VERSION: &'static str = "v1alpha1";
    const KIND: &'static str = "ClusterAnalysisTemplate";
    const PLURAL: &'static str = "clusteranalysistemplates";
    type Scope = kube::core::ClusterResourceScope;
    type Spec = AnalysisTemplateSpec;
    type Status = TemplateStatus;
}

impl Kind for AnalysisRun {
    const GROUP: &'static str = "argoproj.io";
    const VERSION: &'static str = "v1alpha1";
    const KIND: &'static str = "AnalysisRun";
    const PLURAL: &'static str = "analysisruns";
    type Scope = kube::core::NamespaceResourceScope;
    type Spec = AnalysisRunSpec;
    type Status = AnalysisRunStatus;
}
