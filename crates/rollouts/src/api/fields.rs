//! Which fields of a Rollout have an effect. The tables of the analysis kinds are in
//! [`crate::api::analysis_fields`].

use reconcile_core::fields::{Field, Ledger, message, reported, supported, supported_note};
use serde_json::Value;

use super::{analysis_fields, experiment_fields};

const ROLLOUT_FIELDS: &[Field] = &[
    supported("spec.replicas"),
    supported("spec.selector.**"),
    supported_note("spec.template.**", "copied as it is"),
    supported_note(
        "spec.workloadRef.**",
        "Deployment, ReplicaSet, PodTemplate; scaleDown acts for the first version, as upstream",
    ),
    supported("spec.minReadySeconds"),
    supported("spec.revisionHistoryLimit"),
    supported_note(
        "spec.paused",
        "the number of pods follows spec.replicas meanwhile",
    ),
    supported("spec.progressDeadlineSeconds"),
    supported("spec.progressDeadlineAbort"),
    supported_note(
        "spec.restartAt",
        "pods are evicted, as many at a time as maxUnavailable allows; PodDisruptionBudgets hold them back",
    ),
    supported("spec.rollbackWindow.revisions"),
    supported("spec.analysis.successfulRunHistoryLimit"),
    supported("spec.analysis.unsuccessfulRunHistoryLimit"),
];

const CANARY_FIELDS: &[Field] = &[
    supported("spec.strategy.canary.canaryService"),
    supported("spec.strategy.canary.stableService"),
    supported("spec.strategy.canary.steps[].setWeight"),
    supported("spec.strategy.canary.steps[].pause"),
    supported("spec.strategy.canary.steps[].pause.duration"),
    supported("spec.strategy.canary.steps[].analysis.**"),
    supported_note(
        "spec.strategy.canary.steps[].setCanaryScale.**",
        "with trafficRouting",
    ),
    supported("spec.strategy.canary.steps[].experiment.**"),
    supported_note(
        "spec.strategy.canary.steps[].experiment.templates[].weight",
        "ALB, SMI, Istio, Gateway API; InvalidSpec with other routers, as upstream",
    ),
    supported_note(
        "spec.strategy.canary.steps[].setHeaderRoute.**",
        "Gateway API, Istio, APISIX; ALB by exact values",
    ),
    supported_note(
        "spec.strategy.canary.steps[].setMirrorRoute.**",
        "Gateway API, Istio",
    ),
    supported_note(
        "spec.strategy.canary.steps[].plugin.**",
        "feature-flag is built in; any other stops the Rollout",
    ),
    supported("spec.strategy.canary.trafficRouting.nginx.**"),
    supported("spec.strategy.canary.trafficRouting.maxTrafficWeight"),
    supported_note(
        "spec.strategy.canary.trafficRouting.plugins.**",
        "argoproj-labs/gatewayAPI is built in: HTTP, GRPC, TCP and TLS routes by name or label; any other stops the Rollout",
    ),
    supported("spec.strategy.canary.trafficRouting.managedRoutes.**"),
    supported_note(
        "spec.strategy.canary.trafficRouting.istio.**",
        "VirtualServices of the namespace of the Rollout; other subsets stay",
    ),
    supported_note(
        "spec.strategy.canary.trafficRouting.alb.**",
        "with --aws-verify-target-group a step waits until AWS has the weights",
    ),
    supported_note(
        "spec.strategy.canary.trafficRouting.smi.**",
        "TrafficSplit of split.smi-spec.io/v1alpha2",
    ),
    supported_note(
        "spec.strategy.canary.trafficRouting.traefik.**",
        "TraefikService of traefik.io/v1alpha1",
    ),
    supported_note(
        "spec.strategy.canary.trafficRouting.apisix.**",
        "ApisixRoute of apisix.apache.org/v2",
    ),
    supported_note(
        "spec.strategy.canary.trafficRouting.ambassador.**",
        "Mapping of getambassador.io/v2",
    ),
    reported(
        "spec.strategy.canary.trafficRouting.appMesh.**",
        "AWS ended App Mesh; a Rollout that sets it is not acted upon and says so in InvalidSpec",
    ),
    supported_note(
        "spec.strategy.canary.pingPong.**",
        "ALB with rootService, Istio, Gateway API",
    ),
    supported_note(
        "spec.strategy.canary.maxSurge",
        "any text is a percentage, as upstream",
    ),
    supported_note(
        "spec.strategy.canary.maxUnavailable",
        "any text is a percentage, as upstream",
    ),
    supported("spec.strategy.canary.analysis.**"),
    supported("spec.strategy.canary.antiAffinity.**"),
    supported("spec.strategy.canary.canaryMetadata.**"),
    supported("spec.strategy.canary.stableMetadata.**"),
    supported_note(
        "spec.strategy.canary.scaleDownDelaySeconds",
        "InvalidSpec without trafficRouting",
    ),
    supported_note(
        "spec.strategy.canary.scaleDownDelayRevisionLimit",
        "with trafficRouting",
    ),
    supported_note(
        "spec.strategy.canary.abortScaleDownDelaySeconds",
        "with trafficRouting; 0 keeps the pods",
    ),
    supported_note(
        "spec.strategy.canary.dynamicStableScale",
        "with trafficRouting",
    ),
    supported_note(
        "spec.strategy.canary.minPodsPerReplicaSet",
        "with trafficRouting",
    ),
    supported("spec.strategy.canary.replicaProgressThreshold.type"),
    supported("spec.strategy.canary.replicaProgressThreshold.value"),
];

