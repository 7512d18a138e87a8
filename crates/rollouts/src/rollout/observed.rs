//! What a plan may look at: the checked Rollout and the few facts of the objects around it.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use reconcile_core::kube_types::LabelSelector;
use serde_json::Value;

use super::flags::{FlagStep, Flags};
use super::peaks::Peak;
use super::plan::hash::{ComparedTemplate, TemplateDigest};
use super::pod_rules::PodRules;
use super::targets::TargetsFound;
use super::traffic::{RouteState, RouteStep, Routing};
use super::workload::ResolvedWorkload;
use crate::{
    analysis::{OwnerView, RunView},
    api::{
        analysis::RolloutAnalysis,
        experiment::ExperimentStep,
        rollout::{PodMetadata, Rollout, RolloutStatus},
    },
    experiment::view::ExperimentView,
};

/// Everything that a plan may look at.
pub struct Observed {
    /// The object as it was read.
    pub root: Rollout,
    /// Its spec, checked.
    pub spec: CheckedSpec,
    /// Its status.
    pub status: RolloutStatus,
    /// Its status as it was read, to write only what changes.
    pub raw_status: Value,
    /// Its ReplicaSets.
    pub replica_sets: Vec<Arc<ReplicaSetView>>,
    /// ReplicaSets without an owner that match its selector.
    pub orphans: Vec<Arc<ReplicaSetView>>,
    /// ReplicaSets of its that do not match its selector any more.
    pub released: Vec<Arc<ReplicaSetView>>,
    /// The Services that the strategy names, by name.
    pub services: BTreeMap<String, Arc<ServiceView>>,
    /// Its AnalysisRuns.
    pub runs: Vec<Arc<RunView>>,
    /// Its Experiments.
    pub experiments: Vec<Arc<ExperimentView>>,
    /// What the route objects say; none without traffic routing.
    pub traffic: Option<RouteState>,
    /// The pass before this one wrote the route objects.
    pub is_rerouted: bool,
    /// Whether target groups of AWS have the pods behind a Service that was switched; none without
    /// `--aws-verify-target-group`.
    pub targets: Option<TargetsFound>,
    /// Feature flags; none where there is no cluster to read them from.
    pub flags: Option<Flags>,
    /// The workload that its template comes from.
    pub workload: Option<ResolvedWorkload>,
    /// Its pods, where a restart or metadata of a version needs them.
    pub pods: Option<Vec<PodView>>,
    /// The most pods that the update had ready so far.
    pub peak: Peak,
    /// Fields that the manifest sets and that have no effect, as a sentence; empty when there are none.
    pub unsupported: String,
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodView {
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// Uid of its ReplicaSet.
    pub set: String,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// Deletion was requested.
    pub deleting: bool,
    /// Since when it is ready.
    pub ready_since: Option<Timestamp>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// A ReplicaSet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplicaSetView {
    /// Name.
    pub name: String,
    /// Uid; empty when it is still to be created.
    pub uid: String,
    /// resourceVersion, for writes that must not be late.
    pub version: String,
    /// When it was created; none when it is still to be created.
    pub created: Option<Timestamp>,
    /// Labels, for the selector.
    pub labels: BTreeMap<String, String>,
    /// The controlling owner.
    pub owner: Option<OwnerView>,
    /// Deletion was requested.
    pub deleting: bool,
    /// Pod template hash.
    pub hash: String,
    /// Revision; 0 when there is none.
    pub revision: i64,
    /// Former revisions, comma separated.
    pub revision_history: String,
    /// `spec.replicas` of the Rollout when it was last scaled.
    pub desired: Option<i32>,
    /// Marks of its annotations, see [`super::kinds::annotation_digest`].
    pub annotations: Vec<u32>,
    /// When it should be scaled to nothing.
    pub deadline: Option<Timestamp>,
    /// Identity of its template.
    pub template: TemplateDigest,
    /// Labels and annotations that its template has for a time.
    pub metadata: Option<PodMetadata>,
    /// The version that its pods avoid.
    pub avoids: Option<String>,
    /// `spec.replicas`.
    pub replicas: i32,
    /// `spec.minReadySeconds`.
    pub min_ready: i32,
    /// `status.replicas`.
    pub current: i32,
    /// `status.readyReplicas`.
    pub ready: i32,
    /// `status.availableReplicas`.
    pub available: i32,
    /// The ReplicaSet controller has not acted on the newest spec yet: the counts may be about pods that are leaving.
    pub stale: bool,
    /// Reason and message of its `ReplicaFailure` condition.
    pub failure: Option<(String, String)>,
}

/// A Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceView {
    /// The pod template hash that it selects.
    pub hash: Option<String>,
    /// Uid of the controlling owner.
    pub owner: Option<String>,
    /// The Rollout that switches it.
    pub managed_by: Option<String>,
    /// Its selector without the pod template hash.
    pub selector: Box<[(Box<str>, Box<str>)]>,
}

