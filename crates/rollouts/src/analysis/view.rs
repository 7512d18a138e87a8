//! The few facts of an AnalysisRun that others need, and the indexes that hold them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::api::ObjectMeta;
use reconcile_core::{
    object::{FieldError, Kind, ObjectKey, Root},
    watch::Index,
};

use serde::{Deserialize, de::DeserializeOwned, de::IgnoredAny};
use serde_json::{Value, value::RawValue};

use super::Templates;
use crate::api::analysis::{
    AnalysisPhase, AnalysisRun, AnalysisTemplate, ClusterAnalysisTemplate, Provider,
};

/// What the Rollout controller and the metrics know of an AnalysisRun.
#[derive(Clone, Debug)]
pub struct RunView {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Uid of the run.
    pub uid: String,
    /// resourceVersion that the view was taken at.
    pub version: String,
    /// The controlling owner, when there is one.
    pub owner: Option<OwnerView>,
    /// Labels of the run, for example `rollout-type`, `step-index` and `rollouts-pod-template-hash`.
    pub labels: BTreeMap<String, String>,
    /// When the run was created.
    pub created: Option<Timestamp>,
    /// True once deletion was requested.
    pub deleting: bool,
    /// `status.phase`; unset until the run was reconciled.
    pub phase: AnalysisPhase,
    /// `status.message`.
    pub message: String,
    /// `spec.terminate`.
    pub terminate: bool,
    /// The metrics by name, for the metrics endpoint.
    pub metrics: Vec<MetricView>,
}

/// The version does not count: each measurement writes the run, and a write that changes none of the other
/// facts must not wake its owner.
impl PartialEq for RunView {
    fn eq(&self, other: &Self) -> bool {
        self.uid == other.uid
            && self.key == other.key
            && self.owner == other.owner
            && self.labels == other.labels
            && self.created == other.created
            && self.deleting == other.deleting
            && self.phase == other.phase
            && self.message == other.message
            && self.terminate == other.terminate
            && self.metrics == other.metrics
    }
}

/// The controlling owner of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnerView {
    /// Kind, for example `Rollout`.
    pub kind: String,
    /// Name; the owner is in the namespace of the object.
    pub name: String,
    /// Uid.
    pub uid: String,
}

impl OwnerView {
    /// The controlling owner that the metadata names.
    pub(crate) fn of(meta: &ObjectMeta) -> Option<Self> {
        let mut owners = meta.owner_references.iter().flatten();
        let owner = owners.find(|owner| owner.controller == Some(true))?;
        Some(Self {
            kind: owner.kind.clone(),
            name: owner.name.clone(),
            uid: owner.uid.clone(),
        })
    }
}

/// A metric of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricView {
    /// Name of the metric.
    pub name: String,
    /// Provider as upstream's numbers name it.
    pub provider: &'static str,
    /// True when the metric has no influence on the verdict; known from its first measurement on.
    pub dry_run: bool,
    /// Phase of the metric; unset before its first measurement.
    pub phase: AnalysisPhase,
}

/// What a view takes of a spec; the rest is skipped, not read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ViewedSpec {
    terminate: bool,
    metrics: Vec<ViewedMetric>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ViewedMetric {
    name: String,
    /// Its members; none for `null`.
    provider: BTreeMap<String, Option<IgnoredAny>>,
}

/// What a view takes of a status: each measurement writes it, and most of it are measurements.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ViewedStatus {
    phase: AnalysisPhase,
    message: String,
    metric_results: Vec<ViewedResult>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ViewedResult {
    name: String,
    phase: AnalysisPhase,
    dry_run: bool,
}

fn viewed<T: DeserializeOwned + Default>(part: Option<&RawValue>) -> T {
    part.and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default()
}

impl RunView {
    /// The view of a run. A part that cannot be read is left out; the AnalysisRun controller reports it.
    pub fn of(root: &Root<AnalysisRun>) -> Self {
        let meta = &root.metadata;
        let status: ViewedStatus = viewed(root.status.as_deref());
        let spec: ViewedSpec = viewed(root.spec.as_deref());
        let metrics = spec
            .metrics
            .iter()
            .map(|metric| {
                let mut results = status.metric_results.iter();
                let result = results.find(|result| result.name == metric.name);
                MetricView {
                    name: metric.name.clone(),
                    provider: Provider::label_of(|name| {
                        metric.provider.get(name).is_some_and(Option::is_some)
                    }),
                    dry_run: result.is_some_and(|result| result.dry_run),
                    phase: result
                        .map(|result| result.phase.clone())
                        .unwrap_or_default(),
                }
            })
            .collect();
        Self {
            key: root.key(),
            uid: root.uid().to_owned(),
            version: meta.resource_version.clone().unwrap_or_default(),
            owner: OwnerView::of(meta),
            labels: meta.labels.clone().unwrap_or_default(),
            created: meta.creation_timestamp.as_ref().map(|time| time.0),
            deleting: root.is_deleting(),
            phase: status.phase,
            message: status.message,
            terminate: spec.terminate,
            metrics,
        }
    }

    /// True when the run has ended.
    pub fn is_completed(&self) -> bool {
        self.phase.is_completed()
    }
}

/// What the AnalysisRun controller and the Rollout controller share. Cloning is cheap.
#[derive(Clone)]
pub struct AnalysisIndexes {
    /// All runs, tagged with the uid of their owner.
    pub runs: Index<RunView>,
    /// All templates.
    pub templates: Templates,
}

impl Default for AnalysisIndexes {
    fn default() -> Self {
        Self {
            runs: Index::new(|run: &RunView| {
                run.owner.iter().map(|owner| owner.uid.clone()).collect()
            }),
            templates: Templates::default(),
        }
    }
}

impl AnalysisIndexes {
    /// Takes the answer of a create, so that the next pass of the owner sees the run before its watch
    /// event arrives.
    pub fn remember(&self, view: RunView) {
        let meta = ObjectMeta {
            resource_version: Some(view.version.clone()),
            ..index_meta(&view.key, &view.uid)
        };
        drop(self.runs.written(&meta, view));
    }

    /// Adds an object of a file; false when it is of no analysis kind. Fails when the object has no valid metadata.
    pub(crate) fn add(&self, object: &Value) -> Result<bool, FieldError> {
        match object["kind"].as_str().unwrap_or_default() {
            AnalysisTemplate::KIND => {
                let root = Root::from_value(object)?;
                let meta = index_meta(&root.key(), root.uid());
                drop(self.templates.namespaced.written(&meta, root));
            }
            ClusterAnalysisTemplate::KIND => {
                let root = Root::from_value(object)?;
                let meta = index_meta(&root.key(), root.uid());
                drop(self.templates.cluster.written(&meta, root));
            }
            AnalysisRun::KIND => self.remember(RunView::of(&Root::from_value(object)?)),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Metadata under which an index keeps an object that no API server gave.
pub(crate) fn index_meta(key: &ObjectKey, uid: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(key.name.clone()),
        namespace: (!key.namespace.is_empty()).then(|| key.namespace.clone()),
        uid: Some(uid.to_owned()),
        ..ObjectMeta::default()
    }
}
