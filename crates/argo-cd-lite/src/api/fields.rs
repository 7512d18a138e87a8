//! The support ledger of `Application` and `AppProject`.

use reconcile_core::fields::{Field, Ledger, planned, reported, supported, supported_note};

const NO_TOOL: &str = "only plain YAML and JSON folders are rendered";
const NO_SOURCES: &str = "only one source per Application";
const NO_HYDRATOR: &str = "manifests are not written back to Git";

/// Fields of an Application.
pub const APPLICATION: &[Field] = &[
    supported("spec.destination.name"),
    supported("spec.destination.namespace"),
    supported_note(
        "spec.destination.server",
        "the cluster this process runs against",
    ),
    supported("spec.ignoreDifferences[].group"),
    supported("spec.ignoreDifferences[].kind"),
    supported("spec.ignoreDifferences[].name"),
    supported("spec.ignoreDifferences[].namespace"),
    supported("spec.ignoreDifferences[].jsonPointers"),
    supported_note(
        "spec.ignoreDifferences[].jqPathExpressions",
        "paths, select, conditions and `..`; what could loop is refused",
    ),
    supported("spec.ignoreDifferences[].managedFieldsManagers"),
    supported("spec.info[].name"),
    supported("spec.info[].value"),
    supported("spec.project"),
    supported("spec.revisionHistoryLimit"),
    supported("spec.source.repoURL"),
    supported("spec.source.path"),
    supported("spec.source.targetRevision"),
    supported("spec.source.tagPrefix"),
    supported_note(
        "spec.source.name",
        "without effect on a single source, as upstream",
    ),
    supported("spec.source.directory.recurse"),
    supported("spec.source.directory.include"),
    supported("spec.source.directory.exclude"),
    supported("spec.source.directory.disableExtensionFilter"),
    planned("spec.source.directory.jsonnet.**", NO_TOOL),
    planned("spec.source.chart", NO_TOOL),
    planned("spec.source.helm.**", NO_TOOL),
    planned("spec.source.kustomize.**", NO_TOOL),
    planned("spec.source.plugin.**", NO_TOOL),
    planned("spec.source.ref", NO_SOURCES),
    planned("spec.sources.**", NO_SOURCES),
    reported("spec.sourceHydrator.**", NO_HYDRATOR),
    supported("spec.syncPolicy.automated.allowEmpty"),
    supported("spec.syncPolicy.automated.enabled"),
    supported("spec.syncPolicy.automated.prune"),
    supported("spec.syncPolicy.automated.selfHeal"),
    supported("spec.syncPolicy.managedNamespaceMetadata.annotations"),
    supported("spec.syncPolicy.managedNamespaceMetadata.labels"),
    supported("spec.syncPolicy.retry.limit"),
    supported("spec.syncPolicy.retry.refresh"),
    supported("spec.syncPolicy.retry.backoff.duration"),
    supported("spec.syncPolicy.retry.backoff.factor"),
    supported("spec.syncPolicy.retry.backoff.maxDuration"),
    supported_note(
        "spec.syncPolicy.syncOptions",
        "objects are applied server-side, and client-side where server-side apply refuses repeated list items",
    ),
    supported("operation.info[].name"),
    supported("operation.info[].value"),
    supported("operation.initiatedBy.automated"),
    supported("operation.initiatedBy.username"),
    supported("operation.retry.limit"),
    supported("operation.retry.refresh"),
    supported("operation.retry.backoff.duration"),
    supported("operation.retry.backoff.factor"),
    supported("operation.retry.backoff.maxDuration"),
    supported("operation.sync.autoHealAttemptsCount"),
    supported("operation.sync.dryRun"),
    supported("operation.sync.prune"),
    supported("operation.sync.resources"),
    supported("operation.sync.revision"),
    supported("operation.sync.source.repoURL"),
    supported("operation.sync.source.path"),
    supported("operation.sync.source.targetRevision"),
    supported("operation.sync.source.tagPrefix"),
    supported("operation.sync.source.name"),
    supported("operation.sync.source.directory.recurse"),
    supported("operation.sync.source.directory.include"),
    supported("operation.sync.source.directory.exclude"),
    supported("operation.sync.source.directory.disableExtensionFilter"),
    planned("operation.sync.source.**", NO_TOOL),
    planned("operation.sync.manifests", "local manifests are not taken"),
    planned("operation.sync.revisions", NO_SOURCES),
    planned("operation.sync.sources.**", NO_SOURCES),
    supported("operation.sync.syncOptions"),
    supported("operation.sync.syncStrategy.apply.force"),
    supported("operation.sync.syncStrategy.hook.force"),
];

/// Fields of an AppProject.
pub const APP_PROJECT: &[Field] = &[
    supported("spec.clusterResourceBlacklist"),
    supported("spec.clusterResourceWhitelist"),
    supported("spec.namespaceResourceBlacklist"),
    supported("spec.namespaceResourceWhitelist"),
    supported("spec.description"),
    supported("spec.destinations"),
    supported("spec.sourceRepos"),
    supported("spec.sourceNamespaces"),
    supported_note(
        "spec.roles.**",
        "rights of API users; without effect on the controller",
    ),
    supported_note(
        "spec.permitOnlyProjectScopedClusters",
        "there is one cluster, and it belongs to no project",
    ),
    planned(
        "spec.destinationServiceAccounts",
        "syncs run with the controller's own rights",
    ),
    planned(
        "spec.orphanedResources.**",
        "orphaned objects are not listed",
    ),
    planned("spec.signatureKeys", "signatures are not checked"),
    planned("spec.sourceIntegrity.**", "signatures are not checked"),
    supported("spec.syncWindows"),
];

/// The ledgers of the kinds that this operator reads.
pub const LEDGERS: &[Ledger] = &[
    Ledger {
        kind: "Application",
        tables: &[APPLICATION],
    },
    Ledger {
        kind: "AppProject",
        tables: &[APP_PROJECT],
    },
];
