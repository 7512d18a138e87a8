//! The whole controller against an API server in memory: what it writes, and what it does when answers
//! are lost.

use reconcile_core::testkit::{FakeApi, Fault};
use serde_json::{Value, json};

use super::cluster::template;
use crate::fake_cluster::{self, NAMESPACE, controller, server};

fn experiment(spec: &Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Experiment",
        "metadata": {"name": "ab", "namespace": NAMESPACE}, "spec": spec
    })
}

fn analysis_template() -> Value {
    // Nothing listens there: the run ends in an error, which is a verdict too.
    let metric = json!({
        "name": "m", "consecutiveErrorLimit": 0, "provider": {"web": {"url": "http://127.0.0.1:9/"}}
    });
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate",
        "metadata": {"name": "check", "namespace": NAMESPACE}, "spec": {"metrics": [metric]}
    })
}

async fn until(api: &FakeApi, what: &str, reached: impl Fn(&Value) -> bool) {
    fake_cluster::until(api, ("experiments", "ab"), what, reached).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_double_nothing() {
    let api = server();
    api.put(&analysis_template());
    api.fail(Fault::lose_answer("create", "replicasets").times(1));
    api.fail(Fault::lose_answer("create", "services").times(1));
    api.fail(Fault::lose_answer("create", "analysisruns").times(1));
    api.fail(Fault::status("patch", "experiments", 500, "InternalError").times(2));
    api.put(&experiment(&json!({
        "templates": [template("a"), template("b")], "scaleDownDelaySeconds": 0,
        "analyses": [{"name": "judge", "templateName": "check"}]
    })));
    let operator = controller(&api);
    until(&api, "judged", |experiment| {
        experiment["status"]["phase"] == "Error"
    })
    .await;
    assert_eq!(api.list("replicasets").len(), 2);
    assert_eq!(api.list("analysisruns").len(), 1);
    let set = api
        .get("replicasets", NAMESPACE, "ab-a")
        .expect("the ReplicaSet");
    let hash = set["metadata"]["labels"]["rollouts-pod-template-hash"].clone();
    assert_eq!(
        set["metadata"]["annotations"]["experiment.argoproj.io/name"],
        "ab"
    );
    assert_eq!(
        set["metadata"]["annotations"]["experiment.argoproj.io/template-name"],
        "a"
    );
    assert_eq!(set["metadata"]["ownerReferences"][0]["kind"], "Experiment");
    assert_eq!(
        set["spec"]["selector"]["matchLabels"],
        json!({"app": "a", "rollouts-pod-template-hash": hash})
    );
    let run = &api.list("analysisruns")[0];
    assert_eq!(run["metadata"]["name"], "ab-judge");
    until(&api, "taken down", |_| {
        let empty = api
            .list("replicasets")
            .iter()
            .all(|set| set["spec"]["replicas"] == 0);
        empty && api.list("services").is_empty()
    })
    .await;
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_has_the_ports_of_the_containers() {
    let api = server();
    api.put(&experiment(&json!({"templates": [template("a")]})));
    let operator = controller(&api);
    until(&api, "reachable", |_| !api.list("services").is_empty()).await;
    let service = api.get("services", NAMESPACE, "ab-a").expect("the Service");
    let set = api
        .get("replicasets", NAMESPACE, "ab-a")
        .expect("the ReplicaSet");
    assert_eq!(
        service["spec"]["ports"],
        json!([{"port": 80, "targetPort": 80, "name": "http"}])
    );
    assert_eq!(service["spec"]["selector"], set["metadata"]["labels"]);
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_taken_is_an_error() {
    let api = server();
    api.put(&json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "ab-a", "namespace": NAMESPACE}, "spec": {"replicas": 3}}));
    api.put(&experiment(&json!({"templates": [template("a")]})));
    let operator = controller(&api);
    until(&api, "refused", |experiment| {
        experiment["status"]["phase"] == "Error"
    })
    .await;
    let status = api
        .get("experiments", NAMESPACE, "ab")
        .expect("the Experiment")["status"]
        .clone();
    assert_eq!(
        status["message"],
        "Failed to create ReplicaSet for template 'a': ab-a exists and does not belong to the Experiment"
    );
    let foreign = api
        .get("replicasets", NAMESPACE, "ab-a")
        .expect("the ReplicaSet");
    assert_eq!(foreign["spec"]["replicas"], 3);
    operator.shutdown.cancel();
}
