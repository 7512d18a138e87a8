//! EventSources and Sensors in pods of their own.
//!
//! ```text
//!   spec.template, annotation ──► PodWish            what asks for a pod of its own, and how it is placed
//!   leader                    ──► Keeper             a Deployment of `events worker --only KIND/NAMESPACE/NAME` for each
//!   every shared process      ──► Dedicated::Shared  leaves these objects alone, tells while no pod is available
//!   the pod                   ──► Dedicated::Only    acts for its object, as long as that asks for a pod
//! ```
//!
//! The Deployments are in the namespace of the operator and have its account, so nothing of a manifest gets into them but
//! where the pod is placed and what it may use: no image, volume, variable or security context.

mod deployment;
mod keeper;
mod leases;
mod wish;

pub(in crate::controller) use self::wish::is_heeded;
pub use self::{
    deployment::{DedicatedTemplate, LABEL, TemplateError},
    keeper::{Keeper, watch_of_deployments},
    wish::{DEDICATED, PodWish},
};

use std::{fmt, str::FromStr};

use reconcile_core::{
    object::{Kind, ObjectKey, Root},
    watch::Index,
};
use sha2::{Digest, Sha256};

use crate::api::{EventSource, Sensor};

/// Tags objects that ask for a pod of their own in an index.
pub const TAG: &str = "dedicated";

/// An object that has, or may have, a pod of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DedicatedObject {
    /// EventSource or Sensor.
    pub kind: &'static str,
    /// Namespace and name.
    pub key: ObjectKey,
}

impl fmt::Display for DedicatedObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind, self.key.namespace, self.key.name)
    }
}

impl FromStr for DedicatedObject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let mut kinds = [EventSource::KIND, Sensor::KIND].into_iter();
        let object = match parts.as_slice() {
            [kind, namespace, name] if !namespace.is_empty() && !name.is_empty() => {
                kinds.find(|known| known == kind).map(|kind| Self {
                    kind,
                    key: ObjectKey::new(*namespace, *name),
                })
            }
            _ => None,
        };
        object
            .ok_or_else(|| "must be EventSource/NAMESPACE/NAME or Sensor/NAMESPACE/NAME".to_owned())
    }
}

impl DedicatedObject {
    /// The object.
    pub fn of<K: Kind>(root: &Root<K>) -> Self {
        Self {
            kind: K::KIND,
            key: root.key(),
        }
    }

    /// Tells it from others in names of objects and leases.
    pub fn id(&self) -> String {
        hex::encode(&Sha256::digest(self.to_string())[..8])
    }

    /// Name of its Deployment.
    pub fn deployment(&self) -> String {
        format!("{}{}", leases::PREFIX, self.id())
    }
}

/// A Deployment as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveDeployment {
    /// For which object.
    pub object: DedicatedObject,
    /// Of what it was made.
    pub hash: String,
    /// A pod of it is available.
    pub available: bool,
    /// Its uid.
    pub uid: String,
}

/// How this process takes part.
#[derive(Clone, Default)]
pub enum Dedicated {
    /// No object has a pod of its own.
    #[default]
    Off,
    /// Objects that ask for a pod are left to it; these are the Deployments.
    Shared(Index<LiveDeployment>),
    /// This is such a pod.
    Only,
}

/// Who acts for an object that this process leaves alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// Its pod, which is available and tells.
    Pod,
    /// Its pod, which is not available: this is said.
    PodMissing(String),
    /// The shared processes, which tell.
    Shared,
}

impl fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod => f.write_str("runs in a pod of its own"),
            Self::PodMissing(reason) => f.write_str(reason),
            Self::Shared => f.write_str("asks for no pod of its own"),
        }
    }
}

impl Dedicated {
    /// Who acts for an object, when this process does not.
    pub fn elsewhere<K: Kind>(&self, root: &Root<K>) -> Option<Elsewhere> {
        match self {
            Self::Off => None,
            Self::Only => PodWish::of(root).is_none().then_some(Elsewhere::Shared),
            Self::Shared(live) => {
                PodWish::of(root)?;
                let object = DedicatedObject::of(root);
                let name = object.deployment();
                let all = live.tagged(&object.to_string());
                if all.iter().any(|(_, live)| live.available) {
                    return Some(Elsewhere::Pod);
                }
                Some(Elsewhere::PodMissing(format!(
                    "Deployment {name} has no available pod; see it in the namespace of the controller"
                )))
            }
        }
    }
}

#[cfg(test)]
mod tests;
