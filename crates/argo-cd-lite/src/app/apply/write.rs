//! The ways in which an object is written.

use std::time::Duration;

use kube::api::{DynamicObject, PatchParams, PropagationPolicy};
use reconcile_core::{
    apply::{self, ApplyError, Deleted, apply_with, create, delete, get, merge_patch},
    object::ObjectKey,
};
use serde_json::{Value, json};

use super::super::Place;
use crate::{
    api::FIELD_MANAGER,
    clusters::Served,
    diff::{client_side_patch, take_over, with_last_applied},
    sync::plan::Task,
};

/// Time that a forced replacement waits for the old object to go.
const GONE: Duration = Duration::from_secs(30);
/// Pause between two looks while waiting.
pub(super) const LOOK: Duration = Duration::from_millis(100);

/// One object that a task writes.
pub(super) struct ObjectWrite<'a> {
    pub(super) at: Place<'a>,
    pub(super) task: &'a Task,
    pub(super) served: &'a Served,
    pub(super) manifest: &'a Value,
    pub(super) params: PatchParams,
}

impl ObjectWrite<'_> {
    fn key(&self) -> ObjectKey {
        self.task.id.key()
    }

    /// Server-side apply.
    pub(super) async fn apply(&self) -> Result<DynamicObject, ApplyError> {
        let (client, resource) = (self.at.client, &self.served.resource);
        apply_with(client, resource, &self.key(), self.manifest, &self.params).await
    }

    /// Applies; then, when the object still has fields that client-side apply wrote for us, takes them over
    /// and applies again, so that what is not wanted any more goes.
    pub(super) async fn apply_and_take_over(&self) -> Result<DynamicObject, ApplyError> {
        let object = self.apply().await?;
        let managers = serde_json::to_value(&object)
            .ok()
            .as_ref()
            .and_then(take_over);
        let Some(managers) = managers else {
            return Ok(object);
        };
        let patch = json!({ "metadata": {
            "managedFields": managers,
            "resourceVersion": object.metadata.resource_version,
            "annotations": { "kubectl.kubernetes.io/last-applied-configuration": Value::Null },
        } });
        tracing::info!(object = %self.task.id, "taking over fields of client-side apply");
        let (client, resource) = (self.at.client, &self.served.resource);
        match merge_patch(client, resource, &self.key(), &patch, FIELD_MANAGER).await {
            // Somebody else writes to it at the same time; the next sync takes over.
            Err(error) if error.code() == Some(409) => return Ok(object),
            other => drop(other?),
        }
        self.apply().await
    }

    /// Applies as kubectl does without server-side apply.
    pub(super) async fn apply_client_side(&self) -> Result<DynamicObject, ApplyError> {
        let (client, resource, key) = (self.at.client, &self.served.resource, self.key());
        let Some(current) = get(client, resource, &key).await? else {
            let whole = with_last_applied(self.manifest);
            let object = serde_json::from_value(whole)
                .unwrap_or_else(|_| DynamicObject::new(&key.name, resource));
            return create(client, resource, &key, &object, FIELD_MANAGER).await;
        };
        let live = serde_json::to_value(&current).unwrap_or(Value::Null);
        match client_side_patch(self.manifest, &live) {
            Some(patch) => merge_patch(client, resource, &key, &patch, FIELD_MANAGER).await,
            None => Ok(current),
        }
    }

    /// `Replace`: the whole object becomes what Git says.
    pub(super) async fn replace(
        &self,
        current: Option<&DynamicObject>,
    ) -> Result<DynamicObject, ApplyError> {
        let Some(current) = current else {
            // It went since it was observed, or was never there.
            return self.create().await;
        };
        let mut whole = self.manifest.clone();
        if let Some(metadata) = whole.get_mut("metadata") {
            metadata["resourceVersion"] = json!(current.metadata.resource_version);
        }
        let (client, resource) = (self.at.client, &self.served.resource);
        apply::replace(client, resource, &self.key(), &whole, FIELD_MANAGER).await
    }

    /// `Replace` with `Force`: the object is deleted first. Definitions and namespaces are replaced in place, because
    /// their objects would go with them.
    pub(super) async fn create_again(&self) -> Result<DynamicObject, ApplyError> {
        let (client, resource, key) = (self.at.client, &self.served.resource, self.key());
        let id = &self.task.id;
        if matches!(
            id.kind.kind.as_ref(),
            "CustomResourceDefinition" | "Namespace"
        ) {
            let current = get(client, resource, &key).await?;
            return self.replace(current.as_ref()).await;
        }
        if let Some(live) = &self.task.live {
            let foreground = PropagationPolicy::Foreground;
            let deleted = delete(client, resource, &key, Some(&live.uid), foreground).await?;
            if deleted == Deleted::Pending {
                self.await_gone(&live.uid).await?;
            }
            self.at.cluster.live.deleted(id, &live.uid);
        }
        self.create().await
    }

    async fn create(&self) -> Result<DynamicObject, ApplyError> {
        let (client, resource, key) = (self.at.client, &self.served.resource, self.key());
        let object: DynamicObject = serde_json::from_value(self.manifest.clone())
            .unwrap_or_else(|_| DynamicObject::new(&key.name, resource));
        create(client, resource, &key, &object, FIELD_MANAGER).await
    }

    async fn await_gone(&self, uid: &str) -> Result<(), ApplyError> {
        let (client, resource, key) = (self.at.client, &self.served.resource, self.key());
        let looks = GONE.as_millis() / LOOK.as_millis();
        for _ in 0..looks {
            match get(client, resource, &key).await? {
                Some(object) if object.metadata.uid.as_deref() == Some(uid) => {
                    tokio::time::sleep(LOOK).await;
                }
                _ => return Ok(()),
            }
        }
        Ok(())
    }
}
