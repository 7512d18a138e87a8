//! The whole controller against an API server in memory: what it writes, and what it does when answers
//! are lost.

use std::time::Duration;

use reconcile_core::{
    clock::Clock,
    error::{Classify, ErrorClass},
    object::Root,
    operator::{Operator, install_tls},
    testkit::{FakeApi, FakeKind, Fault},
};
use serde_json::{Value, json};

use super::cluster::template;
use crate::rollout::{
    Effects, RolloutConfig, Sources, observe, observed::Observed, plan::Action, start,
};

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(30);
pub(super) const NAMESPACE: &str = "ns";

pub(super) fn server() -> FakeApi {
    let kind = |kind: &str, plural: &str| FakeKind::new("argoproj.io", "v1alpha1", kind, plural);
    FakeApi::new()
        .with_kind(kind("Rollout", "rollouts"))
        .with_kind(kind("AnalysisRun", "analysisruns").without_status())
        .with_kind(kind("AnalysisTemplate", "analysistemplates").without_status())
        .with_kind(
            kind("ClusterAnalysisTemplate", "clusteranalysistemplates")
                .cluster_scoped()
                .without_status(),
        )
        .with_kind(kind("Experiment", "experiments").without_status())
}

pub(super) fn rollout(strategy: &Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template("v1"), "strategy": strategy}
    })
}

pub(super) fn controller(api: &FakeApi) -> Operator {
    install_tls();
    let operator = Operator::detached(api.client(), Clock::system());
    start(&operator, &RolloutConfig::default()).expect("metrics register once");
    operator
}

