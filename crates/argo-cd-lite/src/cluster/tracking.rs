//! Ownership of objects: the `tracking-id` annotation.
//!
//! `<application>:<group>/<Kind>:<namespace>/<name>`, with an empty group for the core group, and with the
//! destination namespace of the application for cluster-scoped objects. The application's name carries its
//! namespace, `<namespace>_<name>`, when that is not the one of the control plane.

use reconcile_core::object::ObjectKey;
use serde_json::{Map, Value};

use super::ResourceId;
use crate::api::ANNOTATION_TRACKING_ID;

/// A parsed tracking id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracking {
    /// Instance name of the application.
    pub instance: String,
    /// Group of the object that the annotation was written for.
    pub group: String,
    /// Kind of that object.
    pub kind: String,
    /// Namespace of that object, or the destination namespace for cluster-scoped ones.
    pub namespace: String,
    /// Name of that object.
    pub name: String,
}

impl Tracking {
    /// Parses the annotation; `None` for text of another form. Names may contain colons (RBAC).
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ':');
        let (instance, kind, object) = (parts.next()?, parts.next()?, parts.next()?);
        let (group, kind) = kind.split_once('/')?;
        let (namespace, name) = object.split_once('/')?;
        Some(Self {
            instance: instance.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    /// True when the annotation was written for `id`. It was not when another controller copied the
    /// annotations of an object; such copies are never pruned.
    pub fn describes(&self, id: &ResourceId) -> bool {
        *self.group == *id.kind.group
            && *self.kind == *id.kind.kind
            && *self.name == *id.name
            && (id.namespace.is_empty() || *self.namespace == *id.namespace)
    }
}

/// The annotation for `id` as an object of `instance`.
pub fn tracking_id(instance: &str, id: &ResourceId, destination_namespace: &str) -> String {
    let namespace = if id.namespace.is_empty() {
        destination_namespace
    } else {
        id.namespace.as_ref()
    };
    format!(
        "{instance}:{}/{}:{namespace}/{}",
        id.kind.group, id.kind.kind, id.name
    )
}

/// The name under which an application's objects are tracked.
pub fn instance_name(app: &ObjectKey, control_plane: &str) -> String {
    if app.namespace == control_plane || app.namespace.is_empty() {
        app.name.clone()
    } else {
        format!("{}_{}", app.namespace, app.name)
    }
}

/// The application behind an instance name. Kubernetes names hold no underscore, so the first one
/// separates.
pub fn instance_owner(instance: &str, control_plane: &str) -> ObjectKey {
    match instance.split_once('_') {
        Some((namespace, name)) => ObjectKey::new(namespace, name),
        None => ObjectKey::new(control_plane, instance),
    }
}

/// Writes the tracking annotation into a manifest. CustomResourceDefinitions are never stamped: several
/// applications may bring the same one.
pub fn stamp(manifest: &mut Value, instance: &str, id: &ResourceId, destination_namespace: &str) {
    if &*id.kind.kind == "CustomResourceDefinition" {
        return;
    }
    let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    let annotations = metadata
        .entry("annotations")
        .or_insert_with(|| Value::Object(Map::new()));
    if !annotations.is_object() {
        *annotations = Value::Object(Map::new());
    }
    annotations[ANNOTATION_TRACKING_ID] = tracking_id(instance, id, destination_namespace).into();
}
