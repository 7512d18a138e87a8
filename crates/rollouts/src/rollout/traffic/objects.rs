//! Route objects of one kind: reads that check what a router relies on, and writes that do not undo what others
//! wrote since.

use kube::api::{ApiResource, DynamicObject, PropagationPolicy};
use reconcile_core::{
    apply,
    object::{FieldError, ObjectKey},
};
use serde_json::{Value, json};

use super::router::{RouteContext, RouterError};
use crate::rollout::resources::MANAGER;

/// The objects of a kind in the namespace of the Rollout.
pub(super) struct RouteObjects<'a> {
    /// Path of the router's configuration, for errors.
    pub(super) at: &'a str,
    /// The kind.
    pub(super) resource: ApiResource,
    /// The Rollout.
    pub(super) context: &'a RouteContext<'a>,
}

impl RouteObjects<'_> {
    /// An object that the manifest names.
    pub(super) async fn named(
        &self,
        name: &str,
    ) -> Result<(ObjectKey, DynamicObject), RouterError> {
        let key = self.key(name);
        let found = apply::get(self.context.client, &self.resource, &key).await?;
        let object = found.ok_or_else(|| not_found(self.at, &self.resource.kind, name))?;
        Ok((key, object))
    }

    /// An object that the router creates; one of somebody else is an error.
    pub(super) async fn own(
        &self,
        name: &str,
    ) -> Result<(ObjectKey, Option<DynamicObject>), RouterError> {
        let key = self.key(name);
        let found = apply::get(self.context.client, &self.resource, &key).await?;
        if let Some(object) = &found
            && !is_owned(object, self.context)
        {
            let what = "exists and belongs to somebody else";
            return Err(unfit(self.at, &self.resource.kind, name, what).into());
        }
        Ok((key, found))
    }

    /// Creates an object that goes with the Rollout.
    pub(super) async fn create(&self, key: &ObjectKey, spec: &Value) -> Result<(), RouterError> {
        let mut object = DynamicObject::new(&key.name, &self.resource).within(&key.namespace);
        object.metadata.owner_references = Some(vec![self.context.owner.clone()]);
        object.data = json!({ "spec": spec });
        apply::create(self.context.client, &self.resource, key, &object, MANAGER).await?;
        Ok(())
    }

    /// Writes `spec` over that of `found`, unless somebody changed the object since it was read.
    pub(super) async fn patch_spec(
        &self,
        key: &ObjectKey,
        found: &DynamicObject,
        spec: Value,
    ) -> Result<(), RouterError> {
        let body = json!({
            "metadata": { "resourceVersion": found.metadata.resource_version },
            "spec": spec,
        });
        self.patch(key, &body).await
    }

    /// Writes a patch, which names the version that was read.
    pub(super) async fn patch(&self, key: &ObjectKey, body: &Value) -> Result<(), RouterError> {
        apply::merge_patch(self.context.client, &self.resource, key, body, MANAGER).await?;
        Ok(())
    }

    /// Deletes `found`, unless another object has taken its name.
    pub(super) async fn delete(
        &self,
        key: &ObjectKey,
        found: &DynamicObject,
    ) -> Result<(), RouterError> {
        if let Some(uid) = &found.metadata.uid {
            let how = PropagationPolicy::Background;
            apply::delete(self.context.client, &self.resource, key, Some(uid), how).await?;
        }
        Ok(())
    }

    fn key(&self, name: &str) -> ObjectKey {
        ObjectKey::new(&self.context.rollout.namespace, name)
    }
}

/// The object belongs to the Rollout.
pub(super) fn is_owned(object: &DynamicObject, context: &RouteContext<'_>) -> bool {
    let mut owners = object.metadata.owner_references.iter().flatten();
    owners.any(|owner| owner.uid == context.owner.uid)
}

/// A route object that the manifest names is missing.
pub(super) fn not_found(at: &str, kind: &str, name: &str) -> FieldError {
    unfit(at, kind, name, "not found")
}

/// A route object does not fit the Rollout.
pub(super) fn unfit(at: &str, kind: &str, name: &str, what: &str) -> FieldError {
    FieldError::new(
        at,
        format!("Invalid value: \"{name}\": {kind} \"{name}\" {what}"),
    )
}
