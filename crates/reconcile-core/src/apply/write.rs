//! Create, server-side apply, merge patch and delete of any object.

use kube::{
    Api, Client,
    api::{
        ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
        Preconditions, PropagationPolicy,
    },
    core::GroupVersionKind,
};
use serde_json::Value;
use thiserror::Error;

use crate::{
    error::{Classify, ErrorClass, classify_kube, error_chain},
    object::ObjectKey,
};

/// A write or read that failed, with what it was for.
#[derive(Debug, Error)]
#[error("{verb} {kind} {key}: {reason}")]
pub struct ApplyError {
    /// The verb, for example `apply`.
    pub verb: &'static str,
    /// The kind.
    pub kind: String,
    /// The object.
    pub key: ObjectKey,
    /// The API server's message, or what went wrong on the way.
    pub reason: String,
    /// The client's error.
    #[source]
    pub source: kube::Error,
}

impl ApplyError {
    /// An error of `verb` on the object `key` of `kind`.
    pub fn new(verb: &'static str, kind: &str, key: &ObjectKey, source: kube::Error) -> Self {
        Self {
            verb,
            kind: kind.to_owned(),
            key: key.clone(),
            reason: error_chain(&source),
            source,
        }
    }

    /// HTTP status code of the answer, when there was one.
    pub fn code(&self) -> Option<u16> {
        match &self.source {
            kube::Error::Api(status) => Some(status.code),
            _ => None,
        }
    }
}

impl Classify for ApplyError {
    fn class(&self) -> ErrorClass {
        classify_kube(&self.source)
    }
}

/// Names of a resource whose plural is known.
pub fn resource_of(gvk: &GroupVersionKind, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(gvk, plural)
}

fn api(client: &Client, resource: &ApiResource, key: &ObjectKey) -> Api<DynamicObject> {
    if key.namespace.is_empty() {
        Api::all_with(client.clone(), resource)
    } else {
        Api::namespaced_with(client.clone(), &key.namespace, resource)
    }
}

/// Reads an object; `None` when there is none.
pub async fn get(
    client: &Client,
    resource: &ApiResource,
    key: &ObjectKey,
) -> Result<Option<DynamicObject>, ApplyError> {
    api(client, resource, key)
        .get_opt(&key.name)
        .await
        .map_err(|error| ApplyError::new("get", &resource.kind, key, error))
}

/// Lists the objects of a namespace with these labels.
pub async fn list(
    client: &Client,
    resource: &ApiResource,
    namespace: &str,
    selector: &str,
) -> Result<Vec<DynamicObject>, ApplyError> {
    let key = ObjectKey::new(namespace, "");
    let params = ListParams::default().labels(selector);
    let found = api(client, resource, &key).list(&params).await;
    found
        .map(|found| found.items)
        .map_err(|error| ApplyError::new("list", &resource.kind, &key, error))
}

/// Creates an object. An existing one is a conflict.
pub async fn create(
    client: &Client,
    resource: &ApiResource,
    key: &ObjectKey,
    object: &DynamicObject,
    manager: &str,
) -> Result<DynamicObject, ApplyError> {
    let params = PostParams {
        field_manager: Some(manager.to_owned()),
        ..PostParams::default()
    };
    api(client, resource, key)
        .create(&params, object)
        .await
        .map_err(|error| ApplyError::new("create", &resource.kind, key, error))
}

/// Replaces an object by `object`, which must carry the resourceVersion that it was read at.
pub async fn replace(
    client: &Client,
    resource: &ApiResource,
    key: &ObjectKey,
    object: &Value,
    manager: &str,
) -> Result<DynamicObject, ApplyError> {
    let failed = |error| ApplyError::new("replace", &resource.kind, key, error);
    let params = PostParams {
        field_manager: Some(manager.to_owned()),
        ..PostParams::default()
    };
    let object: DynamicObject = serde_json::from_value(object.clone())
        .map_err(|error| failed(kube::Error::SerdeError(error)))?;
    api(client, resource, key)
        .replace(&key.name, &params, &object)
        .await
        .map_err(failed)
}

/// Server-side apply that takes over fields that others own.
pub async fn apply_forced(
    client: &Client,
    resource: &ApiResource,
    key: &ObjectKey,
    object: &Value,
    manager: &str,
) -> Result<DynamicObject, ApplyError> {
    let params = PatchParams {
        field_manager: Some(manager.to_owned()),
        force: true,
        ..PatchParams::default()
    };
    apply_with(client, resource, key, object, &params).await
}

/// Server-side apply with all parameters, for callers that care about conflicts, dry runs or field validation.
pub async fn apply_with(
    client: &Client,
    resource: &ApiResource,
    key: &ObjectKey,
    object: &Value,
    params: &PatchParams,
) -> Result<DynamicObject, ApplyError> {
    api(client, resource, key)
        .patch(&key.name, params, &Patch::Apply(object))
        .await
        .map_err(|error| ApplyError::new("apply", &resource.kind, key, error))
}

/// JSON merge patch of an object, or of its `subresource` when one is named.
pub async fn merge_patch(
    client: &Client,
    resource: &ApiResource,
    key: &ObjectKey,
    patch: &Value,
    manager: &str,
) -> Result<DynamicObject, ApplyError> {
    let params = PatchParams {
        field_manager: Some(manager.to_owned()),
        ..PatchParams::default()
    };
    merge_with(client, resource, key, patch, &params).await
}

/// Merges with parameters of the caller, for example as a dry run.
pub async fn merge_with(
    client: &Client,
    resource: &ApiResource,
    key: &ObjectKey,
    patch: &Value,
    params: &PatchParams,
) -> Result<DynamicObject, ApplyError> {
    api(client, resource, key)
        .patch(&key.name, params, &Patch::Merge(patch))
        .await
        .map_err(|error| ApplyError::new("patch", &resource.kind, key, error))
}

/// How a delete ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// The object is gone, or was gone before.
    Gone,
    /// Deletion was accepted; finalizers or dependents hold the object back.
    Pending,
}

/// Deletes an object, only if its uid is still `uid` when one is given.
pub async fn delete(
    client: &Client,
    resource: &ApiResource,
    key: &ObjectKey,
    uid: Option<&str>,
    propagation: PropagationPolicy,
) -> Result<Deleted, ApplyError> {
    let params = DeleteParams {
        propagation_policy: Some(propagation),
        preconditions: uid.map(|uid| Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    match api(client, resource, key).delete(&key.name, &params).await {
        // The object itself comes back while something holds it, a bare status once it is gone.
        Ok(answer) if answer.is_left() => Ok(Deleted::Pending),
        Ok(_) => Ok(Deleted::Gone),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Deleted::Gone),
        Err(error) => Err(ApplyError::new("delete", &resource.kind, key, error)),
    }
}