/// The ReplicaSet controller and the kubelet: every wanted pod is there and ready.
fn peers(api: &FakeApi) {
    for set in api.list("replicasets") {
        let wanted = set["spec"]["replicas"].clone();
        if set["status"]["availableReplicas"] != wanted || set["status"]["replicas"] != wanted {
            let name = set["metadata"]["name"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            api.edit("replicasets", NAMESPACE, &name, |set| {
                set["status"] = json!({"replicas": wanted, "readyReplicas": wanted, "availableReplicas": wanted});
            });
        }
    }
}

pub(super) fn get(api: &FakeApi) -> Value {
    api.get("rollouts", NAMESPACE, "web").expect("the Rollout")
}

pub(super) async fn until(api: &FakeApi, what: &str, reached: impl Fn(&Value) -> bool) {
    let wait = async {
        while !reached(&get(api)) {
            peers(api);
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, wait).await.is_ok();
    assert!(
        in_time,
        "not {what}: {:#}\n{}",
        get(api)["status"],
        api.writes().join("\n")
    );
}

pub(super) fn is_healthy(rollout: &Value) -> bool {
    let (status, generation) = (
        &rollout["status"],
        rollout["metadata"]["generation"].to_string(),
    );
    status["phase"] == "Healthy"
        && status["stableRS"] == status["currentPodHash"]
        && status["observedGeneration"].as_str() == Some(generation.as_str())
}

/// Writes other than Events, which are sent beside the work.
fn writes(api: &FakeApi) -> Vec<String> {
    api.writes()
        .into_iter()
        .filter(|line| !line.contains(" events"))
        .collect()
}

pub(super) fn update(api: &FakeApi, image: &str) {
    api.edit("rollouts", NAMESPACE, "web", |rollout| {
        rollout["spec"]["template"] = template(image);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_and_an_update_take_few_writes() {
    let api = server();
    api.put(&rollout(
        &json!({"canary": {"steps": [{"setWeight": 50}, {"pause": {"duration": 1}}]}}),
    ));
    let operator = controller(&api);
    until(&api, "deployed", is_healthy).await;
    // ReplicaSet, revision, and one status for each thing that peers did.
    assert!(writes(&api).len() <= 5, "{:#?}", writes(&api));
    let set = api.list("replicasets").remove(0);
    assert_eq!(set["metadata"]["ownerReferences"][0]["controller"], true);
    assert_eq!(
        set["metadata"]["annotations"]["rollout.argoproj.io/revision"],
        "1"
    );
    assert_eq!(
        set["spec"]["selector"]["matchLabels"]["rollouts-pod-template-hash"],
        get(&api)["status"]["stableRS"]
    );
    api.clear_requests();
    update(&api, "v2");
    until(&api, "paused", |rollout| {
        rollout["status"]["phase"] == "Paused"
    })
    .await;
    until(&api, "updated", is_healthy).await;
    assert!(writes(&api).len() <= 14, "{:#?}", writes(&api));
    assert_eq!(
        get(&api)["metadata"]["annotations"]["rollout.argoproj.io/revision"],
        "2"
    );
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_and_conflicts_do_not_double_anything() {
    let api = server();
    api.put(&json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "main", "namespace": NAMESPACE}, "spec": {"selector": {"app": "web"}}}));
    api.put(&rollout(
        &json!({"blueGreen": {"activeService": "main", "scaleDownDelaySeconds": 1}}),
    ));
    api.fail(Fault::lose_answer("create", "replicasets").times(1));
    api.fail(Fault::lose_answer("patch", "services").times(1));
    api.fail(Fault::status("patch", "rollouts/status", 409, "Conflict").times(2));
    api.fail(Fault::status("patch", "rollouts", 500, "InternalError").times(1));
    let operator = controller(&api);
    until(&api, "deployed", is_healthy).await;
    assert_eq!(
        api.list("replicasets").len(),
        1,
        "one template, one ReplicaSet"
    );
    api.fail(Fault::lose_answer("create", "replicasets").times(2));
    api.fail(Fault::lose_answer("patch", "replicasets").times(2));
    update(&api, "v2");
    until(&api, "updated", is_healthy).await;
    let active = get(&api)["status"]["currentPodHash"].clone();
    let service = api.get("services", NAMESPACE, "main").expect("the Service");
    assert_eq!(
        service["spec"]["selector"],
        json!({"app": "web", "rollouts-pod-template-hash": active})
    );
    until(&api, "drained", |rollout| {
        rollout["status"]["replicas"] == 2
    })
    .await;
    assert_eq!(api.list("replicasets").len(), 2);
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_that_the_server_refuses_is_an_invalid_spec() {
    let api = server();
    api.put(&rollout(&json!({"canary": {}})));
    api.fail(Fault::status("create", "replicasets", 422, "Invalid").times(1));
    let operator = controller(&api);
    until(&api, "refused", |rollout| {
        rollout["status"]["phase"] == "Degraded"
    })
    .await;
    assert_eq!(get(&api)["status"]["observedGeneration"], "1");
    // A better template heals it.
    update(&api, "v2");
    until(&api, "healed", is_healthy).await;
    assert!(
        get(&api)["status"]["conditions"]
            .as_array()
            .expect("conditions")
            .iter()
            .all(|condition| condition["type"] != "InvalidSpec")
    );
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_given_back_when_its_rollout_goes() {
    let api = server();
    let selector =
        || api.get("services", NAMESPACE, "main").expect("the Service")["spec"]["selector"].clone();
    for name in ["main", "other"] {
        api.put(&json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": {"selector": {"app": "web"}}}));
    }
    api.put(&rollout(&json!({"blueGreen": {"activeService": "main"}})));
    let operator = controller(&api);
    until(&api, "deployed", is_healthy).await;
    assert!(selector()["rollouts-pod-template-hash"].is_string());
    api.edit("rollouts", NAMESPACE, "web", |rollout| {
        rollout["spec"]["strategy"]["blueGreen"]["activeService"] = "other".into();
    });
    until(&api, "given back", |_| selector() == json!({"app": "web"})).await;
    let other = || {
        api.get("services", NAMESPACE, "other")
            .expect("the Service")
    };
    until(&api, "switched", |_| {
        other()["spec"]["selector"]["rollouts-pod-template-hash"].is_string()
    })
    .await;
    api.delete("rollouts", NAMESPACE, "web");
    let gone = async {
        while other()["spec"]["selector"] != json!({"app": "web"}) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone)
        .await
        .expect("the Service is given back");
    assert!(
        other()["metadata"]["annotations"]
            .as_object()
            .is_none_or(serde_json::Map::is_empty)
    );
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_kept_while_its_rollout_cannot_be_read() {
    /// Long enough for the task that gives Services back to have looked.
    const A_WHILE: Duration = Duration::from_millis(300);
    let api = server();
    api.put(&json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "main", "namespace": NAMESPACE}, "spec": {"selector": {"app": "web"}}}));
    api.put(&rollout(&json!({"blueGreen": {"activeService": "main"}})));
    let operator = controller(&api);
    until(&api, "deployed", is_healthy).await;
    let selector =
        || api.get("services", NAMESPACE, "main").expect("the Service")["spec"]["selector"].clone();
    let before = selector();
    api.edit("rollouts", NAMESPACE, "web", |rollout| {
        rollout["spec"]["strategy"]["blueGreen"]["activeService"] = json!(["main"]);
    });
    until(&api, "refused", |rollout| {
        rollout["status"]["phase"] == "Degraded"
    })
    .await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(selector(), before);
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_service_that_appears_wakes_the_rollout() {
    let api = server();
    api.put(&rollout(&json!({"blueGreen": {"activeService": "main"}})));
    let operator = controller(&api);
    until(&api, "refused", |rollout| {
        rollout["status"]["phase"] == "Degraded"
    })
    .await;
    api.put(&json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "main", "namespace": NAMESPACE}, "spec": {}}));
    until(&api, "healed", is_healthy).await;
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_of_the_server_is_told_on_the_rollout() {
    let api = server();
    api.put(&json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "main", "namespace": NAMESPACE}, "spec": {}}));
    api.put(&rollout(&json!({"blueGreen": {"activeService": "main"}})));
    api.fail(Fault::status("patch", "services", 403, "Forbidden").times(1));
    let operator = controller(&api);
    until(&api, "healed", is_healthy).await;
    let told = || {
        let mut events = api.list("events").into_iter();
        events.find(|event| event["reason"] == "ReconcileError")
    };
    until(&api, "told", |_| told().is_some()).await;
    let event = told().expect("an Event");
    assert_eq!(event["type"], "Warning");
    assert_eq!(event["regarding"]["kind"], "Rollout");
    assert!(
        event["note"]
            .as_str()
            .is_some_and(|note| note.contains("Service")),
        "{event:#}"
    );
    operator.shutdown.cancel();
}

