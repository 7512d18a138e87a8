//! Deployments and updates: what they write, lost answers, refusals of the server.

use std::time::Duration;

use reconcile_core::testkit::Fault;
use serde_json::json;

use super::{
    NAMESPACE, controller, get, is_healthy, peers, rollout, server, until, update, writes,
};

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
async fn a_refusal_of_the_server_becomes_an_event_of_the_rollout() {
    let api = server();
    api.put(&json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "main", "namespace": NAMESPACE}, "spec": {}}));
    api.put(&rollout(&json!({"blueGreen": {"activeService": "main"}})));
    api.fail(Fault::status("patch", "services", 403, "Forbidden").times(1));
    let operator = controller(&api);
    until(&api, "healed", is_healthy).await;
    let reported = || {
        let mut events = api.list("events").into_iter();
        events.find(|event| event["reason"] == "ReconciliationError")
    };
    until(&api, "reported", |_| reported().is_some()).await;
    let event = reported().expect("an Event");
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

/// The status is written with a deadline of its own, shorter than that of other requests: a report that is
/// not written is written by the next pass.
#[tokio::test(start_paused = true)]
async fn a_status_write_that_hangs_is_cut_and_repeated() {
    const HANGS: Duration = Duration::from_secs(3600);
    let api = server();
    api.put(&rollout(&json!({"canary": {}})));
    api.fail(Fault::delay("patch", "rollouts/status", HANGS).times(1));
    let begun = tokio::time::Instant::now();
    let operator = controller(&api);
    while !is_healthy(&get(&api)) {
        assert!(begun.elapsed() < HANGS, "{:#}", get(&api)["status"]);
        peers(&api);
        // The clock of the test only moves while everything waits.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let took = begun.elapsed().as_secs();
    assert!((15..60).contains(&took), "{took} s of the paused clock");
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scale_that_arrives_before_the_default_is_written_stays() {
    let api = server();
    let mut unset = rollout(&json!({"canary": {}}));
    unset["spec"]
        .as_object_mut()
        .expect("a map")
        .remove("replicas");
    api.put(&unset);
    // `replicas: 1` is on its way while somebody scales.
    api.fail(Fault::delay("patch", "rollouts", Duration::from_secs(3)).times(1));
    let operator = controller(&api);
    until(&api, "deployed once", |_| {
        !api.list("replicasets").is_empty()
    })
    .await;
    api.edit("rollouts", NAMESPACE, "web", |rollout| {
        rollout["spec"]["replicas"] = json!(5);
    });
    until(&api, "scaled", |rollout| {
        is_healthy(rollout) && rollout["status"]["availableReplicas"] == 5
    })
    .await;
    assert_eq!(get(&api)["spec"]["replicas"], 5);
    operator.shutdown.cancel();
}
