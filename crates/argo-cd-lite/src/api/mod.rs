//! The objects that this operator serves, as the API has them: names are upstream's.

mod application;
mod appproject;
pub mod fields;
mod operation;
mod source;
mod status;
mod time;

pub use application::{
    Application, ApplicationDestination, ApplicationSpec, AutomatedPolicy, IgnoreDifference, Info,
    ManagedNamespaceMetadata, RetryBackoff, RetryStrategy, SyncPolicy,
};
pub use appproject::{
    AppProject, AppProjectSpec, ClusterResourceItem, DestinationServiceAccount, GitIntegrity,
    GitIntegrityPolicy, GpgPolicy, GroupKindItem, IntegrityRepository, OrphanIgnore,
    OrphanedResources, ProjectDestination, ProjectStatus, SignatureKey, SourceIntegrity,
    SyncWindow,
};
pub use operation::{
    InitiatedBy, Operation, OperationState, Phase, ResourceRef, ResourceResult, StrategyApply,
    SyncOperation, SyncResult, SyncStrategy,
};
pub use source::{
    ApplicationSource, DirectorySource, HelmFileParameter, HelmParameter, HelmSource,
    JsonnetSource, JsonnetVar, KustomizePatch, KustomizeReplica, KustomizeSource, Revisions,
};
pub use status::{
    ApplicationStatus, ComparedTo, Condition, HealthStatus, HistoryEntry, ResourceStatus, Summary,
    SyncStatus,
};
pub use time::Time;

/// Namespace of the control plane unless the command line names another one.
pub const DEFAULT_NAMESPACE: &str = "argocd";
/// The API server of the cluster that the control plane runs in, as destinations spell it.
pub const IN_CLUSTER_SERVER: &str = "https://kubernetes.default.svc";
/// The symbolic name of that cluster, unless a cluster Secret names it otherwise.
pub const IN_CLUSTER_NAME: &str = "in-cluster";
/// Field manager of everything that this operator applies; upstream's, so that ownership carries over.
pub const FIELD_MANAGER: &str = "argocd-controller";

/// Annotation on an Application that asks for a refresh; `hard` also drops rendered manifests.
pub const ANNOTATION_REFRESH: &str = "argocd.argoproj.io/refresh";
/// Annotation that distinguishes one request for a refresh from the next.
pub const ANNOTATION_REFRESH_TIMESTAMP: &str = "argocd.argoproj.io/refresh-timestamp";
/// Annotation on an Application that stops all processing, deletion included.
pub const ANNOTATION_SKIP_RECONCILE: &str = "argocd.argoproj.io/skip-reconcile";
/// Annotation that names the owner of an object and the object itself.
pub const ANNOTATION_TRACKING_ID: &str = "argocd.argoproj.io/tracking-id";
/// Annotation that names the installation that manages an object.
pub const ANNOTATION_INSTALLATION_ID: &str = "argocd.argoproj.io/installation-id";
/// Annotation with a comma list of comparison options.
pub const ANNOTATION_COMPARE_OPTIONS: &str = "argocd.argoproj.io/compare-options";
/// Annotation with a comma list of sync options.
pub const ANNOTATION_SYNC_OPTIONS: &str = "argocd.argoproj.io/sync-options";
/// Annotation with the wave of an object.
pub const ANNOTATION_SYNC_WAVE: &str = "argocd.argoproj.io/sync-wave";
/// Annotation with the phases in which an object is a hook.
pub const ANNOTATION_HOOK: &str = "argocd.argoproj.io/hook";
/// Annotation with the delete policies of a hook.
pub const ANNOTATION_HOOK_DELETE_POLICY: &str = "argocd.argoproj.io/hook-delete-policy";
/// Annotation that keeps an object out of the health of its application.
pub const ANNOTATION_IGNORE_HEALTH: &str = "argocd.argoproj.io/ignore-healthcheck";
/// Annotation that stops the restart-policy rule of Pod health.
pub const ANNOTATION_IGNORE_RESTART_POLICY: &str = "argocd.argoproj.io/ignore-restart-policy";
/// Annotation of ours on hooks: the operation that created them, so that a restart knows its own hooks.
pub const ANNOTATION_OPERATION: &str = "argocd-lite.argoproj.io/operation";
/// Finalizer of hooks: their result must be read before they may vanish.
pub const HOOK_FINALIZER: &str = "argocd.argoproj.io/hook-finalizer";
/// Annotation on an Application: the time at which a person confirmed prunes and deletions that ask for it.
pub const ANNOTATION_DELETION_APPROVED: &str = "argocd.argoproj.io/deletion-approved";
/// Finalizer of Applications with `PreDelete` hooks, while these have not run.
pub const PRE_DELETE_FINALIZER: &str = "pre-delete-finalizer.argocd.argoproj.io";
/// Finalizer of Applications with `PostDelete` hooks, while these have not run.
pub const POST_DELETE_FINALIZER: &str = "post-delete-finalizer.argocd.argoproj.io";
/// Ending of the two finalizers above while the objects of the hooks have not been removed.
pub const CLEANUP: &str = "/cleanup";
/// Finalizer of Applications whose objects go with them.
pub const RESOURCES_FINALIZER: &str = "resources-finalizer.argocd.argoproj.io";

/// True for the texts that Go parses as true.
pub fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "TRUE" | "true" | "True")
}
