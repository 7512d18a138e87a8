//! Which status fields the operators write. The other side of the contract: dashboards, scripts and
//! other controllers read them. (The ledgers of the operators speak about what users write.)

use reconcile_core::fields::{Field, reported, supported, supported_note};

const COPY: &str = "a copy of what was asked for";
const VERIFICATION: &str = "with --aws-verify-target-group";

const APPLICATION: &[Field] = &[
    supported("status.conditions"),
    supported("status.controllerNamespace"),
    supported("status.health"),
    supported("status.history[].deployStartedAt"),
    supported("status.history[].deployedAt"),
    supported("status.history[].id"),
    supported("status.history[].initiatedBy"),
    supported("status.history[].revision"),
    supported("status.history[].revisions"),
    supported_note("status.history[].source.**", COPY),
    supported_note("status.history[].sources.**", COPY),
    reported("status.observedAt", "upstream does not write it any more"),
    supported("status.operationState.finishedAt"),
    supported("status.operationState.message"),
    supported_note("status.operationState.operation.**", COPY),
    supported("status.operationState.phase"),
    supported("status.operationState.retryCount"),
    supported("status.operationState.startedAt"),
    supported("status.operationState.syncResult.managedNamespaceMetadata.**"),
    supported("status.operationState.syncResult.resources"),
    supported("status.operationState.syncResult.revision"),
    supported("status.operationState.syncResult.revisions"),
    supported_note("status.operationState.syncResult.source.**", COPY),
    supported_note("status.operationState.syncResult.sources.**", COPY),
    supported("status.reconciledAt"),
    supported("status.resourceHealthSource"),
    supported("status.resources.**"),
    reported(
        "status.sourceHydrator.**",
        "manifests are not written back to Git",
    ),
    supported("status.sourceType"),
    supported("status.sourceTypes"),
    supported("status.summary.externalURLs"),
    supported("status.summary.images"),
    supported("status.summary.isAppOfApps"),
    supported("status.sync.comparedTo.destination"),
    supported("status.sync.comparedTo.ignoreDifferences"),
    supported_note("status.sync.comparedTo.source.**", COPY),
    supported_note("status.sync.comparedTo.sources.**", COPY),
    supported("status.sync.revision"),
    supported("status.sync.revisions"),
    supported("status.sync.status"),
];

const APP_PROJECT: &[Field] = &[reported(
    "status.jwtTokensByRole.**",
    "tokens of roles; written by Argo CD's API server only",
)];

const CONDITIONS: &[Field] = &[supported("status.conditions")];

const EVENT_BUS: &[Field] = &[
    supported("status.conditions"),
    supported("status.config.**"),
    supported("status.maxPayload"),
];

const ROLLOUT: &[Field] = &[
    supported("status.HPAReplicas"),
    supported("status.abort"),
    supported("status.abortedAt"),
    supported_note("status.alb.**", VERIFICATION),
    supported_note("status.albs.**", VERIFICATION),
    supported("status.availableReplicas"),
    supported("status.blueGreen"),
    supported("status.canary.currentBackgroundAnalysisRunStatus"),
    supported("status.canary.currentExperiment"),
    supported("status.canary.currentStepAnalysisRunStatus"),
    supported("status.canary.stablePingPong"),
    supported_note(
        "status.canary.stepPluginStatuses.**",
        "ConfigMaps with flags that an update edited",
    ),
    supported("status.canary.weights.additional.**"),
    supported("status.canary.weights.canary"),
    supported("status.canary.weights.stable"),
    supported("status.canary.weights.verified"),
    supported("status.collisionCount"),
    supported("status.conditions"),
    supported("status.controllerPause"),
    supported("status.currentPodHash"),
    supported("status.currentStepHash"),
    supported("status.currentStepIndex"),
    supported("status.duration.**"),
    supported("status.message"),
    supported("status.observedGeneration"),
    supported("status.pauseConditions"),
    supported("status.phase"),
    supported("status.promoteFull"),
    supported("status.readyReplicas"),
    supported("status.replicas"),
    supported("status.restartedAt"),
    supported("status.selector"),
    supported("status.stableRS"),
    supported("status.updatedReplicas"),
    supported("status.workloadObservedGeneration"),
];

const ANALYSIS_RUN: &[Field] = &[
    supported("status.completedAt"),
    supported("status.dryRunSummary"),
    supported("status.message"),
    supported("status.metricResults"),
    supported("status.phase"),
    supported("status.runSummary"),
    supported("status.startedAt"),
];

const EXPERIMENT: &[Field] = &[
    supported("status.analysisRuns.**"),
    supported("status.availableAt"),
    supported("status.conditions"),
    supported("status.message"),
    supported("status.phase"),
    supported_note(
        "status.templateStatuses[].collisionCount",
        "kept; a name that is taken is an error of the template",
    ),
    supported("status.templateStatuses.**"),
];

/// Rows for `status` of a kind.
pub(super) fn fields(kind: &str) -> impl Iterator<Item = &'static Field> + use<> {
    let table = match kind {
        "Application" => APPLICATION,
        "AppProject" => APP_PROJECT,
        "EventBus" => EVENT_BUS,
        "EventSource" | "Sensor" => CONDITIONS,
        "Rollout" => ROLLOUT,
        "AnalysisRun" => ANALYSIS_RUN,
        "Experiment" => EXPERIMENT,
        _ => &[],
    };
    table.iter()
}
