//! What a plan may look at: the checked Experiment and the few facts of the objects around it.

use std::{collections::BTreeMap, sync::Arc};

use jiff::SignedDuration;
use reconcile_core::kube_types::LabelSelector;
use serde_json::Value;

use super::error::RunError;
use crate::{
    analysis::{RunView, build::NewRun},
    api::experiment::{AnalysisRef, Experiment, ExperimentSpec, ExperimentStatus},
    rollout::observed::{ReplicaSetView, ServiceView},
};

/// Everything that a plan may look at.
pub struct Observed {
    /// The object as it was read.
    pub root: Experiment,
    /// Its spec, checked.
    pub spec: CheckedSpec,
    /// Its status.
    pub status: ExperimentStatus,
    /// Its status as it was read, to write only what changes.
    pub raw_status: Value,
    /// Its ReplicaSets by template.
    pub replica_sets: BTreeMap<String, Arc<ReplicaSetView>>,
    /// Its ReplicaSets that belong to none of its templates.
    pub strays: Vec<Arc<ReplicaSetView>>,
    /// The Services that its templates name, by name; whoever they belong to.
    pub services: BTreeMap<String, Arc<ServiceView>>,
    /// Its AnalysisRuns.
    pub runs: Vec<Arc<RunView>>,
    /// The run of each analysis that has none yet, or why there can be none. Before all templates are
    /// available only what is wrong is known.
    pub wanted_runs: BTreeMap<String, Result<NewRun, RunError>>,
    /// Fields that the manifest sets and that have no effect, as a sentence; empty when there are none.
    pub unsupported: String,
}

/// `Experiment.spec` with defaults filled in and everything checked.
#[derive(Clone, Debug, Default)]
pub struct CheckedSpec {
    /// The spec as it was written.
    pub raw: ExperimentSpec,
    /// The templates.
    pub templates: Vec<CheckedTemplate>,
    /// How long they run; none until somebody ends the Experiment.
    pub duration: Option<SignedDuration>,
    /// Seconds without progress after which a template has failed.
    pub deadline_seconds: i32,
    /// How long the pods stay after the end.
    pub scale_down_delay: SignedDuration,
}

/// A template with its ReplicaSet and its Service.
#[derive(Clone, Debug, Default)]
pub struct CheckedTemplate {
    /// Its name.
    pub name: String,
    /// Name of the ReplicaSet.
    pub set_name: String,
    /// Pod template hash, different in every template of every Experiment.
    pub hash: String,
    /// Wanted pods.
    pub replicas: i32,
    /// `minReadySeconds`.
    pub min_ready: i32,
    /// Its pods.
    pub selector: LabelSelector,
    /// The pod template.
    pub template: Value,
    /// Name of the Service, when one is asked for and the containers have ports.
    pub service: Option<String>,
}

impl CheckedSpec {
    /// True when the Experiment waits for an analysis.
    pub fn has_required(&self) -> bool {
        self.required().next().is_some()
    }

    /// The analyses that the Experiment waits for.
    pub fn required(&self) -> impl Iterator<Item = &AnalysisRef> {
        let all = self.raw.analyses.iter();
        all.filter(|analysis| analysis.required_for_completion)
    }
}

impl Observed {
    /// The run with this name.
    pub fn run(&self, name: &str) -> Option<&Arc<RunView>> {
        self.runs.iter().find(|run| run.key.name == name)
    }
}