/// What a pass sees of the Rollout as it is in `api` now, with no ReplicaSets.
fn seen(api: &FakeApi, sources: &Sources) -> Observed {
    let root = Root::from_value(&get(api)).expect("a Rollout");
    observe::observe(sources, &root).expect("a valid one")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_that_is_going_takes_no_orphans_along() {
    install_tls();
    let api = server();
    api.put(&rollout(&json!({"canary": {}})));
    let sources = Sources::default();
    let effects = Effects {
        client: api.client(),
        sources: sources.clone(),
        instance_id: String::new(),
    };
    let seen = seen(&api, &sources);
    let orphan = |name: &str| {
        let set = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": {}});
        let version = api.put(&set)["metadata"]["resourceVersion"].clone();
        Action::Adopt {
            name: name.to_owned(),
            version: version.as_str().expect("a version").to_owned(),
        }
    };
    let owners = |name: &str| {
        let set = api
            .get("replicasets", NAMESPACE, name)
            .expect("the ReplicaSet");
        set["metadata"]["ownerReferences"].clone()
    };
    let first = orphan("first");
    effects
        .apply(&seen, &first)
        .await
        .expect("it is taken over");
    assert_eq!(owners("first")[0]["name"], "web");
    // Somebody deletes the Rollout and keeps its pods; the pass has not heard of it.
    api.edit("rollouts", NAMESPACE, "web", |rollout| {
        rollout["metadata"]["finalizers"] = json!(["orphan"]);
        rollout["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    });
    let second = orphan("second");
    let error = effects.apply(&seen, &second).await.expect_err("too late");
    assert_eq!(error.class(), ErrorClass::Conflict);
    assert_eq!(owners("second"), Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_owners_of_a_replica_set_stay() {
    install_tls();
    let api = server();
    api.put(&rollout(&json!({"canary": {}})));
    let sources = Sources::default();
    let effects = Effects {
        client: api.client(),
        sources: sources.clone(),
        instance_id: String::new(),
    };
    let seen = seen(&api, &sources);
    let foreign = json!({"apiVersion": "example.com/v1", "kind": "Backup", "name": "nightly", "uid": "u-backup"});
    let set = api.put(&json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": "web-1", "namespace": NAMESPACE, "ownerReferences": [foreign]}, "spec": {}
    }));
    let text = |field: &str| {
        let value = &set["metadata"][field];
        value.as_str().expect("a text").to_owned()
    };
    let owners = || {
        let set = api.get("replicasets", NAMESPACE, "web-1");
        set.expect("the ReplicaSet")["metadata"]["ownerReferences"].clone()
    };
    let adopt = Action::Adopt {
        name: "web-1".to_owned(),
        version: text("resourceVersion"),
    };
    effects.apply(&seen, &adopt).await.expect("it is adopted");
    let adopted = owners();
    assert_eq!(adopted[0], foreign);
    assert_eq!(
        (&adopted[1]["name"], &adopted[1]["controller"]),
        (&json!("web"), &json!(true))
    );
    let release = Action::Release {
        name: "web-1".to_owned(),
        uid: text("uid"),
    };
    effects
        .apply(&seen, &release)
        .await
        .expect("it is released");
    assert_eq!(owners(), json!([foreign]));
}