const BLUE_GREEN_FIELDS: &[Field] = &[
    supported("spec.strategy.blueGreen.activeService"),
    supported("spec.strategy.blueGreen.previewService"),
    supported("spec.strategy.blueGreen.previewReplicaCount"),
    supported("spec.strategy.blueGreen.autoPromotionEnabled"),
    supported_note(
        "spec.strategy.blueGreen.autoPromotionSeconds",
        "without effect when autoPromotionEnabled is false, as upstream",
    ),
    supported_note(
        "spec.strategy.blueGreen.maxUnavailable",
        "for restarts only, as upstream",
    ),
    supported_note(
        "spec.strategy.blueGreen.scaleDownDelaySeconds",
        "0 scales down at once; upstream never does",
    ),
    supported("spec.strategy.blueGreen.scaleDownDelayRevisionLimit"),
    supported("spec.strategy.blueGreen.prePromotionAnalysis.**"),
    supported("spec.strategy.blueGreen.postPromotionAnalysis.**"),
    supported("spec.strategy.blueGreen.antiAffinity.**"),
    supported("spec.strategy.blueGreen.previewMetadata.**"),
    supported("spec.strategy.blueGreen.activeMetadata.**"),
    supported("spec.strategy.blueGreen.abortScaleDownDelaySeconds"),
];

/// The tables of Rollout.
pub const ROLLOUT: Ledger = Ledger {
    kind: "Rollout",
    tables: &[ROLLOUT_FIELDS, CANARY_FIELDS, BLUE_GREEN_FIELDS],
};

/// The tables of all kinds of this binary.
pub const LEDGERS: &[Ledger] = &[
    ROLLOUT,
    analysis_fields::LEDGERS[0],
    analysis_fields::LEDGERS[1],
    analysis_fields::LEDGERS[2],
    experiment_fields::EXPERIMENT,
];

/// The fields of a spec that have no effect, as a sentence for a condition; empty when there are none.
pub fn unsupported(spec: &Value) -> String {
    message(&ROLLOUT.findings(spec, "spec"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_supported_manifest_has_no_findings() {
        let spec = json!({
            "replicas": 2, "selector": {"matchLabels": {"a": "b"}},
            "template": {"spec": {"containers": [{"name": "c"}]}},
            "strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}, {"pause": {"duration": "1m"}}]}}
        });
        assert_eq!(unsupported(&spec), "");
    }

    #[test]
    fn ignored_fields_are_named() {
        let spec = json!({"another": 2, "strategy": {"canary": {"typo": 1}}});
        let text = unsupported(&spec);
        assert!(
            text.contains("spec.another") && text.contains("canary.typo"),
            "{text}"
        );
    }
}
