//! Objects as they shall be in the cluster.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::SourceType;
use crate::{
    clusters::{Owner, ResourceId, content_hash, stamp},
    settings::ManagementRules,
    sync::{DeletionPhase, SyncSettings},
};

/// Whether objects of a kind live in namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// They do.
    Namespaced,
    /// They do not.
    Cluster,
    /// The cluster does not serve the kind.
    Unserved,
}

/// Where the objects of an application go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Placement {
    /// Instance name of the application.
    pub instance: String,
    /// Namespace of objects that name none.
    pub namespace: String,
    /// URL of the cluster, for the exclusions of single clusters.
    pub server: String,
    /// Which kinds are managed, and how objects are marked.
    pub managed: Arc<ManagementRules>,
}

/// One object that Git describes.
#[derive(Clone, Debug)]
pub struct Target {
    /// What identifies it; the name of an object with `generateName` is empty.
    pub id: ResourceId,
    /// API version without the group.
    pub version: Arc<str>,
    /// The manifest as compact JSON, ownership stamped.
    pub manifest: Box<str>,
    /// Hash of the manifest.
    pub hash: u64,
    /// What its annotations say.
    pub settings: SyncSettings,
    /// Prefix of the name, for objects that are named when they are created.
    pub generate_name: Option<Box<str>>,
    /// Group and kind that this CustomResourceDefinition brings.
    pub defines: Option<(Box<str>, Box<str>)>,
    /// Images of the containers that it describes.
    pub images: Vec<Box<str>>,
}

impl Target {
    /// The manifest as a value.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.manifest).unwrap_or(Value::Null)
    }

    /// True for hooks that run in this phase of the deletion.
    pub fn runs_at(&self, phase: DeletionPhase) -> bool {
        let hook = self.settings.hook.as_ref();
        hook.is_some_and(|hook| hook.deletion.contains(&phase))
    }

    /// `group/version` as `apiVersion` has it.
    pub fn api_version(&self) -> String {
        match &*self.id.kind.group {
            "" => self.version.to_string(),
            group => format!("{group}/{}", self.version),
        }
    }
}

/// Everything that one application wants at one commit.
#[derive(Clone, Debug, Default)]
pub struct TargetSet {
    /// The objects, in the order of the files.
    pub targets: Vec<Target>,
    /// Objects that were described more than once; the last description wins.
    pub repeated: Vec<ResourceId>,
    /// Objects of kinds that are never managed.
    pub excluded: Vec<ResourceId>,
    /// What is asked for on single objects and not supported.
    pub unsupported: Vec<String>,
    /// How each source was rendered.
    pub types: Vec<SourceType>,
    /// What a person should know about the render.
    pub remarks: Vec<String>,
    /// Bytes of memory, roughly.
    pub size: usize,
}

impl TargetSet {
    /// Bytes of memory of everything, roughly.
    pub(super) fn bytes(&self) -> usize {
        const ID: usize = 200;
        let texts = self.unsupported.iter().chain(&self.remarks);
        let texts: usize = texts.map(|text| text.len() + 24).sum();
        self.size + texts + (self.repeated.len() + self.excluded.len()) * ID
    }
}

/// Fixed cost of a target beside its manifest, for the cache's budget.
const TARGET_OVERHEAD: usize = 400;

/// Turns objects into targets, one after another. `scope` says whether a kind is namespaced.
pub(super) struct TargetBuilder<'a, F> {
    placement: &'a Placement,
    scope: F,
    /// Scopes of the kinds whose definitions are among the objects themselves.
    defined: HashMap<(String, String), Scope>,
    at: HashMap<ResourceId, usize>,
    set: TargetSet,
}

impl<'a, F: Fn(&str, &str) -> Scope> TargetBuilder<'a, F> {
    pub(super) fn new(placement: &'a Placement, scope: F) -> Self {
        Self {
            placement,
            scope,
            defined: HashMap::new(),
            at: HashMap::new(),
            set: TargetSet::default(),
        }
    }

    /// Notes the kind that `object` defines, when it does; before its first object is added.
    pub(super) fn define(&mut self, object: &Value) {
        if let Some((group, kind)) = defines(object)
            && let Some(scope) = object.pointer("/spec/scope").and_then(Value::as_str)
        {
            let scope = match scope {
                "Cluster" => Scope::Cluster,
                _ => Scope::Namespaced,
            };
            self.defined.insert((group.into(), kind.into()), scope);
        }
    }

    pub(super) fn add(&mut self, object: Value) {
        let Some(target) = target(object, self.placement, &self.defined, &self.scope) else {
            return;
        };
        let set = &mut self.set;
        let (group, kind) = (&target.id.kind.group, &target.id.kind.kind);
        if self
            .placement
            .managed
            .kinds
            .excludes(group, kind, &self.placement.server)
        {
            set.excluded.push(target.id);
            return;
        }
        note_unsupported(&target, &mut set.unsupported);
        let images: usize = target.images.iter().map(|image| image.len() + 16).sum();
        set.size += target.manifest.len() + images + TARGET_OVERHEAD;
        // Objects that are named at creation never repeat each other.
        if target.generate_name.is_some() {
            set.targets.push(target);
            return;
        }
        if let Some(index) = self.at.get(&target.id) {
            set.repeated.push(target.id.clone());
            set.targets[*index] = target;
        } else {
            self.at.insert(target.id.clone(), set.targets.len());
            set.targets.push(target);
        }
    }

    /// Bytes of the targets so far.
    pub(super) fn size(&self) -> usize {
        self.set.size
    }

