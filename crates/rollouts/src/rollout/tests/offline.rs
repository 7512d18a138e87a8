use jiff::Timestamp;
use serde_json::{Value, json};

use super::cluster::template;
use crate::offline::explain;

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

fn rollout(image: &str) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "web"},
        "spec": {
            "replicas": 4, "selector": {"matchLabels": {"app": "web"}}, "template": template(image),
            "strategy": {"canary": {"stableService": "old", "canaryService": "new", "steps": [{"setWeight": 25}, {"analysis": {"templates": [{"templateName": "check"}]}}]}}
        }
    })
}

#[test]
fn a_manifest_alone_is_a_first_deployment() {
    insta::assert_snapshot!(explain(vec![rollout("v1")], now()).expect("a plan").text);
}

#[test]
fn a_wanted_manifest_is_planned_from_what_is_there() {
    let hash = "abc";
    let labels = json!({"app": "web", "rollouts-pod-template-hash": hash});
    let mut there = rollout("v1");
    there["metadata"]["uid"] = "u".into();
    there["metadata"]["generation"] = 1.into();
    there["metadata"]["annotations"] = json!({"rollout.argoproj.io/revision": "1"});
    there["status"] = json!({"phase": "Healthy", "stableRS": hash, "currentPodHash": hash, "currentStepIndex": 2, "observedGeneration": "1", "canary": {}, "blueGreen": {}});
    let set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": "web-abc", "uid": "s", "labels": labels, "annotations": {"rollout.argoproj.io/revision": "1", "rollout.argoproj.io/desired-replicas": "4"},
            "ownerReferences": [{"kind": "Rollout", "name": "web", "uid": "u", "controller": true, "apiVersion": "argoproj.io/v1alpha1"}]},
        "spec": {"replicas": 4, "template": template("v1")},
        "status": {"replicas": 4, "readyReplicas": 4, "availableReplicas": 4}
    });
    let list = json!({"kind": "List", "items": [there, set]});
    let objects = list["items"]
        .as_array()
        .cloned()
        .expect("objects")
        .into_iter()
        .chain([rollout("v2")])
        .collect();
    insta::assert_snapshot!(explain(objects, now()).expect("a plan").text);
}

#[test]
fn a_wrong_manifest_is_refused_with_the_field() {
    let mut wrong = rollout("v1");
    wrong["spec"]["strategy"]["canary"]["steps"][0]["setWeight"] = 200.into();
    let text = explain(vec![wrong], now()).expect("an answer").text;
    assert!(
        text.contains("refused: spec.strategy.canary.steps[0].setWeight"),
        "{text}"
    );
    assert!(
        explain(Vec::new(), now()).is_err(),
        "no Rollout is an error"
    );
}

fn experiment(selector: &str) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Experiment", "metadata": {"name": "ab"},
        "spec": {
            "duration": "5m",
            "templates": [{"name": "a", "replicas": 2, "selector": {"matchLabels": {"app": selector}}, "template": template("v1")}],
            "analyses": [{"name": "judge", "templateName": "check"}],
        }
    })
}

#[test]
fn an_experiment_is_planned_from_what_is_there() {
    let found = explain(vec![experiment("web")], now()).expect("a plan");
    assert!(!found.refused);
    insta::assert_snapshot!(found.text);

    let mut running = experiment("web");
    running["status"] = json!({
        "phase": "Running", "availableAt": "2025-12-31T23:50:00Z",
        "templateStatuses": [{"name": "a", "status": "Running", "replicas": 2, "availableReplicas": 2}],
        "analysisRuns": [{"name": "judge", "analysisRun": "ab-judge", "phase": "Successful"}],
    });
    let set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": "ab-a", "uid": "s", "labels": {"app": "web", "rollouts-pod-template-hash": "x"},
            "annotations": {"experiment.argoproj.io/name": "ab", "experiment.argoproj.io/template-name": "a"},
            "ownerReferences": [{"kind": "Experiment", "name": "ab", "uid": "e", "controller": true, "apiVersion": "argoproj.io/v1alpha1"}],
        },
        "spec": {"replicas": 2, "template": template("v1")},
        "status": {"replicas": 2, "readyReplicas": 2, "availableReplicas": 2},
    });
    let run = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun",
        "metadata": {"name": "ab-judge", "uid": "r", "ownerReferences": [{"kind": "Experiment", "name": "ab", "uid": "e", "controller": true, "apiVersion": "argoproj.io/v1alpha1"}]},
        "spec": {"metrics": []}, "status": {"phase": "Successful"},
    });
    let found = explain(vec![running, set, run], now()).expect("a plan");
    insta::assert_snapshot!(found.text);

    let refused = explain(vec![experiment("other")], now()).expect("an answer");
    assert!(refused.refused, "{}", refused.text);
    let field = "refused: spec.templates[0].template.metadata.labels: ";
    assert!(refused.text.contains(field), "{}", refused.text);
}
