//! `Application`: its spec. The status is in `status.rs`, the operation in `operation.rs`.

use std::collections::BTreeMap;

use kube::core::NamespaceResourceScope;
use reconcile_core::object::Kind;
use serde::{Deserialize, Serialize};

use super::{ApplicationSource, ApplicationStatus};

/// Marker of the kind `Application`.
#[derive(Clone, Copy, Debug)]
pub struct Application;

impl Kind for Application {
    const GROUP: &'static str = "argoproj.io";
    const VERSION: &'static str = "v1alpha1";
    const REQUEST: Option<&'static str> = Some("operation");
    const KIND: &'static str = "Application";
    const PLURAL: &'static str = "applications";
    type Scope = NamespaceResourceScope;
    type Spec = ApplicationSpec;
    type Status = ApplicationStatus;
}

/// What should run where.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ApplicationSpec {
    /// Where the manifests are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<ApplicationSource>,
    /// Where the manifests are when there are several places; `source` is ignored then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<ApplicationSource>,
    /// Where the objects go.
    pub destination: ApplicationDestination,
    /// Name of the AppProject; empty means `default`.
    pub project: String,
    /// How changes reach the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_policy: Option<SyncPolicy>,
    /// Fields whose difference does not count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore_differences: Vec<IgnoreDifference>,
    /// Entries of `status.history` to keep; 10 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision_history_limit: Option<i64>,
    /// Free text for people.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub info: Vec<Info>,
}

/// A cluster and a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ApplicationDestination {
    /// URL of the cluster's API server.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub server: String,
    /// Symbolic name of the cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Namespace of objects that name none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

/// When and how to sync.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SyncPolicy {
    /// Sync without being asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automated: Option<AutomatedPolicy>,
    /// Options for the whole sync.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sync_options: Vec<String>,
    /// What to do after a failed sync.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryStrategy>,
    /// Labels and annotations of the namespace that `CreateNamespace` makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_namespace_metadata: Option<ManagedNamespaceMetadata>,
}

/// Details of automated sync. All members are optional so that `automated: {}` means on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AutomatedPolicy {
    /// Delete what Git does not hold any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prune: Option<bool>,
    /// Sync again when the cluster drifts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub self_heal: Option<bool>,
    /// Allow a prune that leaves nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_empty: Option<bool>,
    /// `false` turns automated sync off while keeping the block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// How often and after which delay to try again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RetryStrategy {
    /// Number of retries; negative means for ever.
    pub limit: i64,
    /// Delays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<RetryBackoff>,
    /// Take the newest revision at each retry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh: Option<bool>,
}

/// Growing delays between retries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RetryBackoff {
    /// First delay as a Go duration, or seconds as a bare number.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub duration: String,
    /// Factor from one delay to the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factor: Option<i64>,
    /// Longest delay.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub max_duration: String,
}

/// Labels and annotations for a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ManagedNamespaceMetadata {
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Fields whose difference does not count, on the objects that match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IgnoreDifference {
    /// Group, a glob.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Kind, a glob.
    pub kind: String,
    /// Name; empty means any.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Namespace; empty means any.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// JSON pointers (RFC 6901).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub json_pointers: Vec<String>,
    /// jq expressions that lead to fields.
    #[serde(skip_serializing_if = "Vec::is_empty", rename = "jqPathExpressions")]
    pub jq_path_expressions: Vec<String>,
    /// Managers whose fields do not count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub managed_fields_managers: Vec<String>,
}

/// A name and a text for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Info {
    /// Name.
    pub name: String,
    /// Text.
    pub value: String,
}

impl ApplicationSpec {
    /// The sources that count: `sources` where it is not empty, else `source`.
    pub fn sources(&self) -> &[ApplicationSource] {
        if self.sources.is_empty() {
            self.source.as_slice()
        } else {
            &self.sources
        }
    }

    /// True when the manifests come from `sources`.
    pub fn has_several_sources(&self) -> bool {
        !self.sources.is_empty()
    }

    /// Name of the project, `default` when the field is empty.
    pub fn project_name(&self) -> &str {
        if self.project.is_empty() {
            "default"
        } else {
            &self.project
        }
    }

    /// The automated policy, when it is on.
    pub fn automated(&self) -> Option<AutomatedPolicy> {
        let automated = self.sync_policy.as_ref()?.automated?;
        automated.enabled.unwrap_or(true).then_some(automated)
    }

    /// Entries of the history to keep; upstream's default is 10.
    pub fn history_limit(&self) -> usize {
        const DEFAULT: usize = 10;
        self.revision_history_limit
            .map_or(DEFAULT, |limit| usize::try_from(limit).unwrap_or(0))
    }
}
