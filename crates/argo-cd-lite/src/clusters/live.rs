//! The few values that are kept of a live object.

use std::{collections::hash_map::DefaultHasher, hash::Hasher, io, sync::Arc};

use kube::api::{ApiResource, DynamicObject, ObjectMeta};
use serde_json::Value;

use super::{ResourceId, Tracking};
use crate::{
    api::{ANNOTATION_OPERATION, HOOK_FINALIZER, IgnoreDifference},
    diff::{IgnoreRules, WebhookChanges},
    health::{Checks, Health, Subject},
    settings::ArgoSettings,
    sync::SyncSettings,
};

/// A live object as the planner sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// The object's uid.
    pub uid: Arc<str>,
    /// Version that it was read at, without the group.
    pub version: Arc<str>,
    /// Who it belongs to, when it says so.
    pub tracking: Option<Box<Tracking>>,
    /// It belongs to another object, so it is never extra.
    pub owned: bool,
    /// Deletion was requested.
    pub deleting: bool,
    /// It carries the hook finalizer.
    pub hook_finalizer: bool,
    /// Health; `None` for kinds without a rule.
    pub health: Option<Health>,
    /// Hash of everything but the status and what the server counts.
    pub hash: u64,
    /// The same without the fields whose change starts no comparison.
    pub update_hash: u64,
    /// What its annotations say; `None` when nothing.
    pub settings: Option<Box<SyncSettings>>,
    /// The operation that created this hook.
    pub operation: Option<Box<str>>,
    /// Images of its containers.
    pub images: Vec<Box<str>>,
}

impl Live {
    /// Reduces an object of this kind to what is kept; `checks` find its health, and their settings say which mark
    /// counts.
    pub fn of(checks: &Checks, resource: &ApiResource, object: &DynamicObject) -> Self {
        let (metadata, rules) = (&object.metadata, checks.settings());
        let annotation = |key: &str| {
            metadata
                .annotations
                .as_ref()
                .and_then(|annotations| annotations.get(key))
        };
        let settings = metadata
            .annotations
            .as_ref()
            .map(SyncSettings::read)
            .unwrap_or_default();
        let hash = Self::hash_of(object);
        Self {
            uid: metadata.uid.as_deref().unwrap_or_default().into(),
            version: resource.version.as_str().into(),
            tracking: Tracking::of(&rules.managed.tracking, metadata).map(Box::new),
            owned: metadata
                .owner_references
                .as_ref()
                .is_some_and(|owners| !owners.is_empty()),
            deleting: metadata.deletion_timestamp.is_some(),
            hook_finalizer: metadata
                .finalizers
                .as_ref()
                .is_some_and(|names| names.iter().any(|name| name == HOOK_FINALIZER)),
            health: checks.assess(&Subject {
                group: &resource.group,
                version: &resource.version,
                kind: &resource.kind,
                metadata,
                body: &object.data,
            }),
            hash,
            update_hash: update_hash(rules, resource, object).unwrap_or(hash),
            settings: (!settings.is_plain()).then(|| Box::new(settings)),
            operation: annotation(ANNOTATION_OPERATION).map(|text| text.as_str().into()),
            images: crate::render::images(&object.data),
        }
    }

    /// Hash of everything but the status and what the server counts.
    pub fn hash_of(object: &DynamicObject) -> u64 {
        live_hash(&object.metadata, &object.data)
    }

    /// What the annotations say.
    pub fn settings(&self) -> SyncSettings {
        self.settings.as_deref().cloned().unwrap_or_default()
    }

    /// True when nothing but fields has changed whose change starts no comparison.
    pub fn is_ignored_update_of(&self, old: &Self) -> bool {
        self.hash != old.hash && self.update_hash == old.update_hash && {
            let mut same = self.clone();
            same.hash = old.hash;
            same == *old
        }
    }

    /// True when the object was tracked under this instance name.
    pub fn belongs_to(&self, instance: &str) -> bool {
        self.tracking
            .as_ref()
            .is_some_and(|tracking| tracking.instance == instance)
    }
}

/// Hash without the fields of `ignoreResourceUpdates`; `None` when there are none for the kind.
fn update_hash(
    settings: &ArgoSettings,
    resource: &ApiResource,
    object: &DynamicObject,
) -> Option<u64> {
    let ignored = settings.ignored_updates(&resource.group, &resource.kind);
    if ignored.is_empty() {
        return None;
    }
    let rules: Vec<IgnoreDifference> = ignored
        .into_iter()
        .map(|fields| IgnoreDifference {
            group: "*".to_owned(),
            kind: "*".to_owned(),
            json_pointers: fields.json_pointers.clone(),
            jq_path_expressions: fields.jq_path_expressions.clone(),
            managed_fields_managers: fields.managed_fields_managers.clone(),
            ..IgnoreDifference::default()
        })
        .collect();
    let rules = IgnoreRules::new(&rules, WebhookChanges::default());
    let id = ResourceId::new(&resource.group, &resource.kind, "", "");
    let owners = serde_json::to_value(object).ok()?;
    let mut value = owners.clone();
    rules.for_object(&id).remove_from(&mut value, &owners);
    let reduced: DynamicObject = serde_json::from_value(value).ok()?;
    Some(Live::hash_of(&reduced))
}

/// Hash of what a comparison looks at. The status and the counters of the server are left out, so that
/// a busy controller's heartbeat is no news.
fn live_hash(metadata: &ObjectMeta, data: &Value) -> u64 {
    let mut sink = HashWriter(DefaultHasher::new());
    let parts = (
        &metadata.labels,
        &metadata.annotations,
        &metadata.finalizers,
        &metadata.owner_references,
    );
    // Writing to a hasher cannot fail, and neither can the serialisation of these types.
    drop(serde_json::to_writer(&mut sink, &parts));
    if let Some(fields) = data.as_object() {
        for (name, value) in fields.iter().filter(|(name, _)| *name != "status") {
            sink.0.write(name.as_bytes());
            drop(serde_json::to_writer(&mut sink, value));
        }
    }
    sink.0.finish()
}

/// Hash of a JSON value; equal values give equal hashes within one process.
pub fn content_hash(value: &Value) -> u64 {
    let mut sink = HashWriter(DefaultHasher::new());
    drop(serde_json::to_writer(&mut sink, value));
    sink.0.finish()
}

struct HashWriter(DefaultHasher);

impl io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
