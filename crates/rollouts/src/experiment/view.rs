//! The few facts of an Experiment that the Rollout which asked for it needs.

use jiff::Timestamp;
use reconcile_core::object::ObjectKey;

use crate::{
    analysis::OwnerView,
    api::{
        analysis::AnalysisPhase,
        experiment::{Experiment, TemplateStatus},
        rollout::HASH_LABEL,
    },
};

/// What the Rollout controller knows of an Experiment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExperimentView {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Uid.
    pub uid: String,
    /// The controlling owner, when there is one.
    pub owner: Option<OwnerView>,
    /// Pod template hash of the new version of the Rollout.
    pub hash: String,
    /// Annotation with the index of the canary step that asked for it, and the content of that step.
    pub step: String,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// True once deletion was requested.
    pub deleting: bool,
    /// `status.phase`.
    pub phase: AnalysisPhase,
    /// `status.message`.
    pub message: String,
    /// `spec.terminate`.
    pub terminate: bool,
    /// Templates with a Service: name, Service, pod template hash.
    pub services: Vec<(String, String, String)>,
}

impl ExperimentView {
    /// The view of an Experiment. A part that cannot be read is left out; its controller reports it.
    pub fn of(root: &Experiment) -> Self {
        let meta = &root.metadata;
        let status = root.parse_status().unwrap_or_default();
        let labels = meta.labels.as_ref();
        let service = |status: TemplateStatus| {
            let TemplateStatus {
                name,
                service_name,
                pod_template_hash,
                ..
            } = status;
            (!service_name.is_empty()).then_some((name, service_name, pod_template_hash))
        };
        Self {
            key: root.key(),
            uid: root.uid().to_owned(),
            owner: OwnerView::of(meta),
            hash: labels
                .and_then(|labels| labels.get(HASH_LABEL))
                .cloned()
                .unwrap_or_default(),
            step: root.annotation(STEP).unwrap_or_default().to_owned(),
            created: meta.creation_timestamp.as_ref().map(|time| time.0),
            deleting: root.is_deleting(),
            phase: status.phase,
            message: status.message,
            terminate: root.spec_value()["terminate"] == true,
            services: status
                .template_statuses
                .into_iter()
                .filter_map(service)
                .collect(),
        }
    }

    /// True when the Experiment has ended.
    pub fn is_completed(&self) -> bool {
        self.phase.is_completed()
    }
}

/// Annotation of an Experiment: which canary step of which try of the update asked for it.
pub(crate) const STEP: &str = "rollout.argoproj.io/experiment-step";
