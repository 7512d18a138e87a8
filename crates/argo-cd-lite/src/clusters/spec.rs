//! A cluster as its Secret describes it.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::ByteString;

use super::{
    Destination,
    credentials::{ConfigError, RemoteAccess},
};
use crate::api::{
    ANNOTATION_REFRESH, ANNOTATION_SKIP_RECONCILE, IN_CLUSTER_NAME, IN_CLUSTER_SERVER,
};

/// How a cluster is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// With the connection of the control plane.
    ControlPlane,
    /// With what the Secret says.
    Remote(Box<RemoteAccess>),
}

/// Which objects of a cluster are managed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManagedScope {
    /// Namespaces; all when empty.
    pub namespaces: Vec<String>,
    /// Cluster-scoped objects, too, although namespaces are given.
    pub cluster_resources: bool,
}

impl ManagedScope {
    /// Why an object is not managed, in upstream's words.
    pub fn refusal(&self, kind: &str, namespace: &str, name: &str) -> Option<String> {
        if self.namespaces.is_empty() {
            return None;
        }
        if namespace.is_empty() {
            return (!self.cluster_resources).then(|| {
                format!("Cluster level {kind} {name:?} can not be managed when in namespaced mode")
            });
        }
        let known = self.namespaces.iter().any(|known| known == namespace);
        (!known).then(|| format!("Namespace {namespace:?} for {kind} {name:?} is not managed"))
    }
}

/// A cluster: what identifies it, how it is reached, what is managed there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSpec {
    /// Server, name and project.
    pub destination: Destination,
    /// How it is reached.
    pub access: Access,
    /// What is managed there.
    pub scope: ManagedScope,
    /// Its Applications are not reconciled.
    pub skip: bool,
    /// A change asks for a new connection.
    pub refresh: String,
}

impl ClusterSpec {
    /// The cluster that the control plane runs in, when no Secret describes it.
    pub fn control_plane() -> Self {
        Self {
            destination: Destination {
                server: IN_CLUSTER_SERVER.into(),
                name: IN_CLUSTER_NAME.into(),
                project: "".into(),
            },
            access: Access::ControlPlane,
            scope: ManagedScope::default(),
            skip: false,
            refresh: String::new(),
        }
    }
}

/// A cluster Secret: a cluster, or what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSecret {
    /// URL of the API server.
    pub server: Arc<str>,
    /// Name of the cluster.
    pub name: Arc<str>,
    /// The cluster.
    pub spec: Result<Arc<ClusterSpec>, ConfigError>,
}

impl ClusterSecret {
    /// Reads a Secret with the label `argocd.argoproj.io/secret-type: cluster`.
    pub fn read(
        data: &BTreeMap<String, ByteString>,
        annotations: &BTreeMap<String, String>,
    ) -> Self {
        let text = |key: &str| -> String {
            let value = data.get(key).map(|value| value.0.as_slice());
            String::from_utf8_lossy(value.unwrap_or_default())
                .trim()
                .to_owned()
        };
        let server = normalize_server(&text("server"));
        let mut name = text("name");
        if name.is_empty() {
            name.clone_from(&server);
        }
        let destination = Destination {
            server: server.as_str().into(),
            name: name.as_str().into(),
            project: text("project").into(),
        };
        let config = data.get("config").map(|value| value.0.as_slice());
        let spec = RemoteAccess::parse(&server, config.unwrap_or_default()).and_then(|remote| {
            let is_own = server == IN_CLUSTER_SERVER && !remote.has_credentials();
            if is_own && remote.has_proxy() {
                return Err(ConfigError::Field {
                    field: "proxyUrl",
                    problem: "needs credentials beside it for the cluster of the control plane",
                });
            }
            Ok(Arc::new(ClusterSpec {
                destination: destination.clone(),
                access: if is_own {
                    Access::ControlPlane
                } else {
                    Access::Remote(Box::new(remote))
                },
                scope: ManagedScope {
                    namespaces: list(&text("namespaces")),
                    cluster_resources: text("clusterResources") == "true",
                },
                skip: annotations
                    .get(ANNOTATION_SKIP_RECONCILE)
                    .is_some_and(|text| crate::api::is_true(text)),
                refresh: annotations
                    .get(ANNOTATION_REFRESH)
                    .cloned()
                    .unwrap_or_default(),
            }))
        });
        Self {
            server: destination.server,
            name: destination.name,
            spec,
        }
    }
}

/// The URL of an API server as clusters are compared by it.
pub(super) fn normalize_server(server: &str) -> String {
    server.trim().trim_end_matches('/').to_owned()
}

fn list(text: &str) -> Vec<String> {
    let names = text.split(',').map(str::trim);
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}
