//! ReplicaSets and Services: decoded on arrival into the few fields that are needed.

use std::collections::BTreeMap;

use reconcile_core::{
    kube_types::names::fnv1a_32,
    object::{Kind, Root},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    injected,
    observed::{ReplicaSetView, ServiceView},
    plan::hash::template_digest,
};
use crate::{
    analysis::OwnerView,
    api::rollout::{
        DESIRED_REPLICAS, HASH_LABEL, MANAGED_BY, REVISION, REVISION_HISTORY, SCALE_DOWN_DEADLINE,
    },
};

/// Names of the kind `ReplicaSet`.
#[derive(Debug)]
pub(crate) struct ReplicaSetKind;

impl Kind for ReplicaSetKind {
    const GROUP: &'static str = "apps";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "ReplicaSet";
    const PLURAL: &'static str = "replicasets";
    type Scope = kube::core::NamespaceResourceScope;
    type Spec = ReplicaSetSpec;
    type Status = ReplicaSetStatus;
}

/// What is read of `ReplicaSet.spec`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ReplicaSetSpec {
    replicas: Option<i32>,
    min_ready_seconds: i32,
    template: Value,
}

/// What is read of `ReplicaSet.status`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ReplicaSetStatus {
    replicas: i32,
    ready_replicas: i32,
    available_replicas: i32,
    observed_generation: Option<i64>,
    conditions: Vec<ReplicaSetCondition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ReplicaSetCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    reason: String,
    message: String,
}

/// Names of the kind `Service`.
#[derive(Debug)]
pub(crate) struct ServiceKind;

impl Kind for ServiceKind {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Service";
    const PLURAL: &'static str = "services";
    type Scope = kube::core::NamespaceResourceScope;
    type Spec = ServiceSpec;
    type Status = Value;
}

/// What is read of `Service.spec`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ServiceSpec {
    selector: BTreeMap<String, String>,
}

/// The view of a ReplicaSet; none when it does not have the form of one.
pub(crate) fn replica_set_view(root: &Root<ReplicaSetKind>) -> Option<ReplicaSetView> {
    let (mut spec, status) = (root.parse_spec().ok()?, root.parse_status().ok()?);
    let meta = &root.metadata;
    let labels = meta.labels.clone().unwrap_or_default();
    let owner = OwnerView::of(meta);
    let metadata = injected::metadata_of(root.annotation(injected::EPHEMERAL_METADATA));
    let avoids = injected::avoided_version(&spec.template);
    injected::strip(&mut spec.template, metadata.as_ref());
    let failure = status
        .conditions
        .into_iter()
        .find(|condition| condition.kind == "ReplicaFailure" && condition.status == "True");
    Some(ReplicaSetView {
        name: meta.name.clone().unwrap_or_default(),
        uid: root.uid().to_owned(),
        // Kept only where it guards an adoption: it changes with every write of anybody.
        version: match owner {
            Some(_) => String::new(),
            None => meta.resource_version.clone().unwrap_or_default(),
        },
        created: meta.creation_timestamp.as_ref().map(|time| time.0),
        hash: labels.get(HASH_LABEL).cloned().unwrap_or_default(),
        labels,
        owner,
        deleting: root.is_deleting(),
        revision: number(root, REVISION).unwrap_or_default(),
        revision_history: root
            .annotation(REVISION_HISTORY)
            .unwrap_or_default()
            .to_owned(),
        desired: number(root, DESIRED_REPLICAS),
        deadline: root
            .annotation(SCALE_DOWN_DEADLINE)
            .and_then(|text| text.parse().ok()),
        annotations: meta
            .annotations
            .iter()
            .flatten()
            .map(|(key, value)| annotation_digest(key, value))
            .collect(),
        template: template_digest(&spec.template),
        metadata,
        avoids,
        replicas: spec.replicas.unwrap_or(1),
        min_ready: spec.min_ready_seconds,
        current: status.replicas,
        ready: status.ready_replicas,
        available: status.available_replicas,
        // A status that nobody has written yet counts no pods, which is true.
        stale: status
            .observed_generation
            .is_some_and(|observed| observed < root.generation()),
        failure: failure.map(|condition| (condition.reason, condition.message)),
    })
}

/// Stands for an annotation and its value; the texts themselves may be long and are not needed.
pub(crate) fn annotation_digest(key: &str, value: &str) -> u32 {
    fnv1a_32(format!("{key}\0{value}").as_bytes())
}

fn number<N: std::str::FromStr>(root: &Root<ReplicaSetKind>, annotation: &str) -> Option<N> {
    root.annotation(annotation)?.parse().ok()
}

/// The view of a Service; none when it does not have the form of one.
pub(crate) fn service_view(root: &Root<ServiceKind>) -> Option<ServiceView> {
    let spec = root.parse_spec().ok()?;
    Some(ServiceView {
        hash: spec.selector.get(HASH_LABEL).cloned(),
        owner: OwnerView::of(&root.metadata).map(|owner| owner.uid),
        managed_by: root.annotation(MANAGED_BY).map(str::to_owned),
        selector: spec
            .selector
            .into_iter()
            .filter(|(key, _)| key != HASH_LABEL)
            .map(|(key, value)| (key.into(), value.into()))
            .collect(),
    })
}
