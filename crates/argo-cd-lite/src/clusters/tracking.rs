//! Ownership of objects: the `tracking-id` annotation, the instance label, or both.
//!
//! `<application>:<group>/<Kind>:<namespace>/<name>`, with an empty group for the core group, and with the
//! destination namespace of the application for cluster-scoped objects. The application's name carries its
//! namespace, `<namespace>_<name>`, when that is not the one of the control plane.

use kube::api::ObjectMeta;
use reconcile_core::object::ObjectKey;
use serde_json::{Map, Value};

use super::ResourceId;
use crate::{
    api::{ANNOTATION_INSTALLATION_ID, ANNOTATION_TRACKING_ID},
    settings::{TrackingMethod, TrackingSettings},
};

/// The mark on a live object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracking {
    /// Instance name of the application.
    pub instance: String,
    /// The object that the mark was written for; a label does not say.
    object: Option<TrackedObject>,
}

/// The object in a tracking id.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TrackedObject {
    /// Group of the object that the annotation was written for.
    group: String,
    kind: String,
    /// Namespace of that object, or the destination namespace for cluster-scoped ones.
    namespace: String,
    name: String,
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
            object: Some(TrackedObject {
                group: group.to_owned(),
                kind: kind.to_owned(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            }),
        })
    }

    /// Whom a live object belongs to, by the mark that counts.
    pub fn of(settings: &TrackingSettings, metadata: &ObjectMeta) -> Option<Self> {
        if settings.method == TrackingMethod::Label {
            let instance = metadata.labels.as_ref()?.get(&settings.label)?.clone();
            return Some(Self {
                instance,
                object: None,
            });
        }
        let annotations = metadata.annotations.as_ref()?;
        let installation = annotations.get(ANNOTATION_INSTALLATION_ID);
        if settings.installation_id.is_some() && settings.installation_id.as_ref() != installation {
            return None;
        }
        Self::parse(annotations.get(ANNOTATION_TRACKING_ID)?)
    }

    /// True when the annotation was written for `id`. It was not when another controller copied the
    /// annotations of an object; such copies are never pruned.
    pub fn describes(&self, id: &ResourceId) -> bool {
        self.object.as_ref().is_none_or(|object| {
            *object.group == *id.kind.group
                && *object.kind == *id.kind.kind
                && *object.name == *id.name
                && (id.namespace.is_empty() || *object.namespace == *id.namespace)
        })
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

/// The Application for which objects are marked.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// Instance name.
    pub instance: &'a str,
    /// Destination namespace.
    pub namespace: &'a str,
    /// Which marks are written.
    pub settings: &'a TrackingSettings,
}

/// Writes the marks of the owner into a manifest. CustomResourceDefinitions are never marked: several applications may
/// bring the same one.
pub fn stamp(manifest: &mut Value, owner: Owner<'_>, id: &ResourceId) {
    if &*id.kind.kind == "CustomResourceDefinition" {
        return;
    }
    let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    let settings = owner.settings;
    match settings.method {
        TrackingMethod::Annotation => {}
        TrackingMethod::Label => {
            member(metadata, "labels")[settings.label.as_str()] = owner.instance.into();
            return;
        }
        TrackingMethod::AnnotationAndLabel => {
            let label = as_label(owner.instance);
            member(metadata, "labels")[settings.label.as_str()] = label.into();
        }
    }
    let annotations = member(metadata, "annotations");
    annotations[ANNOTATION_TRACKING_ID] = tracking_id(owner.instance, id, owner.namespace).into();
    if let Some(installation) = &settings.installation_id {
        annotations[ANNOTATION_INSTALLATION_ID] = installation.as_str().into();
    }
}

fn member<'m>(metadata: &'m mut Map<String, Value>, name: &str) -> &'m mut Value {
    let member = metadata
        .entry(name)
        .or_insert_with(|| Value::Object(Map::new()));
    if !member.is_object() {
        *member = Value::Object(Map::new());
    }
    member
}

/// A name that fits a label: at most 63 characters that end with a letter or a digit.
fn as_label(instance: &str) -> &str {
    const LONGEST: usize = 63;
    let short = &instance[..instance.floor_char_boundary(LONGEST)];
    short.trim_end_matches(|char: char| !char.is_ascii_alphanumeric())
}
