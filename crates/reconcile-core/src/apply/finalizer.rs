//! Finalizers, added and removed without touching those of others.

use kube::{
    Client,
    api::{ApiResource, DynamicObject},
};
use serde_json::json;

use super::{ApplyError, merge_patch};
use crate::object::ObjectKey;

/// Adds `finalizer` to an object whose finalizers are `present`. The write is guarded by
/// `version`, the resourceVersion that `present` was read at; a conflict means: read again.
pub async fn add_finalizer(
    client: &Client,
    resource: &ApiResource,
    key: &ObjectKey,
    present: &[String],
    version: &str,
    finalizer: &str,
    manager: &str,
) -> Result<DynamicObject, ApplyError> {
    let mut wanted = present.to_vec();
    if !wanted.iter().any(|name| name == finalizer) {
        wanted.push(finalizer.to_owned());
    }
    let patch = json!({ "metadata": { "finalizers": wanted, "resourceVersion": version } });
    merge_patch(client, resource, key, &patch, manager).await
}

/// Removes `finalizer`; guarded as [`add_finalizer`]. `None` when the object is gone already.
pub async fn remove_finalizer(
    client: &Client,
    resource: &ApiResource,
    key: &ObjectKey,
    present: &[String],
    version: &str,
    finalizer: &str,
    manager: &str,
) -> Result<Option<DynamicObject>, ApplyError> {
    let wanted: Vec<&String> = present.iter().filter(|name| *name != finalizer).collect();
    let patch = json!({ "metadata": { "finalizers": wanted, "resourceVersion": version } });
    match merge_patch(client, resource, key, &patch, manager).await {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.code() == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}
