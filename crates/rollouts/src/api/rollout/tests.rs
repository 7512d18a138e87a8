use serde_json::{Value, json};

use super::*;

fn round_trip(spec: &Value) -> Value {
    let typed: RolloutSpec = serde_json::from_value(spec.clone()).expect("a spec");
    serde_json::to_value(typed).expect("JSON")
}

#[test]
fn every_field_of_a_canary_survives_a_round_trip() {
    let spec = json!({
        "replicas": 3,
        "selector": {"matchLabels": {"app": "a"}},
        "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "i", "futureField": 1}]}},
        "minReadySeconds": 1, "revisionHistoryLimit": 2, "paused": true, "progressDeadlineSeconds": 3,
        "progressDeadlineAbort": true, "restartAt": "2026-01-01T00:00:00Z", "rollbackWindow": {"revisions": 2},
        "analysis": {"successfulRunHistoryLimit": 1, "unsuccessfulRunHistoryLimit": 2},
        "strategy": {"canary": {
            "canaryService": "c", "stableService": "s",
            "steps": [
                {"setWeight": 10}, {"pause": {}}, {"pause": {"duration": "5m"}}, {"pause": {"duration": 5}},
                {"analysis": {"templates": [{"templateName": "t", "clusterScope": true}], "args": [{"name": "a", "valueFrom": {"podTemplateHashValue": "Latest"}}], "dryRun": [{"metricName": "x"}]}},
                {"setCanaryScale": {"weight": 5}}, {"experiment": {"templates": []}},
                {"setHeaderRoute": {"name": "h"}}, {"setMirrorRoute": {"name": "m"}}, {"plugin": {"name": "p"}}
            ],
            "trafficRouting": {"nginx": {"stableIngress": "x"}}, "maxSurge": "25%", "maxUnavailable": 0,
            "analysis": {"templates": [{"templateName": "t"}], "startingStep": 2},
            "antiAffinity": {}, "canaryMetadata": {"labels": {"a": "b"}}, "scaleDownDelaySeconds": 3,
            "dynamicStableScale": true, "pingPong": {"pingService": "a", "pongService": "b"},
            "replicaProgressThreshold": {"type": "Percent", "value": 90}
        }}
    });
    assert_eq!(round_trip(&spec), spec);
}

#[test]
fn every_field_of_a_blue_green_survives_a_round_trip() {
    let spec = json!({
        "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
        "strategy": {"blueGreen": {
            "activeService": "a", "previewService": "p", "previewReplicaCount": 1, "autoPromotionEnabled": false,
            "autoPromotionSeconds": 3, "maxUnavailable": "10%", "scaleDownDelaySeconds": 1, "scaleDownDelayRevisionLimit": 1,
            "prePromotionAnalysis": {"templates": [{"templateName": "t"}]}, "postPromotionAnalysis": {"templates": [{"templateName": "t"}]},
            "abortScaleDownDelaySeconds": 0, "previewMetadata": {"labels": {"a": "b"}}
        }}
    });
    assert_eq!(round_trip(&spec), spec);
}

#[test]
fn status_keeps_unknown_fields_and_reads_nulls() {
    let status = json!({
        "pauseConditions": null, "canary": {"new": 1}, "blueGreen": {}, "HPAReplicas": 2, "observedGeneration": "4", "later": {"x": 1}
    });
    let typed: RolloutStatus = serde_json::from_value(status).expect("a status");
    assert!(typed.pause_conditions.is_empty());
    assert_eq!(
        serde_json::to_value(typed).expect("JSON"),
        json!({"canary": {"new": 1}, "blueGreen": {}, "HPAReplicas": 2, "observedGeneration": "4", "later": {"x": 1}})
    );
}

#[test]
fn an_unknown_pause_reason_is_kept() {
    let condition: PauseCondition =
        serde_json::from_value(json!({"reason": "Later", "startTime": "2026-01-01T00:00:00Z"}))
            .expect("a condition");
    assert_eq!(condition.reason.as_str(), "Later");
}
