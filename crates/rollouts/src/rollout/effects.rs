//! What actions are carried out with. The answer of a write goes into the index, so that the next pass sees it.

use kube::{Client, api::DynamicObject};
use reconcile_core::{
    apply::{self, ApplyError},
    object::{Kind, ObjectKey, Root},
};
use serde_json::Value;

use super::{
    kinds::{ReplicaSetKind, ServiceKind, replica_set_view, service_view},
    observe::Sources,
    resources::{MANAGER, replica_sets},
    traffic::Aws,
};
use crate::api::rollout::RunStatus;

/// What an action brought.
#[derive(Clone, Debug)]
pub enum Applied {
    /// It is done.
    Done,
    /// A `PodDisruptionBudget` holds the eviction back.
    Held,
    /// The name of the new ReplicaSet is taken by another one.
    Collision,
    /// The AnalysisRun that was started.
    Started(RunStatus),
    /// The Experiment that was created; its name.
    Experimenting(String),
}

/// Carries out actions. Cloning shares client and indexes.
#[derive(Clone)]
pub struct Effects {
    /// The fenced client.
    pub client: Client,
    /// The indexes.
    pub sources: Sources,
    /// `--instance-id`.
    pub instance_id: String,
    /// Load balancers of AWS, where the controller may ask about them.
    pub(crate) aws: Option<Aws>,
}

impl Effects {
    pub(crate) async fn patch_replica_set(
        &self,
        key: &ObjectKey,
        body: &Value,
    ) -> Result<(), ApplyError> {
        let object = apply::merge_patch(&self.client, &replica_sets(), key, body, MANAGER).await?;
        self.remember_replica_set(object);
        Ok(())
    }

    /// Takes the answer of a write of a ReplicaSet or Service.
    pub(crate) fn remember(&self, object: DynamicObject) {
        let kind = object.types.as_ref().map(|types| types.kind.as_str());
        if kind == Some(ServiceKind::KIND) {
            self.remember_service(object);
        } else {
            self.remember_replica_set(object);
        }
    }

    pub(super) fn remember_service(&self, object: DynamicObject) {
        let root = serde_json::to_value(object)
            .ok()
            .and_then(|value| Root::<ServiceKind>::from_value(&value).ok());
        if let Some(root) = root
            && let Some(view) = service_view(&root)
        {
            drop(self.sources.services.written(&root.metadata, view));
        }
    }

    pub(super) fn remember_replica_set(&self, object: DynamicObject) {
        let root = serde_json::to_value(object)
            .ok()
            .and_then(|value| Root::<ReplicaSetKind>::from_value(&value).ok());
        if let Some(root) = root
            && let Some(view) = replica_set_view(&root)
        {
            drop(self.sources.replica_sets.written(&root.metadata, view));
        }
    }
}
