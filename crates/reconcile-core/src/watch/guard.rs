//! An object that may not be decodable.
//!
//! One bad object must not stall the watch of all others, so decoding happens per object and a failure
//! keeps the metadata.

use std::borrow::Cow;

use kube::{Resource, api::ObjectMeta};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::value::RawValue;

/// A decoded object, or the reason why it is not one.
#[derive(Clone, Debug)]
pub struct Guarded<K>(pub Result<K, Undecodable>);

/// An object whose form is not that of its type.
#[derive(Clone, Debug)]
pub struct Undecodable {
    /// The metadata, which could be read.
    pub metadata: ObjectMeta,
    /// What is wrong, with the path of the field.
    pub message: String,
}

#[derive(Deserialize)]
struct MetadataOnly {
    #[serde(default)]
    metadata: ObjectMeta,
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Guarded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let slim = crate::object::without_managed_fields(raw.get());
        let text = slim.as_deref().unwrap_or(raw.get());
        Ok(Self(crate::object::parse_at("object", text).map_err(
            |error| {
                let metadata = serde_json::from_str::<MetadataOnly>(raw.get())
                    .map(|object| object.metadata)
                    .unwrap_or_default();
                Undecodable {
                    metadata,
                    message: error.to_string(),
                }
            },
        )))
    }
}

impl<K: Resource> Resource for Guarded<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dt: &K::DynamicType) -> Cow<'_, str> {
        K::kind(dt)
    }
    fn group(dt: &K::DynamicType) -> Cow<'_, str> {
        K::group(dt)
    }
    fn version(dt: &K::DynamicType) -> Cow<'_, str> {
        K::version(dt)
    }
    fn plural(dt: &K::DynamicType) -> Cow<'_, str> {
        K::plural(dt)
    }
    fn metadata_api() -> bool {
        K::metadata_api()
    }
    fn meta(&self) -> &ObjectMeta {
        self.0
            .as_ref()
            .map_or_else(|bad| &bad.metadata, Resource::meta)
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0
            .as_mut()
            .map_or_else(|bad| &mut bad.metadata, Resource::meta_mut)
    }
}
