//! What renders know of their Application and cluster, and the names of facts that they depend on.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// Name of the fact that is what charts see of the cluster.
pub(super) const CLUSTER_FACT: &str = "cluster";

/// Name of the fact that is how kustomize is called.
pub(super) const KUSTOMIZE_FACT: &str = "kustomize settings";

/// Name of the fact that is what a project permits.
pub(super) const PERMISSIONS_FACT: &str = "permitted repositories";

/// Start of the names of facts that are who logs in to a repository.
pub(super) const LOGIN_FACT: &str = "login to ";

/// The Application for which sources are rendered.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AppFacts {
    /// Name.
    pub name: String,
    /// Name under which objects are tracked.
    pub instance: String,
    /// Project.
    pub project: String,
    /// Namespace of the destination.
    pub namespace: String,
}

/// What charts may ask about the cluster; empty where nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClusterFacts {
    /// Version of Kubernetes.
    pub kube_version: String,
    /// `group/version` and `group/version/Kind`, sorted.
    pub api_versions: Vec<String>,
}

impl ClusterFacts {
    /// Identifies the facts.
    pub(super) fn digest(&self) -> String {
        digest(self)
    }
}

/// The SHA-256 of a value's JSON.
pub(super) fn digest(value: &impl Serialize) -> String {
    // A struct of texts always serializes.
    let text = serde_json::to_vec(value).unwrap_or_default();
    hex::encode(Sha256::digest(text))
}
