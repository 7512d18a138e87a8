//! Custom resources as they arrive: metadata decoded, everything else kept as JSON text.
//!
//! A root object is never undecodable. Its `spec` is parsed in the validate step of a reconcile, where a
//! wrong type becomes a message that names the field, instead of an object that silently drops out of
//! a watch. The text form is also the smallest one to keep.

use std::{borrow::Cow, collections::BTreeMap, fmt, marker::PhantomData};

use kube::{Resource, ResourceExt, api::ObjectMeta};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::{Value, value::RawValue};
use thiserror::Error;

/// Static names of a custom resource and the types of its two halves.
pub trait Kind: Send + Sync + 'static {
    /// API group; empty for the core group.
    const GROUP: &'static str;
    /// API version, for example `v1`.
    const VERSION: &'static str;
    /// Kind, for example `Deployment`.
    const KIND: &'static str;
    /// Plural as the URL has it, for example `deployments`.
    const PLURAL: &'static str;
    /// Name of a top-level field beside `spec` and `status` by which clients ask for something. It is kept with the
    /// object ([`Root::request`]), and a change of it calls for a pass.
    const REQUEST: Option<&'static str> = None;
    /// `kube::core::NamespaceResourceScope` or `ClusterResourceScope`.
    type Scope;
    /// The typed `spec`.
    type Spec: DeserializeOwned;
    /// The typed `status`; its default stands for an absent one.
    type Status: DeserializeOwned + Default;
}

/// Namespace and name of an object; the namespace is empty for cluster-scoped objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Namespace, empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ObjectKey {
    /// A key from its two parts.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// The key of any object that has metadata.
    pub fn of(object: &impl ResourceExt) -> Self {
        Self::new(object.namespace().unwrap_or_default(), object.name_any())
    }

    /// The key that the metadata holds.
    pub fn of_meta(meta: &ObjectMeta) -> Self {
        Self::new(
            meta.namespace.clone().unwrap_or_default(),
            meta.name.clone().unwrap_or_default(),
        )
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// A part of an object that does not have the expected form.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{path}: {message}")]
pub struct FieldError {
    /// Path of the field from the root of the object, for example `spec.strategy.canary.steps[2]`.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl FieldError {
    /// An error at `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
        }
    }
}

/// Parses JSON text into `T`; the error names the path of the offending field below `at`.
pub fn parse_at<T: DeserializeOwned>(at: &str, json: &str) -> Result<T, FieldError> {
    // Noting the path of each field takes longer than reading them; hardly any text has an error.
    if let Ok(value) = serde_json::from_str(json) {
        return Ok(value);
    }
    let mut reader = serde_json::Deserializer::from_str(json);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let inner = error.path().to_string();
        let path = match inner.as_str() {
            "." | "" => at.to_owned(),
            inner if inner.starts_with('[') => format!("{at}{inner}"),
            inner => format!("{at}.{inner}"),
        };
        let text = error.into_inner().to_string();
        // The position speaks of a compacted text that the user never saw.
        let message = text.split(" at line ").next().unwrap_or(&text).to_owned();
        FieldError { path, message }
    })
}

/// A custom resource of kind `K`: metadata decoded, the rest as JSON text.
pub struct Root<K> {
    /// Object metadata.
    pub metadata: ObjectMeta,
    /// The `spec` as it was sent.
    pub spec: Option<Box<RawValue>>,
    /// The `status` as it was last read.
    pub status: Option<Box<RawValue>>,
    /// The field that [`Kind::REQUEST`] names.
    pub request: Option<Box<RawValue>>,
    kind: PhantomData<fn() -> K>,
}

/// Drops `metadata.managedFields` from the JSON text of an object, before anything is built of it: read as a tree of
/// values they take more memory and time than the rest of most objects, and no controller reads them. `None` when there
/// are none, or when the text is not an object; then it is read as it is.
pub(crate) fn without_managed_fields(object: &str) -> Option<String> {
    object.contains(MANAGED_FIELDS).then_some(())?;
    let mut parts: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(object).ok()?;
    let metadata = metadata_without(parts.get("metadata")?.get())?;
    let metadata = RawValue::from_string(metadata).ok()?;
    parts.insert(Cow::Borrowed("metadata"), &metadata);
    serde_json::to_string(&parts).ok()
}

/// kubectl's copy of the whole object, an annotation.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const MANAGED_FIELDS: &str = "\"managedFields\"";

fn metadata_without(metadata: &str) -> Option<String> {
    metadata.contains(MANAGED_FIELDS).then_some(())?;
    let mut parts: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(metadata).ok()?;
    parts.remove("managedFields")?;
    serde_json::to_string(&parts).ok()
}

/// Metadata without managed fields.
struct SlimMetadata(ObjectMeta);

impl<'de> Deserialize<'de> for SlimMetadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let slim = metadata_without(raw.get());
        serde_json::from_str(slim.as_deref().unwrap_or(raw.get()))
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

struct RootVisitor<K>(PhantomData<fn() -> K>);

impl<'de, K: Kind> Visitor<'de> for RootVisitor<K> {
    type Value = Root<K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object of kind {}", K::KIND)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Root<K>, A::Error> {
        let mut root = Root {
            metadata: ObjectMeta::default(),
            spec: None,
            status: None,
            request: None,
            kind: PhantomData,
        };
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            match &*name {
                "metadata" => root.metadata = map.next_value::<SlimMetadata>()?.0,
                "spec" => root.spec = map.next_value()?,
                "status" => root.status = map.next_value()?,
                name if K::REQUEST == Some(name) => root.request = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(root)
    }
}

