//! The kinds that actions write, and in whose name.

use kube::{api::ApiResource, core::GroupVersionKind};
use reconcile_core::{apply, object::Kind};

use crate::api::{experiment::ExperimentKind, rollout::RolloutKind};

/// Field manager of writes.
pub(crate) const MANAGER: &str = "rollouts-controller";

/// A kind of the API.
pub(super) fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    apply::resource_of(&GroupVersionKind::gvk(group, version, kind), plural)
}

pub(super) fn rollouts() -> ApiResource {
    resource_of::<RolloutKind>()
}

pub(super) fn experiments() -> ApiResource {
    resource_of::<ExperimentKind>()
}

fn resource_of<K: Kind>() -> ApiResource {
    resource(K::GROUP, K::VERSION, K::KIND, K::PLURAL)
}

pub(crate) fn replica_sets() -> ApiResource {
    resource("apps", "v1", "ReplicaSet", "replicasets")
}

pub(crate) fn services() -> ApiResource {
    resource("", "v1", "Service", "services")
}
