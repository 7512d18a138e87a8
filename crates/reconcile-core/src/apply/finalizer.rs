//! Finalizers, added and removed without touching those of others.

use kube::{
    Client,
    api::{ApiResource, DynamicObject},
};
use serde_json::json;

use super::{ApplyError, merge_patch};
use crate::object::ObjectKey;

/// Which finalizer to add or remove, and what the object was when that was decided.
#[derive(Clone, Copy, Debug)]
pub struct FinalizerChange<'a> {
    /// The finalizer.
    pub finalizer: &'a str,
    /// All finalizers of the object.
    pub present: &'a [String],
    /// The resourceVersion that `present` was read at. It guards the write; a conflict means: read again.
    pub version: &'a str,
    /// The field manager.
    pub manager: &'a str,
}

/// Adds a finalizer to an object.
pub async fn add_finalizer(
    client: &Client,
    resource: &ApiResource,
    key: &ObjectKey,
    change: &FinalizerChange<'_>,
) -> Result<DynamicObject, ApplyError> {
    let mut wanted = change.present.to_vec();
    if !wanted.iter().any(|name| name == change.finalizer) {
        wanted.push(change.finalizer.to_owned());
    }
    write(client, resource, key, &wanted, change).await
}

/// Removes a finalizer from an object. `None` when the object is gone already.
pub async fn remove_finalizer(
    client: &Client,
    resource: &ApiResource,
    key: &ObjectKey,
    change: &FinalizerChange<'_>,
) -> Result<Option<DynamicObject>, ApplyError> {
    let mut wanted = change.present.to_vec();
    wanted.retain(|name| name != change.finalizer);
    match write(client, resource, key, &wanted, change).await {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.code() == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn write(
    client: &Client,
    resource: &ApiResource,
    key: &ObjectKey,
    wanted: &[String],
    change: &FinalizerChange<'_>,
) -> Result<DynamicObject, ApplyError> {
    let patch = json!({ "metadata": { "finalizers": wanted, "resourceVersion": change.version } });
    merge_patch(client, resource, key, &patch, change.manager).await
}
