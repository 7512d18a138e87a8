//! Decisions and reports of a pass, without any API server.
#![expect(
    clippy::needless_pass_by_value,
    reason = "json!() literals read better in place"
)]

mod decisions;
mod reports;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;
use reconcile_core::object::ObjectKey;
use serde_json::{Value, json};

use super::*;
use crate::{
    api::{ApplicationSpec, ApplicationStatus, Operation, Revisions},
    clusters::{Destination, Live, ResourceId},
    diff::WebhookChanges,
    health::Checks,
    render::{Placement, Scope, TargetSet, build},
};

pub(super) const COMMIT: &str = "1111111111111111111111111111111111111111";

pub(super) fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

/// Targets: ConfigMaps of these names.
pub(super) fn set(names: &[&str]) -> Arc<TargetSet> {
    manifests(
        names
            .iter()
            .map(
                |name| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}),
            )
            .collect(),
    )
}

pub(super) fn manifests(manifests: Vec<Value>) -> Arc<TargetSet> {
    let placement = Placement {
        instance: "app".into(),
        namespace: "ns".into(),
        ..Placement::default()
    };
    Arc::new(build(manifests, &placement, |_, _| Scope::Namespaced))
}

pub(super) fn id(name: &str) -> ResourceId {
    ResourceId::new("", "ConfigMap", "ns", name)
}

/// A live ConfigMap of the application.
pub(super) fn live(name: &str) -> Arc<Live> {
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "ns", "uid": format!("uid-{name}"),
            "annotations": {"argocd.argoproj.io/tracking-id": format!("app:/ConfigMap:ns/{name}")}},
    });
    let object: kube::api::DynamicObject = serde_json::from_value(object).expect("an object");
    let resource = kube::api::ApiResource::erase::<k8s_openapi::api::core::v1::ConfigMap>(&());
    Arc::new(Live::of(&Checks::default(), &resource, &object))
}

/// An application with this spec beyond source and destination, compared with `git`.
pub(super) fn observed(policy: Value, git: &[&str], found: &[&str]) -> Observed {
    let spec: ApplicationSpec = serde_json::from_value(json!({
        "project": "default",
        "source": {"repoURL": "https://git/repo", "path": "app", "targetRevision": "main"},
        "destination": {"name": "in-cluster", "namespace": "ns"},
        "syncPolicy": policy,
    }))
    .expect("a spec");
    Observed {
        key: ObjectKey::new("argocd", "app"),
        instance: "app".into(),
        control_plane: "argocd".into(),
        spec,
        status: ApplicationStatus::default(),
        old_status: None,
        operation: None,
        deleting: false,
        finalizers: Vec::new(),
        skip: None,
        destination: Ok(Destination {
            server: "https://kubernetes.default.svc".into(),
            name: "in-cluster".into(),
            project: "".into(),
        }),
        turn: None,
        refresh: None,
        source: SourceState::Ready {
            revisions: Revisions::One(COMMIT.into()),
            set: set(git),
        },
        sync_source: None,
        live: found
            .iter()
            .map(|name| (id(name), live(name)))
            .collect::<HashMap<_, _>>(),
        live_complete: true,
        same: git
            .iter()
            .filter(|name| found.contains(name))
            .map(|name| id(name))
            .collect::<HashSet<_>>(),
        refused: BTreeMap::new(),
        unserved: HashSet::new(),
        problems: Vec::new(),
        create_namespace: false,
        namespace_refused: None,
        sync_user: Ok(None),
        handed_over: HashSet::new(),
        shared_definitions: BTreeMap::new(),
        windows: Vec::new(),
        webhook_changes: WebhookChanges::Ignore,
        deleted_at: None,
        approved_at: None,
        settle_until: None,
        hard_refresh: None,
        look_again: None,
    }
}

/// The same application after its status was written.
pub(super) fn with_status(mut observed: Observed, status: &Value) -> Observed {
    observed.status = serde_json::from_value(status.clone()).expect("a status");
    observed.old_status = serde_json::value::to_raw_value(status).ok();
    observed
}

#[expect(clippy::unnecessary_wraps, reason = "as the field has it")]
pub(super) fn operation(body: Value) -> Option<Result<Operation, InvalidOperation>> {
    Some(Ok(serde_json::from_value(body).expect("an operation")))
}
