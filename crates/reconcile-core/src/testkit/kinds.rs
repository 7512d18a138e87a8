//! The kinds that a fake API server serves.

use serde_json::{Value, json};

/// A served kind, as discovery lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeKind {
    /// API group; empty for core.
    pub group: String,
    /// API version.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Plural name in URLs.
    pub plural: String,
    /// Objects live in namespaces.
    pub namespaced: bool,
    /// `status` is written through its own subresource only.
    pub status: bool,
}

impl FakeKind {
    /// A namespaced kind with a status subresource.
    pub fn new(group: &str, version: &str, kind: &str, plural: &str) -> Self {
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            namespaced: true,
            status: true,
        }
    }

    /// The same without a status subresource: status is part of the object.
    #[must_use]
    pub fn without_status(mut self) -> Self {
        self.status = false;
        self
    }

    /// The same for the whole cluster.
    #[must_use]
    pub fn cluster_scoped(mut self) -> Self {
        self.namespaced = false;
        self
    }

    /// The kind of a typed resource.
    pub fn of<K: kube::Resource<DynamicType = ()>>() -> Self {
        Self::new(
            &K::group(&()),
            &K::version(&()),
            &K::kind(&()),
            &K::plural(&()),
        )
    }

    /// `apiVersion` of its objects.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The kinds that a cluster always has and operators use.
    pub(super) fn builtin() -> Vec<Self> {
        let core = |kind, plural| Self::new("", "v1", kind, plural);
        let apps = |kind, plural| Self::new("apps", "v1", kind, plural);
        vec![
            core("Namespace", "namespaces").cluster_scoped(),
            core("Node", "nodes").cluster_scoped(),
            core("PersistentVolume", "persistentvolumes").cluster_scoped(),
            core("PersistentVolumeClaim", "persistentvolumeclaims"),
            core("Pod", "pods"),
            core("Service", "services"),
            core("Endpoints", "endpoints").without_status(),
            core("ConfigMap", "configmaps").without_status(),
            core("Secret", "secrets").without_status(),
            core("ServiceAccount", "serviceaccounts").without_status(),
            core("Event", "events").without_status(),
            apps("Deployment", "deployments"),
            apps("ReplicaSet", "replicasets"),
            apps("StatefulSet", "statefulsets"),
            apps("DaemonSet", "daemonsets"),
            Self::new("batch", "v1", "Job", "jobs"),
            Self::new("batch", "v1", "CronJob", "cronjobs"),
            Self::new("networking.k8s.io", "v1", "Ingress", "ingresses"),
            Self::new(
                "policy",
                "v1",
                "PodDisruptionBudget",
                "poddisruptionbudgets",
            ),
            Self::new(
                "autoscaling",
                "v2",
                "HorizontalPodAutoscaler",
                "horizontalpodautoscalers",
            ),
            Self::new("events.k8s.io", "v1", "Event", "events").without_status(),
            Self::new("coordination.k8s.io", "v1", "Lease", "leases").without_status(),
            Self::new("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices").without_status(),
            Self::new("rbac.authorization.k8s.io", "v1", "Role", "roles").without_status(),
            Self::new(
                "rbac.authorization.k8s.io",
                "v1",
                "RoleBinding",
                "rolebindings",
            )
            .without_status(),
            Self::new(
                "rbac.authorization.k8s.io",
                "v1",
                "ClusterRole",
                "clusterroles",
            )
            .without_status()
            .cluster_scoped(),
            Self::new(
                "apiextensions.k8s.io",
                "v1",
                "CustomResourceDefinition",
                "customresourcedefinitions",
            )
            .cluster_scoped(),
        ]
    }
}

/// The answer to a discovery path, or `None` when the path is not one.
pub(super) fn discovery(kinds: &[FakeKind], path: &str) -> Option<Value> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["version"] => Some(json!({
            "major": "1", "minor": "35", "gitVersion": "v1.35.0", "gitCommit": "", "gitTreeState": "",
            "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
        })),
        ["api"] => Some(json!({
            "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [],
        })),
        ["apis"] => Some(groups(kinds)),
        ["api", version] => Some(resources(kinds, "", version)),
        ["apis", group, version] => Some(resources(kinds, group, version)),
        _ => None,
    }
}

fn groups(kinds: &[FakeKind]) -> Value {
    let mut seen: Vec<(String, String)> = Vec::new();
    for kind in kinds.iter().filter(|kind| !kind.group.is_empty()) {
        let entry = (kind.group.clone(), kind.version.clone());
        if !seen.contains(&entry) {
            seen.push(entry);
        }
    }
    let entries: Vec<Value> = seen
        .iter()
        .map(|(group, version)| {
            let version = json!({"groupVersion": format!("{group}/{version}"), "version": version});
            json!({"name": group, "versions": [version], "preferredVersion": version})
        })
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": entries})
}

fn resources(kinds: &[FakeKind], group: &str, version: &str) -> Value {
    let verbs = [
        "create", "delete", "get", "list", "patch", "update", "watch",
    ];
    let mut entries = Vec::new();
    let mut api_version = version.to_owned();
    for kind in kinds
        .iter()
        .filter(|kind| kind.group == group && kind.version == version)
    {
        api_version = kind.api_version();
        let entry = |name: String| {
            json!({
                "name": name, "singularName": kind.kind.to_lowercase(), "kind": kind.kind,
                "namespaced": kind.namespaced, "verbs": verbs,
            })
        };
        entries.push(entry(kind.plural.clone()));
        if kind.status {
            entries.push(entry(format!("{}/status", kind.plural)));
        }
    }
    json!({
        "kind": "APIResourceList", "apiVersion": "v1",
        "groupVersion": api_version, "resources": entries,
    })
}
