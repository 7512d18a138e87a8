//! `spec.workloadRef`: the pod template comes from another workload, which is scaled down in turn.

use std::sync::Arc;

use kube::api::{ApiResource, DynamicObject};
use reconcile_core::{
    kube_types::LabelSelector,
    object::{FieldError, ObjectKey},
    watch::Index,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::resources::resource;
use crate::api::rollout::{Rollout, RolloutSpec};

const AT: &str = "spec.workloadRef";

/// Kinds whose pod template a Rollout can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkloadKind {
    /// A Deployment.
    Deployment,
    /// A ReplicaSet.
    ReplicaSet,
    /// A `PodTemplate`.
    PodTemplate,
}

impl WorkloadKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Deployment, Self::ReplicaSet, Self::PodTemplate];

    /// The kind as manifests write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::ReplicaSet => "ReplicaSet",
            Self::PodTemplate => "PodTemplate",
        }
    }

    /// The resource of the API.
    pub(super) fn resource(self) -> ApiResource {
        match self {
            Self::Deployment => resource("apps", "v1", self.name(), "deployments"),
            Self::ReplicaSet => resource("apps", "v1", self.name(), "replicasets"),
            Self::PodTemplate => resource("", "v1", self.name(), "podtemplates"),
        }
    }

    fn of(group: &str, kind: &str) -> Option<Self> {
        let all = Self::ALL.into_iter();
        all.zip(["apps", "apps", ""])
            .find(|(known, of)| known.name() == kind && *of == group)
            .map(|(known, _)| known)
    }
}

/// When the workload gives up its pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScaleDown {
    /// It keeps them.
    #[default]
    Never,
    /// All at once, when the first version of the Rollout is healthy.
    OnSuccess,
    /// One for each pod of the first version that is ready.
    Progressively,
}

/// The checked reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadRef {
    /// The kind.
    pub kind: WorkloadKind,
    /// The name.
    pub name: String,
    /// When it gives up its pods.
    pub scale_down: ScaleDown,
}

/// A workload that a Rollout refers to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Workload {
    /// Uid.
    pub uid: String,
    /// Generation.
    pub generation: i64,
    /// Pod template.
    pub template: Value,
    /// Selector; none for a `PodTemplate`.
    pub selector: Option<LabelSelector>,
    /// Wanted pods.
    pub replicas: i32,
}

/// A resolved reference.
#[derive(Clone, Debug)]
pub struct ResolvedWorkload {
    /// The reference.
    pub reference: WorkloadRef,
    /// What it refers to.
    pub workload: Arc<Workload>,
}

/// The workloads that Rollouts refer to, by kind.
#[derive(Clone, Default)]
pub struct Workloads([Index<Workload>; 3]);

impl Workloads {
    /// The workloads of a kind.
    pub fn of(&self, kind: WorkloadKind) -> &Index<Workload> {
        &self.0[kind as usize]
    }

    /// Takes a workload as the API server shows it.
    pub(super) fn remember(&self, kind: WorkloadKind, object: &DynamicObject) {
        let view = Workload::of(kind, object);
        drop(self.of(kind).written(&object.metadata, view));
    }
}