/// `Rollout.spec` with defaults filled in and everything checked.
#[derive(Clone, Debug)]
pub struct CheckedSpec {
    /// Wanted pods.
    pub replicas: i32,
    /// The manifest does not say how many; the controller writes 1.
    pub replicas_unset: bool,
    /// Selector of the pods.
    pub selector: LabelSelector,
    /// The template as it was written.
    pub template: Value,
    /// The template in comparable form.
    pub compared: ComparedTemplate,
    /// `minReadySeconds`.
    pub min_ready: i32,
    /// `revisionHistoryLimit`.
    pub history_limit: usize,
    /// Restarts, metadata and distance of pods.
    pub pods: PodRules,
    /// `paused`.
    pub paused: bool,
    /// `progressDeadlineSeconds`.
    pub deadline: SignedDuration,
    /// `progressDeadlineAbort`.
    pub deadline_abort: bool,
    /// `rollbackWindow.revisions`.
    pub rollback_window: Option<i32>,
    /// Successful AnalysisRuns that are kept.
    pub successful_runs: usize,
    /// Other finished AnalysisRuns that are kept.
    pub unsuccessful_runs: usize,
    /// Canary or blue-green.
    pub strategy: CheckedStrategy,
}

/// The strategy with its rules.
#[derive(Clone, Debug)]
pub enum CheckedStrategy {
    /// Step by step.
    Canary(Canary),
    /// Two sets and a switch.
    BlueGreen(BlueGreen),
}

/// A canary.
#[derive(Clone, Debug, Default)]
pub struct Canary {
    /// Service of the new pods.
    pub canary_service: Option<String>,
    /// Service of the stable pods.
    pub stable_service: Option<String>,
    /// Steps.
    pub steps: Vec<Step>,
    /// Hash of the steps.
    pub step_hash: String,
    /// Pods above the wanted number.
    pub surge: i32,
    /// Pods below the wanted number.
    pub unavailable: i32,
    /// When a set counts as scaled up.
    pub threshold: Threshold,
    /// Analysis beside the steps, and the first step that it runs beside.
    pub analysis: Option<(RolloutAnalysis, i32)>,
    /// Who splits the traffic; without it the numbers of pods do.
    pub routing: Option<Routing>,
    /// With traffic routing: how long the former stable version stays after a promotion.
    pub scale_down_delay: SignedDuration,
    /// With traffic routing: old versions that may wait at the same time.
    pub scale_down_limit: Option<i32>,
    /// With traffic routing: how long the new version stays after an abort. None means for ever.
    pub abort_delay: Option<SignedDuration>,
    /// The manifest says how long the new version stays after an abort.
    pub abort_delay_set: bool,
    /// With traffic routing: fewest pods of a version that has any.
    pub min_pods: i32,
    /// With traffic routing: the stable version has only the pods that its share of the traffic needs.
    pub dynamic_stable: bool,
    /// With traffic routing: two Services that swap roles at a promotion.
    pub ping_pong: Option<PingPong>,
}

/// Two Services that swap roles at each promotion, so that the stable one is never switched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PingPong {
    /// The stable Service of the first version.
    pub ping: String,
    /// The other one.
    pub pong: String,
}

impl Canary {
    /// With ping-pong the status says which Service is stable.
    pub fn assign_services(&mut self, status: &RolloutStatus) {
        let Some(PingPong { ping, pong }) = &self.ping_pong else {
            return;
        };
        let (stable, canary) = match status.canary.stable_ping_pong.as_deref() {
            Some(PONG) => (pong, ping),
            _ => (ping, pong),
        };
        self.stable_service = Some(stable.clone());
        self.canary_service = Some(canary.clone());
    }
}