    pub(super) fn finish(mut self) -> TargetSet {
        self.set.unsupported.sort();
        self.set.unsupported.dedup();
        self.set.targets.shrink_to_fit();
        self.set
    }
}

/// The targets of objects that are there already, as tests have them.
#[cfg(test)]
pub(crate) fn build(
    objects: Vec<Value>,
    placement: &Placement,
    scope: impl Fn(&str, &str) -> Scope,
) -> TargetSet {
    let mut builder = TargetBuilder::new(placement, scope);
    for object in &objects {
        builder.define(object);
    }
    for object in objects {
        builder.add(object);
    }
    TargetSet {
        types: vec![SourceType::Directory],
        ..builder.finish()
    }
}

fn note_unsupported(target: &Target, notes: &mut Vec<String>) {
    for option in target.settings.options.unsupported() {
        notes.push(format!("sync option {option} on {}", target.id));
    }
}

fn defines(object: &Value) -> Option<(Box<str>, Box<str>)> {
    if object.get("kind")?.as_str()? != "CustomResourceDefinition" {
        return None;
    }
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .map(Box::from)
    };
    Some((text("/spec/group")?, text("/spec/names/kind")?))
}

fn target(
    mut object: Value,
    placement: &Placement,
    defined: &HashMap<(String, String), Scope>,
    scope: &impl Fn(&str, &str) -> Scope,
) -> Option<Target> {
    let api_version = object.get("apiVersion")?.as_str()?.to_owned();
    let kind = object.get("kind")?.as_str()?.to_owned();
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", &api_version));
    let lives = match scope(group, &kind) {
        Scope::Unserved => defined
            .get(&(group.to_owned(), kind.clone()))
            .copied()
            .unwrap_or(Scope::Unserved),
        known => known,
    };
    let metadata = object.get_mut("metadata")?.as_object_mut()?;
    clean(metadata);
    let own = metadata
        .get("namespace")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let namespace = match lives {
        Scope::Cluster => String::new(),
        _ if own.is_empty() => placement.namespace.clone(),
        _ => own,
    };
    if namespace.is_empty() {
        metadata.remove("namespace");
    } else {
        metadata.insert("namespace".to_owned(), namespace.clone().into());
    }
    let text = |key: &str| {
        metadata
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (name, prefix) = (text("name"), text("generateName"));
    let settings = SyncSettings::read(&annotations(metadata));
    let id = ResourceId::new(group, &kind, namespace, name.clone());
    match (group, kind.as_str()) {
        ("", "Secret") => fold_secret(&mut object),
        ("rbac.authorization.k8s.io", "ClusterRole") => drop_aggregated_rules(&mut object),
        _ => {}
    }
    let owner = Owner {
        instance: &placement.instance,
        namespace: &placement.namespace,
        settings: &placement.managed.tracking,
    };
    stamp(&mut object, owner, &id);
    Some(Target {
        version: version.into(),
        hash: content_hash(&object),
        defines: defines(&object),
        images: images(&object),
        manifest: object.to_string().into(),
        generate_name: (name.is_empty() && !prefix.is_empty()).then(|| prefix.into()),
        settings,
        id,
    })
}

/// Drops what only the API server may write; manifests contain it that were exported from a cluster.
fn clean(metadata: &mut Map<String, Value>) {
    for field in [
        "creationTimestamp",
        "managedFields",
        "resourceVersion",
        "uid",
        "generation",
        "selfLink",
    ] {
        metadata.remove(field);
    }
}

/// Annotations as text; values of other types are skipped here and refused by the API server.
fn annotations(metadata: &Map<String, Value>) -> BTreeMap<String, String> {
    let Some(Value::Object(annotations)) = metadata.get("annotations") else {
        return BTreeMap::new();
    };
    annotations
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// `stringData` wins over `data`; the API server never gives `stringData` back, so it is folded here.
fn fold_secret(secret: &mut Value) {
    let Some(fields) = secret.as_object_mut() else {
        return;
    };
    let Some(Value::Object(plain)) = fields.remove("stringData") else {
        return;
    };
    let data = fields
        .entry("data")
        .or_insert_with(|| Value::Object(Map::new()));
    if !data.is_object() {
        *data = Value::Object(Map::new());
    }
    for (key, value) in plain {
        let text = match value {
            Value::String(text) => text,
            Value::Null => String::new(),
            other => other.to_string(),
        };
        data[key] = STANDARD.encode(text).into();
    }
}

/// The rules of an aggregated role are written by a controller. An empty list in the manifest asks for nothing, and
/// applying it would empty the role until that controller has seen it.
fn drop_aggregated_rules(role: &mut Value) {
    let aggregated = role
        .get("aggregationRule")
        .is_some_and(|rule| !rule.is_null());
    if aggregated
        && let Some(fields) = role.as_object_mut()
        && fields
            .get("rules")
            .is_some_and(|rules| rules.as_array().is_none_or(Vec::is_empty))
    {
        fields.remove("rules");
    }
}

/// Images of a pod or of anything with a pod template.
pub(crate) fn images(object: &Value) -> Vec<Box<str>> {
    const PODS: &[&str] = &[
        "/spec/template/spec",
        "/spec/jobTemplate/spec/template/spec",
        "/spec",
    ];
    let mut found: Vec<Box<str>> = PODS
        .iter()
        .filter_map(|pointer| object.pointer(pointer))
        .flat_map(|pod| {
            ["initContainers", "containers"]
                .into_iter()
                .filter_map(|list| pod.get(list)?.as_array())
        })
        .flatten()
        .filter_map(|container| container.get("image")?.as_str().map(Box::from))
        .collect();
    found.sort();
    found.dedup();
    found
}
