//! The operation: what was asked for, and how far it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ApplicationSource, Info, ManagedNamespaceMetadata, RetryStrategy, Revisions, Time};

/// A request, the top-level field `operation` of an Application.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Operation {
    /// What to sync.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncOperation>,
    /// Who asked.
    #[serde(skip_serializing_if = "InitiatedBy::is_empty")]
    pub initiated_by: InitiatedBy,
    /// Free text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub info: Vec<Info>,
    /// What to do after a failure.
    #[serde(skip_serializing_if = "RetryStrategy::is_empty")]
    pub retry: RetryStrategy,
}

impl RetryStrategy {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Details of a sync request.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SyncOperation {
    /// The revision to sync; empty means the one of the source.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub revision: String,
    /// Delete what Git does not hold.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub prune: bool,
    /// Change nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Apply only, or with hooks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_strategy: Option<SyncStrategy>,
    /// Only these objects; empty means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<ResourceRef>,
    /// Sync this source instead of the one of the spec.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<ApplicationSource>,
    /// Sync these sources instead of those of the spec.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<ApplicationSource>,
    /// The revisions to sync, in the order of the sources; an empty one means that of the source.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub revisions: Vec<String>,
    /// Options for the whole sync.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sync_options: Vec<String>,
    /// Sync these objects, as JSON, instead of what the sources hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<String>,
    /// Self-heal attempts so far.
    #[serde(skip_serializing_if = "is_zero")]
    pub auto_heal_attempts_count: i64,
    /// What we do not act on; reported.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde asks for"
)]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

/// Apply only, or with hooks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct SyncStrategy {
    /// Apply without hooks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apply: Option<StrategyApply>,
    /// Apply with hooks, the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook: Option<StrategyApply>,
}

/// Details of a strategy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct StrategyApply {
    /// Delete and create instead of changing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// One object of a partial sync.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct ResourceRef {
    /// Group; empty for the core group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace; empty means any.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

/// Who asked for an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct InitiatedBy {
    /// A person.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// Automated sync.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub automated: bool,
}

impl InitiatedBy {
    /// True when nobody is named.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Phase of an operation or of one of its tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum Phase {
    /// In work, or waiting for a retry when `finishedAt` is set too.
    #[default]
    Running,
    /// Somebody asked for an end.
    Terminating,
    /// Ended without success.
    Failed,
    /// Could not be carried out.
    Error,
    /// Ended well.
    Succeeded,
}

impl Phase {
    /// True when nothing more will happen.
    pub fn completed(self) -> bool {
        matches!(self, Self::Failed | Self::Error | Self::Succeeded)
    }

    /// True for the two ends that are not a success.
    pub fn unsuccessful(self) -> bool {
        matches!(self, Self::Failed | Self::Error)
    }

    /// The word that the API uses.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Terminating => "Terminating",
            Self::Failed => "Failed",
            Self::Error => "Error",
            Self::Succeeded => "Succeeded",
        }
    }
}

/// How far an operation is; the memory of the sync engine.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OperationState {
    /// What was asked for.
    pub operation: Operation,
    /// Its phase.
    pub phase: Phase,
    /// Message for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Results so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_result: Option<SyncResult>,
    /// Start of the operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// End of the operation, or of the last try while a retry is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Retries so far.
    #[serde(skip_serializing_if = "is_zero")]
    pub retry_count: i64,
    /// Members that newer versions may add.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// Results of a sync.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SyncResult {
    /// One row per task.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<ResourceResult>,
    /// The commit.
    pub revision: String,
    /// The source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<ApplicationSource>,
    /// The sources, when there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<ApplicationSource>,
    /// The revisions of several sources.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub revisions: Vec<String>,
    /// What the namespace was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_namespace_metadata: Option<ManagedNamespaceMetadata>,
}

impl SyncResult {
    /// What was synced.
    pub fn synced(&self) -> Revisions {
        Revisions::of_fields(&self.revision, &self.revisions)
    }
}

/// Result of one task. Group, version and namespace are written even when empty: upstream's schema
/// requires them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceResult {
    /// Group; empty for the core group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// `Synced`, `SyncFailed`, `Pruned`, `PruneSkipped`; empty before anything was tried.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// Message for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The hook's type, for hooks.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hook_type: String,
    /// Phase of the task; also for objects that are not hooks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook_phase: Option<Phase>,
    /// Phase of the sync that the task belongs to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sync_phase: String,
    /// Images of the applied object.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
}
