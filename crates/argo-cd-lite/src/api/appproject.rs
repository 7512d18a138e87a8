//! `AppProject`: what the applications of a project may do.

use kube::core::NamespaceResourceScope;
use reconcile_core::object::Kind;
use serde::{Deserialize, Serialize};

/// Marker of the kind `AppProject`.
#[derive(Clone, Copy, Debug)]
pub struct AppProject;

impl Kind for AppProject {
    const GROUP: &'static str = "argoproj.io";
    const VERSION: &'static str = "v1alpha1";
    const KIND: &'static str = "AppProject";
    const PLURAL: &'static str = "appprojects";
    type Scope = NamespaceResourceScope;
    type Spec = AppProjectSpec;
    type Status = ProjectStatus;
}

/// The status is written by the API server of upstream only (tokens of roles).
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct ProjectStatus {}

/// The limits of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AppProjectSpec {
    /// Globs of repositories; `!` denies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_repos: Vec<String>,
    /// Clusters and namespaces; `!` denies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<ProjectDestination>,
    /// Cluster-scoped kinds that are allowed; none when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cluster_resource_whitelist: Vec<ClusterResourceItem>,
    /// Cluster-scoped kinds that are refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cluster_resource_blacklist: Vec<ClusterResourceItem>,
    /// Namespaced kinds that are allowed; all when absent, none when an empty list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_resource_whitelist: Option<Vec<GroupKindItem>>,
    /// Namespaced kinds that are refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespace_resource_blacklist: Vec<GroupKindItem>,
    /// Globs of namespaces outside the control plane whose Applications may use the project.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub source_namespaces: Vec<String>,
    /// The applications may use the clusters of this project only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub permit_only_project_scoped_clusters: bool,
    /// The accounts that syncs run as, by destination.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub destination_service_accounts: Vec<DestinationServiceAccount>,
    /// Warn of objects in destination namespaces that no Application manages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orphaned_resources: Option<OrphanedResources>,
    /// Keys one of which has to have signed what is synced; any commit when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signature_keys: Vec<SignatureKey>,
    /// What is verified of sources, by repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_integrity: Option<SourceIntegrity>,
    /// When the applications may sync.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sync_windows: Vec<SyncWindow>,
}

/// A time in which applications may sync, or may not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SyncWindow {
    /// `allow` or `deny`.
    pub kind: String,
    /// Five cron fields; the window opens at these times.
    pub schedule: String,
    /// How long it is open, as a Go duration.
    pub duration: String,
    /// Globs of names of Applications.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub applications: Vec<String>,
    /// Globs of destination namespaces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Globs of destination servers and names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
    /// A person may sync all the same.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub manual_sync: bool,
    /// IANA name of the time zone; UTC when empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub time_zone: String,
    /// All selectors must fit instead of any.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub and_operator: bool,
    /// A sync that began in time may end after it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sync_overrun: bool,
    /// Text for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// A key that signs commits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct SignatureKey {
    /// Id of the key: the last 16 hexadecimal digits of its fingerprint, or more.
    #[serde(rename = "keyID")]
    pub key_id: String,
}

/// What is verified of sources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct SourceIntegrity {
    /// Of Git repositories.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git: Option<GitIntegrity>,
}

/// Policies of Git repositories.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct GitIntegrity {
    /// At most one of them may fit a repository.
    pub policies: Vec<GitIntegrityPolicy>,
}

/// The policy of some repositories.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct GitIntegrityPolicy {
    /// Which repositories.
    pub repos: Vec<IntegrityRepository>,
    /// Signatures by `GnuPG`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpg: Option<GpgPolicy>,
}

/// Repositories of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct IntegrityRepository {
    /// Glob of URLs; `!` before it takes them out.
    pub url: String,
}

/// Which signatures are required.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct GpgPolicy {
    /// `none`, `head` or `strict`.
    pub mode: String,
    /// Ids of the keys that may sign.
    pub keys: Vec<String>,
}

/// Objects that no Application manages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct OrphanedResources {
    /// A condition says how many there are; true when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warn: Option<bool>,
    /// Objects that do not count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<OrphanIgnore>,
}

/// Objects that do not count as orphaned; all members are globs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct OrphanIgnore {
    /// Group.
    pub group: String,
    /// Kind; empty means any.
    pub kind: String,
    /// Name; empty means any.
    pub name: String,
}

/// The account of a destination.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DestinationServiceAccount {
    /// Glob of the URL of the API server.
    pub server: String,
    /// Glob of the destination namespace.
    pub namespace: String,
    /// Name of the ServiceAccount, with its namespace and a colon before it when that is not the destination's.
    pub default_service_account: String,
}

/// A cluster and a namespace, both globs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct ProjectDestination {
    /// URL of the API server.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub server: String,
    /// Symbolic name of the cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

/// A kind of namespaced objects; both members are globs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct GroupKindItem {
    /// Group.
    pub group: String,
    /// Kind.
    pub kind: String,
}

/// A kind of cluster-scoped objects; all members are globs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct ClusterResourceItem {
    /// Group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Name; empty means any.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}
