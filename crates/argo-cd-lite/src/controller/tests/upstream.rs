//! What Argo CD's own server reads of a controller that runs.

use reconcile_core::{clock::Clock, listen::ListenAddress, operator::Operator};
use serde_json::{Value, json};

use super::{Bed, config_map};
use crate::redis::{AnswerError, LiveAnswers, live::ControllerAnswers};

const SECRET: &str = "
apiVersion: v1
kind: Secret
metadata: {name: s}
stringData: {key: hush}
";

fn json_of(answer: Result<Option<Vec<u8>>, AnswerError>) -> Value {
    let text = answer.expect("an answer").expect("an Application");
    serde_json::from_slice(&text).expect("JSON")
}

fn state(row: &Value, name: &str) -> Value {
    serde_json::from_str(row[name].as_str().expect("text")).expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trees_and_both_sides_are_answered_as_they_are_now() {
    let files = [
        ("app/a.yaml", &*config_map("a", "1")),
        ("app/s.yaml", SECRET),
    ];
    let (bed, commit) = Bed::with(&files);
    bed.application(&json!({"automated": {}}));
    let operator = Operator::detached(bed.api.client(), Clock::system());
    let context = bed.start(&operator, ListenAddress::default()).await;
    bed.until_synced(&commit).await;
    let answers = ControllerAnswers::new(context);

    let tree = json_of(answers.tree("app".to_owned()).await);
    let nodes = tree["nodes"].as_array().expect("nodes");
    let names: Vec<String> = nodes
        .iter()
        .map(|node| format!("{} {}", node["kind"], node["name"]))
        .collect();
    assert_eq!(names, ["\"ConfigMap\" \"a\"", "\"Secret\" \"s\""]);
    assert!(
        nodes
            .iter()
            .all(|node| node["uid"].is_string() && node["namespace"] == "ns")
    );

    let rows = json_of(answers.managed("app".to_owned()).await);
    assert!(!rows.to_string().contains("aHVzaA"), "{rows}");
    let (map, secret) = (&rows[0], &rows[1]);
    assert_eq!((map.get("modified"), secret.get("modified")), (None, None));
    assert_eq!(state(map, "liveState")["kind"], "ConfigMap");
    assert_eq!(
        state(secret, "liveState")["data"],
        state(secret, "targetState")["data"]
    );

    bed.api.edit("configmaps", "ns", "a", |map| {
        map["data"]["a"] = "by hand".into();
    });
    bed.until("out of sync", |bed| {
        bed.app()["status"]["sync"]["status"] == "OutOfSync"
    })
    .await;
    let rows = json_of(answers.managed("app".to_owned()).await);
    let value = |name: &str| state(&rows[0], name)["data"]["a"].clone();
    assert_eq!(rows[0]["modified"], true);
    assert_eq!(
        [
            "targetState",
            "liveState",
            "normalizedLiveState",
            "predictedLiveState"
        ]
        .map(value),
        ["1", "by hand", "by hand", "1"]
    );

    let cluster = json_of(
        answers
            .cluster("https://kubernetes.default.svc".to_owned())
            .await,
    );
    assert_eq!(cluster["connectionState"]["status"], "Successful");
    assert_eq!(cluster["applicationsCount"], 1);
    for unknown in ["none", "other_app"] {
        assert_eq!(
            answers.tree(unknown.to_owned()).await,
            Ok(None),
            "{unknown}"
        );
    }
    assert_eq!(
        answers.cluster("https://unknown".to_owned()).await,
        Ok(None)
    );
    operator.shutdown.cancel();
}

const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  nodeName: n1
  containers: [{name: c, image: x, resources: {requests: {cpu: 100m}}}]
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trees_show_nodes_and_what_belongs_to_nobody() {
    let files = [("app/a.yaml", &*config_map("a", "1")), ("app/p.yaml", POD)];
    let (bed, commit) = Bed::with(&files);
    let object = |kind: &str, name: &str, namespace: Option<&str>| {
        json!({
            "apiVersion": "v1", "kind": kind,
            "metadata": {"name": name, "namespace": namespace},
        })
    };
    bed.project(&json!({"orphanedResources": {"warn": false, "ignore": [{"kind": "Secret"}]}}));
    bed.api.put(&object("ConfigMap", "left", Some("ns")));
    bed.api.put(&object("Secret", "ignored", Some("ns")));
    bed.api
        .put(&object("ConfigMap", "elsewhere", Some("other")));
    let mut node = object("Node", "n1", None);
    node["metadata"]["labels"] = json!({"zone": "a", "hidden": "b"});
    node["status"] =
        json!({"capacity": {"cpu": "4", "pods": "10"}, "nodeInfo": {"architecture": "arm64"}});
    bed.api.put(&node);
    let mut neighbour = object("Pod", "other", Some("other"));
    neighbour["spec"] = json!({
        "nodeName": "n1",
        "containers": [{"name": "c", "resources": {"requests": {"cpu": "250m"}}}],
    });
    bed.api.put(&neighbour);
    bed.api.put(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "argocd-cm", "namespace": "argocd"},
        "data": {"application.allowedNodeLabels": "zone"},
    }));
    bed.application(&json!({"automated": {}}));
    let operator = Operator::detached(bed.api.client(), Clock::system());
    let context = bed.start(&operator, ListenAddress::default()).await;
    bed.until_synced(&commit).await;
    let answers = ControllerAnswers::new(context);

    let tree = json_of(answers.tree("app".to_owned()).await);
    let orphans = tree["orphanedNodes"].as_array().expect("orphans");
    let orphans: Vec<&Value> = orphans.iter().map(|node| &node["name"]).collect();
    assert_eq!(orphans, ["left"]);
    let host = &tree["hosts"][0];
    assert_eq!(
        (&host["name"], &host["labels"]),
        (&json!("n1"), &json!({"zone": "a"}))
    );
    assert_eq!(host["systemInfo"]["architecture"], "arm64");
    assert_eq!(
        host["resourcesInfo"],
        json!([{
            "resourceName": "cpu", "capacity": 4000,
            "requestedByApp": 100, "requestedByNeighbors": 250,
        }])
    );
    operator.shutdown.cancel();
}
