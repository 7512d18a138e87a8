//! Creates, changes, adopts and deletes ReplicaSets.

use kube::api::{DynamicObject, PropagationPolicy};
use reconcile_core::{
    apply::{self, ApplyError},
    object::{ObjectKey, Root},
};
use serde_json::json;

use crate::rollout::{
    effects::{Applied, Effects},
    error::RolloutError,
    kinds::{ReplicaSetKind, replica_set_view},
    observed::Observed,
    plan::NewReplicaSet,
    replica_set,
    resources::{MANAGER, replica_sets, rollouts},
};

impl Effects {
    /// Reads the Rollout once more; stale when it is deleted or being deleted, which the pass may not have seen yet.
    pub(in crate::rollout) async fn confirm_rollout(
        &self,
        observed: &Observed,
    ) -> Result<(), RolloutError> {
        let now = apply::get(&self.client, &rollouts(), &observed.root.key()).await?;
        let stays = now.is_some_and(|now| {
            now.metadata.uid.as_deref() == Some(observed.root.uid())
                && now.metadata.deletion_timestamp.is_none()
        });
        if stays {
            Ok(())
        } else {
            Err(RolloutError::Stale)
        }
    }

    /// Adopts a ReplicaSet. The Rollout is read once more before. `kubectl delete --cascade=orphan` makes its
    /// ReplicaSets orphans, and the event of that may arrive before the deletion of the Rollout; adopted then,
    /// they would be deleted with it.
    pub(super) async fn adopt(
        &self,
        observed: &Observed,
        key: &ObjectKey,
        version: &str,
    ) -> Result<(), RolloutError> {
        self.confirm_rollout(observed).await?;
        let Some(set) = apply::get(&self.client, &replica_sets(), key).await? else {
            return Err(RolloutError::Stale);
        };
        let own = observed.root.controller_reference();
        let mut owners = set.metadata.owner_references.unwrap_or_default();
        let controlled = owners
            .iter()
            .any(|owner| owner.controller == Some(true) && owner.uid != own.uid);
        if controlled || set.metadata.resource_version.as_deref() != Some(version) {
            return Err(RolloutError::Stale);
        }
        owners.retain(|owner| owner.uid != own.uid);
        owners.push(own);
        let body = json!({ "metadata": { "resourceVersion": version, "ownerReferences": owners } });
        Ok(self.patch_replica_set(key, &body).await?)
    }

    /// Removes the owner reference of the Rollout from a ReplicaSet; other owners stay.
    pub(super) async fn release(
        &self,
        observed: &Observed,
        key: &ObjectKey,
        uid: &str,
    ) -> Result<(), RolloutError> {
        let set = apply::get(&self.client, &replica_sets(), key).await?;
        let Some(set) = set.filter(|set| set.metadata.uid.as_deref() == Some(uid)) else {
            return Err(RolloutError::Stale);
        };
        let mut owners = set.metadata.owner_references.unwrap_or_default();
        owners.retain(|owner| owner.uid != observed.root.uid());
        let body = json!({ "metadata": {
            "uid": uid,
            "resourceVersion": set.metadata.resource_version,
            "ownerReferences": owners,
        } });
        Ok(self.patch_replica_set(key, &body).await?)
    }

    /// Creates a ReplicaSet. One that was there before may be gone because the Rollout is: its deletion may be seen
    /// after those of its ReplicaSets, so the Rollout is read once more before it gets pods again.
    pub(super) async fn create(
        &self,
        observed: &Observed,
        set: &NewReplicaSet,
    ) -> Result<Applied, RolloutError> {
        if observed.status.current_pod_hash == set.hash {
            self.confirm_rollout(observed).await?;
        }
        let key = ObjectKey::new(
            observed.root.metadata.namespace.clone().unwrap_or_default(),
            &set.name,
        );
        let bug = |error: serde_json::Error| RolloutError::Bug(error.to_string());
        let object: DynamicObject =
            serde_json::from_value(replica_set::new_set(observed, set)).map_err(bug)?;
        match apply::create(&self.client, &replica_sets(), &key, &object, MANAGER).await {
            Ok(object) => {
                self.remember_replica_set(object);
                Ok(Applied::Done)
            }
            Err(error) if error.code() == Some(409) => self.found(observed, &key, error).await,
            Err(source) => Err(RolloutError::CreateReplicaSet {
                name: set.name.clone(),
                source: Box::new(source),
            }),
        }
    }

    /// The name is taken: by an earlier attempt of ours, whose answer was lost, or by somebody else. Ours
    /// is known by its owner; its template need not be the one that was sent, see `plan::revision`.
    async fn found(
        &self,
        observed: &Observed,
        key: &ObjectKey,
        error: ApplyError,
    ) -> Result<Applied, RolloutError> {
        let existing = apply::get(&self.client, &replica_sets(), key).await?;
        let root = existing
            .and_then(|object| serde_json::to_value(object).ok())
            .and_then(|value| Root::<ReplicaSetKind>::from_value(&value).ok());
        let Some((root, view)) =
            root.and_then(|root| replica_set_view(&root).map(|view| (root, view)))
        else {
            return Err(error.into());
        };
        let ours = view
            .owner
            .as_ref()
            .is_some_and(|owner| owner.uid == observed.root.uid());
        drop(self.sources.replica_sets.written(&root.metadata, view));
        Ok(if ours {
            Applied::Done
        } else {
            Applied::Collision
        })
    }

    pub(super) async fn delete_replica_set(
        &self,
        key: &ObjectKey,
        uid: &str,
    ) -> Result<(), ApplyError> {
        let gone = apply::delete(
            &self.client,
            &replica_sets(),
            key,
            Some(uid),
            PropagationPolicy::Background,
        )
        .await?;
        if gone == apply::Deleted::Gone {
            drop(self.sources.replica_sets.deleted(key, uid));
        }
        Ok(())
    }
}
