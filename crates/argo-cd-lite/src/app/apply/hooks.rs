//! Hooks that have ended, and objects that go.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{DynamicObject, PropagationPolicy};
use reconcile_core::apply::{Deleted, FinalizerChange, create, delete, get, remove_finalizer};

use super::{
    super::{ObserveError, Observed, Place},
    object,
};
use crate::{
    api::{FIELD_MANAGER, HOOK_FINALIZER},
    clusters::{Live, ResourceId},
    sync::plan::HookObject,
};

/// Writes at the same time.
const WRITES: usize = 16;

/// An object after a write; `None` when it is gone.
type ObjectState = (ResourceId, Option<Arc<Live>>);

/// Takes the finalizer off hooks, and deletes those that are to go.
pub(super) async fn settle(
    at: Place<'_>,
    hooks: &[HookObject],
) -> Result<Vec<ObjectState>, ObserveError> {
    // By position: the compiler cannot prove a stream of references to be Send.
    stream::iter(0..hooks.len())
        .map(|index| settle_one(at, &hooks[index]))
        .buffer_unordered(WRITES)
        .try_collect()
        .await
}

async fn settle_one(at: Place<'_>, hook: &HookObject) -> Result<ObjectState, ObserveError> {
    let gone = || {
        at.cluster.live.deleted(&hook.id, &hook.uid);
        (hook.id.clone(), None)
    };
    let Some(served) = at.cluster.discovery.preferred(&hook.id.kind) else {
        return Ok(gone());
    };
    let key = hook.id.key();
    if hook.finalizer {
        let Some(object) = get(at.client, &served.resource, &key).await? else {
            return Ok(gone());
        };
        if object.metadata.uid.as_deref() != Some(hook.uid.as_str()) {
            return Ok((
                hook.id.clone(),
                at.cluster.live.written(&hook.id.kind, &object),
            ));
        }
        let present = object.metadata.finalizers.clone().unwrap_or_default();
        let version = object.metadata.resource_version.clone().unwrap_or_default();
        let being_deleted = object.metadata.deletion_timestamp.is_some();
        if present.iter().any(|name| name == HOOK_FINALIZER) {
            let change = FinalizerChange {
                finalizer: HOOK_FINALIZER,
                present: &present,
                version: &version,
                manager: FIELD_MANAGER,
            };
            let written = remove_finalizer(at.client, &served.resource, &key, &change).await?;
            match written {
                None => return Ok(gone()),
                Some(_) if being_deleted && present.len() == 1 => return Ok(gone()),
                Some(object) => drop(at.cluster.live.written(&hook.id.kind, &object)),
            }
        }
    }
    if hook.delete {
        // Background: the next hook of this name has another uid, so old dependents are no trouble.
        let deleted = delete(
            at.client,
            &served.resource,
            &key,
            Some(&hook.uid),
            PropagationPolicy::Background,
        )
        .await?;
        if deleted == Deleted::Gone {
            return Ok(gone());
        }
    }
    Ok((hook.id.clone(), at.cluster.live.get(&hook.id)))
}

/// Creates hooks that run at the deletion of an application, with the mark of this deletion.
pub(super) async fn create_all(
    at: Place<'_>,
    observed: &Observed,
    hooks: &[(usize, ResourceId)],
    deletion: &str,
) -> Result<Vec<ObjectState>, ObserveError> {
    let mut created = Vec::new();
    let Some((_, set)) = observed.source.ready() else {
        return Ok(created);
    };
    for (index, id) in hooks {
        let target = &set.targets[*index];
        let kind = &id.kind;
        let mut served = at.cluster.discovery.version(kind, &target.version);
        if served.is_none() {
            at.cluster.discovery.refresh().await?;
            served = at.cluster.discovery.version(kind, &target.version);
        }
        let served = served.ok_or_else(|| ObserveError::Unserved(id.clone()))?;
        let mut manifest = target.value();
        object::name_hook(&mut manifest, id, deletion);
        let object: DynamicObject = serde_json::from_value(manifest)
            .unwrap_or_else(|_| DynamicObject::new(&id.name, &served.resource));
        let (client, resource) = (at.client, &served.resource);
        let object = create(client, resource, &id.key(), &object, FIELD_MANAGER).await?;
        created.push((id.clone(), at.cluster.live.written(kind, &object)));
    }
    Ok(created)
}

/// Deletes objects of an application that is being deleted.
pub(super) async fn delete_all(
    at: Place<'_>,
    objects: &[(ResourceId, String)],
    foreground: bool,
) -> Result<Vec<ObjectState>, ObserveError> {
    let propagation = || {
        if foreground {
            PropagationPolicy::Foreground
        } else {
            PropagationPolicy::Background
        }
    };
    stream::iter(0..objects.len())
        .map(|index| delete_one(at, &objects[index].0, &objects[index].1, propagation()))
        .buffer_unordered(WRITES)
        .try_collect()
        .await
}

async fn delete_one(
    at: Place<'_>,
    id: &ResourceId,
    uid: &str,
    propagation: PropagationPolicy,
) -> Result<ObjectState, ObserveError> {
    let Some(served) = at.cluster.discovery.preferred(&id.kind) else {
        return Ok((id.clone(), None));
    };
    match delete(
        at.client,
        &served.resource,
        &id.key(),
        Some(uid),
        propagation,
    )
    .await
    {
        Ok(Deleted::Gone) => {
            at.cluster.live.deleted(id, uid);
            Ok((id.clone(), None))
        }
        Ok(Deleted::Pending) => Ok((id.clone(), at.cluster.live.get(id))),
        // Another object of that name has taken its place.
        Err(error) if error.code() == Some(409) => Ok((id.clone(), at.cluster.live.get(id))),
        Err(error) => Err(error.into()),
    }
}