impl Workload {
    /// Reads an object of the API.
    pub(super) fn of(kind: WorkloadKind, object: &DynamicObject) -> Self {
        let spec = &object.data["spec"];
        let template = match kind {
            WorkloadKind::PodTemplate => &object.data["template"],
            _ => &spec["template"],
        };
        let replicas = spec["replicas"].as_i64();
        Self {
            uid: object.metadata.uid.clone().unwrap_or_default(),
            generation: object.metadata.generation.unwrap_or_default(),
            template: template.clone(),
            selector: serde_json::from_value(spec["selector"].clone()).ok(),
            replicas: replicas
                .and_then(|count| count.try_into().ok())
                .unwrap_or(1),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawReference {
    api_version: String,
    kind: String,
    name: String,
    scale_down: String,
}

/// Checks the reference of a spec; none when it has none.
pub(super) fn reference(spec: &RolloutSpec) -> Result<Option<WorkloadRef>, FieldError> {
    let Some(given) = spec.workload_ref.as_ref().filter(|given| !given.is_null()) else {
        return Ok(None);
    };
    let wrong =
        |field: &str, message: String| Err(FieldError::new(format!("{AT}{field}"), message));
    let raw: RawReference = match serde_json::from_value(given.clone()) {
        Ok(raw) => raw,
        Err(error) => return wrong("", format!("Invalid value: {error}")),
    };
    if raw.name.is_empty() {
        return wrong(".name", "Required value".to_owned());
    }
    let group = raw
        .api_version
        .rsplit_once('/')
        .map_or("", |(group, _)| group);
    let Some(kind) = WorkloadKind::of(group, &raw.kind) else {
        return wrong(
            "",
            format!(
                "Invalid value: {} {}: use an apps/v1 Deployment, an apps/v1 ReplicaSet or a v1 PodTemplate",
                raw.api_version, raw.kind
            ),
        );
    };
    let scale_down = match raw.scale_down.as_str() {
        "" | "never" => ScaleDown::Never,
        "onsuccess" => ScaleDown::OnSuccess,
        "progressively" => ScaleDown::Progressively,
        other => {
            return wrong(
                ".scaleDown",
                format!("Unsupported value: \"{other}\": use never, onsuccess or progressively"),
            );
        }
    };
    if !is_empty(&spec.template) {
        return Err(FieldError::new(
            "spec.template",
            "Internal error: template must be empty for workload reference rollout",
        ));
    }
    Ok(Some(WorkloadRef {
        kind,
        name: raw.name,
        scale_down,
    }))
}

/// An empty template, as typed clients write one: no labels and no containers.
fn is_empty(template: &Value) -> bool {
    let member = |path: &str| {
        let value = template.pointer(path);
        value.is_some_and(|value| !value.is_null() && *value != json!([]) && *value != json!({}))
    };
    !member("/spec/containers") && !member("/metadata/labels")
}

/// The reference of a Rollout as far as it can be read; for indexes and watches.
pub(super) fn named_by(root: &Rollout) -> Option<(WorkloadKind, String)> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Spec {
        workload_ref: Option<RawReference>,
    }
    let text = root.spec.as_ref()?.get();
    if !text.contains("workloadRef") {
        return None;
    }
    let spec: Spec = serde_json::from_str(text).ok()?;
    let raw = spec.workload_ref?;
    let group = raw
        .api_version
        .rsplit_once('/')
        .map_or("", |(group, _)| group);
    Some((WorkloadKind::of(group, &raw.kind)?, raw.name))
}

/// The tag of Rollouts that refer to a workload.
pub(super) fn workload_tag(kind: WorkloadKind, namespace: &str, name: &str) -> String {
    format!("workload-{}/{namespace}/{name}", kind.name())
}

/// Puts the template, and the selector where there is none, into a spec that refers to a workload.
pub(super) fn resolve(
    workloads: &Workloads,
    namespace: &str,
    spec: &mut RolloutSpec,
) -> Result<Option<ResolvedWorkload>, FieldError> {
    let Some(reference) = reference(spec)? else {
        return Ok(None);
    };
    let key = ObjectKey::new(namespace, &reference.name);
    let Some(workload) = workloads.of(reference.kind).get(&key) else {
        let (kind, name) = (reference.kind.name(), &reference.name);
        return Err(FieldError::new(
            format!("{AT}.name"),
            format!("Invalid value: \"{name}\": {kind} \"{name}\" not found"),
        ));
    };
    fill(spec, &workload);
    Ok(Some(ResolvedWorkload {
        reference,
        workload,
    }))
}

fn fill(spec: &mut RolloutSpec, workload: &Workload) {
    spec.template = workload.template.clone();
    if spec.selector.is_none() {
        spec.selector.clone_from(&workload.selector);
    }
    spec.workload_ref = None;
}

/// A spec that refers to a workload, with a template that stands for any other: for what does not depend on it.
pub(super) fn assume(mut spec: RolloutSpec) -> RolloutSpec {
    if spec.workload_ref.is_some() {
        let workload = assumed(spec.selector.as_ref());
        fill(&mut spec, &workload);
    }
    spec
}

/// A workload of which only is known that somebody refers to it.
pub(super) fn assumed(selector: Option<&LabelSelector>) -> Workload {
    let selector = selector.cloned().unwrap_or_else(|| LabelSelector {
        match_labels: [("app".to_owned(), "assumed".to_owned())].into(),
        ..LabelSelector::default()
    });
    Workload {
        template: json!({
            "metadata": {"labels": selector.match_labels},
            "spec": {"containers": [{"name": "assumed", "image": "assumed"}]},
        }),
        selector: Some(selector),
        ..Workload::default()
    }
}
