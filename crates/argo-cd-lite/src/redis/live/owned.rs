//! Objects that others own: pods below a Deployment, slices below a Service. They are not in the index, and are read
//! in the namespaces of the Application.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{ApiResource, DynamicObject};
use reconcile_core::apply::list;

use super::{failed, read::REQUESTS};
use crate::{
    clusters::{Cluster, GroupKind},
    redis::AnswerError,
};

/// An object that may belong to another one.
pub(super) struct OwnedObject {
    /// Its kind.
    pub(super) resource: ApiResource,
    pub(super) object: DynamicObject,
}

/// Group and kind.
type Kind = (&'static str, &'static str);

/// Kinds that own none.
const CHILDLESS: &[Kind] = &[
    ("", "ConfigMap"),
    ("", "Secret"),
    ("", "ServiceAccount"),
    ("", "Namespace"),
    ("", "LimitRange"),
    ("", "ResourceQuota"),
    ("", "PersistentVolume"),
    ("", "PersistentVolumeClaim"),
    ("rbac.authorization.k8s.io", "Role"),
    ("rbac.authorization.k8s.io", "RoleBinding"),
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ("networking.k8s.io", "Ingress"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("policy", "PodDisruptionBudget"),
];

/// What the kinds of Kubernetes own, with what that owns in turn.
const OWNED: &[(Kind, &[Kind])] = &[
    (
        ("apps", "Deployment"),
        &[("apps", "ReplicaSet"), ("", "Pod")],
    ),
    (("apps", "ReplicaSet"), &[("", "Pod")]),
    (("", "ReplicationController"), &[("", "Pod")]),
    (("", "Pod"), &[]),
    (
        ("apps", "StatefulSet"),
        &[
            ("", "Pod"),
            ("apps", "ControllerRevision"),
            ("", "PersistentVolumeClaim"),
        ],
    ),
    (
        ("apps", "DaemonSet"),
        &[("", "Pod"), ("apps", "ControllerRevision")],
    ),
    (("batch", "Job"), &[("", "Pod")]),
    (("batch", "CronJob"), &[("batch", "Job"), ("", "Pod")]),
    (
        ("", "Service"),
        &[("", "Endpoints"), ("discovery.k8s.io", "EndpointSlice")],
    ),
];

/// What an object of another kind may own of the kinds of Kubernetes.
const ANY: &[Kind] = &[
    ("", "Pod"),
    ("", "Service"),
    ("", "ConfigMap"),
    ("", "PersistentVolumeClaim"),
    ("apps", "Deployment"),
    ("apps", "ReplicaSet"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("apps", "ControllerRevision"),
    ("batch", "Job"),
    ("batch", "CronJob"),
    ("discovery.k8s.io", "EndpointSlice"),
    ("networking.k8s.io", "Ingress"),
];

/// The kinds that objects of a kind may own, directly or not.
fn kinds_below(kind: &GroupKind, custom: &[GroupKind]) -> Vec<GroupKind> {
    let is = |(group, name): &Kind| kind.is(group, name);
    if CHILDLESS.iter().any(is) {
        return Vec::new();
    }
    let known = OWNED.iter().find(|(owner, _)| is(owner));
    let kinds = known.map_or(ANY, |(_, kinds)| *kinds);
    let mut kinds: Vec<GroupKind> = kinds
        .iter()
        .map(|(group, name)| GroupKind::new(*group, *name))
        .collect();
    if known.is_none() {
        kinds.extend(custom.iter().cloned());
    }
    kinds
}

/// Reads what the objects may own, in their namespaces.
pub(super) async fn read<'o>(
    cluster: &Cluster,
    roots: impl Iterator<Item = &'o DynamicObject>,
) -> Result<Vec<OwnedObject>, AnswerError> {
    let custom = cluster.discovery.custom_kinds();
    let mut lists: BTreeSet<(String, GroupKind)> = BTreeSet::new();
    for root in roots {
        let (Some(types), Some(namespace)) = (&root.types, &root.metadata.namespace) else {
            continue;
        };
        let group = types
            .api_version
            .rsplit_once('/')
            .map_or("", |(group, _)| group);
        for kind in kinds_below(&GroupKind::new(group, types.kind.as_str()), &custom) {
            lists.insert((namespace.clone(), kind));
        }
    }
    let found: Vec<Vec<OwnedObject>> = stream::iter(lists)
        .map(|(namespace, kind)| async move {
            let Some(served) = cluster.discovery.preferred(&kind) else {
                return Ok(Vec::new());
            };
            let found = list(&cluster.reads, &served.resource, &namespace, "").await;
            let objects = found.map_err(|error| failed(&error))?.into_iter();
            let owned = objects.map(|object| OwnedObject {
                resource: served.resource.clone(),
                object,
            });
            Ok(owned.collect())
        })
        .buffer_unordered(REQUESTS)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_there_is_listed() {
        let custom = [GroupKind::new("example.com", "Part")];
        let below = |group: &str, kind: &str| {
            let kinds = kinds_below(&GroupKind::new(group, kind), &custom);
            kinds.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(below("apps", "Deployment"), ["apps/ReplicaSet", "Pod"]);
        assert!(below("", "ConfigMap").is_empty() && below("", "Pod").is_empty());
        let of_custom = below("example.com", "Whole");
        assert!(of_custom.contains(&"example.com/Part".to_owned()));
        assert!(of_custom.contains(&"apps/StatefulSet".to_owned()));
    }
}