/// `status.canary.stablePingPong` while the ping Service is stable.
pub const PING: &str = "ping";
/// `status.canary.stablePingPong` while the pong Service is stable.
pub const PONG: &str = "pong";

/// When a set counts as scaled up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Threshold {
    /// All wanted pods are available.
    #[default]
    All,
    /// This share in percent is available.
    Percent(i32),
    /// This many are available.
    Pods(i32),
}

/// A step of a canary.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Share of the new version in percent.
    SetWeight(i32),
    /// A wait; without a duration until a person promotes.
    Pause(Option<SignedDuration>),
    /// Analysis.
    Analysis(RolloutAnalysis),
    /// With traffic routing: pods of the new version apart from its weight.
    SetCanaryScale(CanaryScale),
    /// With traffic routing: a header or mirror route comes or goes.
    Route(RouteStep),
    /// An Experiment.
    Experiment(Box<ExperimentStep>),
    /// An edit of a feature flag.
    FeatureFlag(Box<FlagStep>),
}

/// Pods of the new version apart from its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CanaryScale {
    /// As many.
    Replicas(i32),
    /// As many as this weight would need.
    Weight(i32),
    /// As many as the weight needs; ends an earlier one.
    MatchTrafficWeight,
}

/// Two sets and a switch.
#[derive(Clone, Debug, Default)]
pub struct BlueGreen {
    /// Service that users reach.
    pub active: String,
    /// Service of the new version before the switch.
    pub preview: Option<String>,
    /// Pods of the new version before the switch.
    pub preview_replicas: Option<i32>,
    /// Switch without a person.
    pub auto_promotion: bool,
    /// Wait before a switch without a person.
    pub auto_promotion_delay: Option<SignedDuration>,
    /// How long the old version stays after the switch.
    pub scale_down_delay: SignedDuration,
    /// The manifest says how long the old version stays.
    pub scale_down_delay_set: bool,
    /// Old versions that may wait at the same time.
    pub scale_down_limit: Option<i32>,
    /// How long the preview stays after an abort; none means for ever.
    pub abort_delay: Option<SignedDuration>,
    /// Analysis before the switch.
    pub pre_analysis: Option<RolloutAnalysis>,
    /// Analysis after the switch.
    pub post_analysis: Option<RolloutAnalysis>,
}

impl Observed {
    /// The Services of all Experiments of the Rollout.
    pub(super) fn experiment_services(&self) -> Vec<String> {
        let services = self.experiments.iter().flat_map(|view| &view.services);
        services.map(|(_, service, _)| service.clone()).collect()
    }
}

impl CheckedSpec {
    /// The canary, when that is the strategy.
    pub fn canary(&self) -> Option<&Canary> {
        match &self.strategy {
            CheckedStrategy::Canary(canary) => Some(canary),
            CheckedStrategy::BlueGreen(_) => None,
        }
    }

    /// The blue-green rules, when that is the strategy.
    pub fn blue_green(&self) -> Option<&BlueGreen> {
        match &self.strategy {
            CheckedStrategy::Canary(_) => None,
            CheckedStrategy::BlueGreen(rules) => Some(rules),
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SetWeight(weight) => write!(f, "setWeight: {weight}"),
            Self::Pause(None) => f.write_str("pause"),
            Self::Pause(Some(duration)) => {
                write!(
                    f,
                    "pause: {}",
                    reconcile_core::kube_types::GoDuration::from_secs(duration.as_secs())
                )
            }
            Self::Analysis(_) => f.write_str("analysis"),
            Self::SetCanaryScale(CanaryScale::Replicas(replicas)) => {
                write!(f, "setCanaryScale: {replicas} replicas")
            }
            Self::SetCanaryScale(CanaryScale::Weight(weight)) => {
                write!(f, "setCanaryScale: weight {weight}")
            }
            Self::SetCanaryScale(CanaryScale::MatchTrafficWeight) => {
                f.write_str("setCanaryScale: matchTrafficWeight")
            }
            Self::Route(step) => step.fmt(f),
            Self::Experiment(_) => f.write_str("experiment"),
            Self::FeatureFlag(_) => f.write_str("plugin: feature-flag"),
        }
    }
}