impl<K: Kind> Root<K> {
    /// Drops what no controller reads and memory that is only reserved: managed fields, kubectl's copy of the whole object, empty
    /// maps, spare room of lists. A root is kept as long as its object lives.
    pub fn slim(&mut self) {
        let meta = &mut self.metadata;
        meta.managed_fields = None;
        if let Some(annotations) = &mut meta.annotations {
            annotations.remove(LAST_APPLIED);
        }
        // An emptied map keeps its memory.
        meta.annotations = meta.annotations.take().filter(|map| !map.is_empty());
        if let Some(owners) = &mut meta.owner_references {
            owners.shrink_to_fit();
        }
        if let Some(finalizers) = &mut meta.finalizers {
            finalizers.shrink_to_fit();
        }
    }

    /// Builds a root from a whole object given as JSON, as tests and offline commands do.
    pub fn from_value(object: &Value) -> Result<Self, FieldError> {
        parse_at("object", &object.to_string())
    }

    /// Namespace and name.
    pub fn key(&self) -> ObjectKey {
        ObjectKey::of_meta(&self.metadata)
    }

    /// The object's uid; empty when the server has not given one.
    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// `metadata.generation`, 0 when absent.
    pub fn generation(&self) -> i64 {
        self.metadata.generation.unwrap_or_default()
    }

    /// True once deletion was requested.
    pub fn is_deleting(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.metadata
            .annotations
            .as_ref()?
            .get(key)
            .map(String::as_str)
    }

    /// The typed spec, or the field that has a wrong form.
    pub fn parse_spec(&self) -> Result<K::Spec, FieldError> {
        parse_at("spec", self.spec.as_deref().map_or("{}", RawValue::get))
    }

    /// The typed status; an absent one is the default, a malformed one is an error.
    pub fn parse_status(&self) -> Result<K::Status, FieldError> {
        match &self.status {
            None => Ok(K::Status::default()),
            Some(raw) if raw.get() == "null" => Ok(K::Status::default()),
            Some(raw) => parse_at("status", raw.get()),
        }
    }

    /// The raw spec as a JSON value; `null` when absent.
    pub fn spec_value(&self) -> Value {
        raw_value(self.spec.as_deref())
    }

    /// The raw status as a JSON value; `null` when absent.
    pub fn status_value(&self) -> Value {
        raw_value(self.status.as_deref())
    }

    /// The raw value of the field [`Kind::REQUEST`]; `null` when absent.
    pub fn request_value(&self) -> Value {
        raw_value(self.request.as_deref())
    }

    /// An owner reference to this object that marks it as the controller.
    pub fn controller_reference(
        &self,
    ) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference {
        k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference {
            api_version: format!("{}/{}", K::GROUP, K::VERSION),
            kind: K::KIND.to_owned(),
            name: self.metadata.name.clone().unwrap_or_default(),
            uid: self.uid().to_owned(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }

    /// A reference to this object, for Events.
    pub fn object_reference(&self) -> k8s_openapi::api::core::v1::ObjectReference {
        k8s_openapi::api::core::v1::ObjectReference {
            api_version: Some(format!("{}/{}", K::GROUP, K::VERSION)),
            kind: Some(K::KIND.to_owned()),
            name: self.metadata.name.clone(),
            namespace: self.metadata.namespace.clone(),
            uid: self.metadata.uid.clone(),
            resource_version: self.metadata.resource_version.clone(),
            field_path: None,
        }
    }
}

fn raw_value(raw: Option<&RawValue>) -> Value {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or(Value::Null)
}

impl<'de, K: Kind> Deserialize<'de> for Root<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RootVisitor(PhantomData))
    }
}

impl<K: Kind> Serialize for Root<K> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("apiVersion", &format!("{}/{}", K::GROUP, K::VERSION))?;
        map.serialize_entry("kind", K::KIND)?;
        map.serialize_entry("metadata", &self.metadata)?;
        for (name, part) in [
            (Some("spec"), &self.spec),
            (Some("status"), &self.status),
            (K::REQUEST, &self.request),
        ] {
            if let (Some(name), Some(part)) = (name, part) {
                map.serialize_entry(name, part)?;
            }
        }
        map.end()
    }
}

impl<K> Clone for Root<K> {
    fn clone(&self) -> Self {
        Self {
            metadata: self.metadata.clone(),
            spec: self.spec.clone(),
            status: self.status.clone(),
            request: self.request.clone(),
            kind: PhantomData,
        }
    }
}

impl<K: Kind> fmt::Debug for Root<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", K::KIND, self.key())
    }
}

/// Two reads of the same object are equal when the server gave them the same resourceVersion.
impl<K> PartialEq for Root<K> {
    fn eq(&self, other: &Self) -> bool {
        self.metadata.uid == other.metadata.uid
            && self.metadata.resource_version == other.metadata.resource_version
    }
}

impl<K: Kind> Resource for Root<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        K::KIND.into()
    }
    fn group((): &()) -> Cow<'_, str> {
        K::GROUP.into()
    }
    fn version((): &()) -> Cow<'_, str> {
        K::VERSION.into()
    }
    fn plural((): &()) -> Cow<'_, str> {
        K::PLURAL.into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
