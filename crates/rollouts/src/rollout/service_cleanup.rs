//! Gives Services back: a Service that a Rollout switched and that no Rollout names any more loses the
//! selector key and the annotation, so that it selects what its owner wrote.

use std::time::Duration;

use kube::Client;
use reconcile_core::{
    admin::Readiness,
    apply::{self, ApplyError},
    object::{ObjectKey, Root},
    reconcile::Queue,
    watch::Index,
};
use serde_json::json;
use tokio::sync::watch;

use super::{
    observe::{self, Sources},
    resources::{MANAGER, rollouts, services},
};
use crate::api::rollout::{HASH_LABEL, MANAGED_BY, Rollout};

/// Pause before a Service that could not be cleaned up is tried again.
const RETRY: Duration = Duration::from_secs(30);

/// What the task works with.
pub(super) struct ServiceCleanup {
    pub(super) client: Client,
    pub(super) sources: Sources,
    pub(super) queue: Queue,
    pub(super) readiness: Readiness,
    pub(super) leader: watch::Receiver<bool>,
}

impl ServiceCleanup {
    /// Looks at the queued Services, for ever.
    pub(super) async fn run(mut self) {
        // From half-filled indexes every Service would look forsaken.
        self.readiness.wait().await;
        while self.leader.wait_for(|leads| *leads).await.is_ok() {
            let key = self.queue.next().await;
            if let Err(error) = self.look_at(&key).await {
                tracing::warn!(service = %key, %error, "cannot remove the pod template hash from the Service; trying again");
                self.queue.add_after(key.clone(), RETRY);
            }
            self.queue.finish(&key);
        }
    }

    async fn look_at(&self, key: &ObjectKey) -> Result<(), ApplyError> {
        let Some(owner) = self
            .sources
            .services
            .get(key)
            .and_then(|view| view.managed_by.clone())
        else {
            return Ok(());
        };
        let owner = ObjectKey::new(&key.namespace, owner);
        let known = self.sources.roots.get(&owner);
        if known.is_some_and(|root| names(&root, key)) {
            return Ok(());
        }
        // The index holds the Rollouts of this instance only, so the API server has the last word.
        if let Some(object) = apply::get(&self.client, &rollouts(), &owner).await? {
            let root = serde_json::to_value(object)
                .ok()
                .and_then(|value| Root::from_value(&value).ok());
            if root.is_none_or(|root| names(&root, key)) {
                return Ok(());
            }
        }
        let Some(now) = apply::get(&self.client, &services(), key).await? else {
            return Ok(());
        };
        let managed_by = now.metadata.annotations.as_ref();
        if managed_by.and_then(|all| all.get(MANAGED_BY)) != Some(&owner.name) {
            return Ok(());
        }
        tracing::info!(service = %key, rollout = %owner, "no Rollout names the Service; removing the pod template hash from its selector");
        // Guarded: a Rollout may take the Service over at this moment.
        let body = json!({
            "metadata": {
                "resourceVersion": now.metadata.resource_version,
                "annotations": { MANAGED_BY: null },
            },
            "spec": { "selector": { HASH_LABEL: null } },
        });
        match apply::merge_patch(&self.client, &services(), key, &body, MANAGER).await {
            Err(error) if error.code() != Some(404) => Err(error),
            _ => Ok(()),
        }
    }
}

/// True when the Rollout names the Service, and when that is not known: traffic must not move because of
/// a typing mistake.
fn names(root: &Rollout, service: &ObjectKey) -> bool {
    let tag = observe::service_tag(&service.namespace, &service.name);
    observe::readable_references(root).is_none_or(|tags| tags.contains(&tag))
}

/// Queues the Services that a Rollout switched, when it changed or went.
pub(super) fn queue_services_of(
    queue: &Queue,
    services: &Index<super::observed::ServiceView>,
    rollout: &ObjectKey,
) {
    services.each(|key, view| {
        if key.namespace == rollout.namespace && view.managed_by.as_ref() == Some(&rollout.name) {
            queue.add(key.clone());
        }
    });
}
