//! Reads, watches and scales workloads that Rollouts refer to.

use std::sync::Arc;

use kube::{Api, api::DynamicObject};
use reconcile_core::{
    apply::{self, ApplyError},
    object::ObjectKey,
    operator::Operator,
    reconcile::Queue,
    watch::{Guarded, Index, Watch},
};
use serde_json::json;
use tokio::sync::Notify;

use super::{
    config::RolloutConfig,
    effects::Effects,
    error::RolloutError,
    observe::Sources,
    plan::WorkloadScale,
    resources::MANAGER,
    workload::{Workload, WorkloadKind, named_by, workload_tag},
};
use crate::api::rollout::Rollout;

impl Effects {
    /// Reads the workload of a Rollout when it is not known yet: its watch keeps what a Rollout refers to, and the
    /// Rollout may be younger than the last event.
    pub(super) async fn read_workload(&self, root: &Rollout) -> Result<(), RolloutError> {
        let Some((kind, name)) = named_by(root) else {
            return Ok(());
        };
        let key = ObjectKey::new(&root.key().namespace, &name);
        let workloads = &self.sources.workloads;
        if root.is_deleting() || workloads.of(kind).get(&key).is_some() {
            return Ok(());
        }
        if let Some(object) = apply::get(&self.client, &kind.resource(), &key).await? {
            workloads.remember(kind, &object);
        }
        Ok(())
    }

    /// Scales the workload of a Rollout.
    pub(super) async fn scale_workload(
        &self,
        namespace: &str,
        scale: &WorkloadScale,
    ) -> Result<(), ApplyError> {
        let key = ObjectKey::new(namespace, &scale.name);
        let body = json!({"metadata": {"uid": scale.uid}, "spec": {"replicas": scale.to}});
        let kind = WorkloadKind::Deployment;
        let object =
            apply::merge_patch(&self.client, &kind.resource(), &key, &body, MANAGER).await?;
        self.sources.workloads.remember(kind, &object);
        Ok(())
    }
}

/// Watches each kind of workload from the moment on that a Rollout refers to one.
pub(super) fn watch(operator: &Operator, config: &RolloutConfig, sources: &Sources, queue: &Queue) {
    for (kind, name) in [
        (WorkloadKind::Deployment, "watch of deployments"),
        (WorkloadKind::ReplicaSet, "watch of referenced replicasets"),
        (WorkloadKind::PodTemplate, "watch of podtemplates"),
    ] {
        let needed = Arc::new(Notify::new());
        let begin = needed.clone();
        sources.roots.on_change(move |change| {
            let named = change.new.as_ref().and_then(|root| named_by(root));
            if named.is_some_and(|(named, _)| named == kind) {
                begin.notify_one();
            }
        });
        let watch = watch_of(operator, config, sources, queue, kind);
        operator.spawn(name, async move {
            needed.notified().await;
            watch.run().await;
        });
    }
}

fn watch_of(
    operator: &Operator,
    config: &RolloutConfig,
    sources: &Sources,
    queue: &Queue,
    kind: WorkloadKind,
) -> Watch<DynamicObject, Workload> {
    let resource = kind.resource();
    let client = operator.client.clone();
    let api: Api<Guarded<DynamicObject>> = match &config.namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    };
    let users = sources.roots.clone();
    let convert = move |object: DynamicObject| {
        let key = ObjectKey::of(&object);
        let is_used = !users_of(&users, kind, &key).is_empty();
        is_used.then(|| Workload::of(kind, &object))
    };
    let (queue, roots) = (queue.clone(), sources.roots.clone());
    let index = sources.workloads.of(kind).clone();
    Watch::named(resource.plural.clone(), api, index, convert).on_change(move |change| {
        for key in users_of(&roots, kind, &change.key) {
            queue.add(key);
        }
    })
}

fn users_of(roots: &Index<Rollout>, kind: WorkloadKind, key: &ObjectKey) -> Vec<ObjectKey> {
    let tag = workload_tag(kind, &key.namespace, &key.name);
    let users = roots.tagged(&tag).into_iter();
    users.map(|(key, _)| key).collect()
}
