//! The Events of whole updates, in the order in which upstream writes them, each once.

use std::time::Duration;

use reconcile_core::testkit::{FakeApi, Fault};
use serde_json::{Value, json};

use super::{NAMESPACE, PATIENCE, controller, is_healthy, rollout, server, until, update};

/// The reasons of all Events about the Rollout in the order of their times; those of the background writer are waited
/// for until the last one is `last`.
async fn reasons(api: &FakeApi, last: &str) -> Vec<String> {
    let read = || {
        let mut events = api.list("events");
        events.retain(|event| event["regarding"]["kind"] == "Rollout");
        events.sort_by_key(|event| event["eventTime"].as_str().map(str::to_owned));
        let repeated = events.iter().find(|event| !event["series"].is_null());
        assert!(repeated.is_none(), "an Event was repeated: {repeated:#?}");
        let reasons = events.iter().map(|event| event["reason"].as_str());
        reasons.flatten().map(str::to_owned).collect::<Vec<_>>()
    };
    let wait = async {
        while read().last().map(String::as_str) != Some(last) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, wait).await.is_ok();
    assert!(in_time, "no {last}: {:#?}", read());
    let found = read();
    for event in api.list("events") {
        let name = event["metadata"]["name"].as_str().unwrap_or_default();
        api.delete("events", NAMESPACE, name);
    }
    found
}

fn set_status(api: &FakeApi, status: &Value) {
    api.edit("rollouts", NAMESPACE, "web", |rollout| {
        for (key, value) in status.as_object().into_iter().flatten() {
            rollout["status"][key] = value.clone();
        }
    });
}

fn is_paused(rollout: &Value) -> bool {
    rollout["status"]["phase"] == "Paused"
}

const FIRST: [&str; 6] = [
    "RolloutAddedToInformer",
    "RolloutNotCompleted",
    "RolloutUpdated",
    "NewReplicaSetCreated",
    "ScalingReplicaSet",
    "RolloutCompleted",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_writes_its_events_in_order_and_once() {
    let api = server();
    let mut object = rollout(&json!({"canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}}));
    object["spec"]["replicas"] = 1.into();
    api.put(&object);
    let operator = controller(&api);
    until(&api, "deployed", is_healthy).await;
    assert_eq!(reasons(&api, "RolloutCompleted").await, FIRST);

    update(&api, "v2");
    until(&api, "paused", is_paused).await;
    let to_pause = ["ScalingReplicaSet", "RolloutStepCompleted", "RolloutPaused"];
    let begin = [
        "RolloutNotCompleted",
        "RolloutUpdated",
        "NewReplicaSetCreated",
    ];
    assert_eq!(
        reasons(&api, "RolloutPaused").await,
        [&begin[..], &to_pause].concat()
    );

    set_status(&api, &json!({"abort": true}));
    let is_degraded = |rollout: &Value| rollout["status"]["phase"] == "Degraded";
    until(&api, "aborted", is_degraded).await;
    assert_eq!(
        reasons(&api, "RolloutAborted").await,
        ["ScalingReplicaSet", "RolloutAborted"]
    );

    set_status(&api, &json!({"abort": false}));
    until(&api, "paused again", is_paused).await;
    assert_eq!(reasons(&api, "RolloutPaused").await, to_pause);

    set_status(&api, &json!({"pauseConditions": null}));
    until(&api, "promoted", is_healthy).await;
    let end = [
        "RolloutStepCompleted",
        "RolloutResumed",
        "ScalingReplicaSet",
        "RolloutCompleted",
    ];
    assert_eq!(reasons(&api, "RolloutCompleted").await, end);

    api.delete("rollouts", NAMESPACE, "web");
    assert_eq!(reasons(&api, "RolloutDeleted").await, ["RolloutDeleted"]);
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blue_green_writes_its_events_in_order_and_once() {
    let api = server();
    api.put(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "main", "namespace": NAMESPACE},
        "spec": {"selector": {"app": "web"}},
    }));
    api.put(&rollout(&json!({"blueGreen": {"activeService": "main"}})));
    let operator = controller(&api);
    until(&api, "deployed", is_healthy).await;
    let first = reasons(&api, "SwitchService").await;
    assert_eq!(first, [&FIRST[..], &["SwitchService"]].concat());

    update(&api, "v2");
    until(&api, "promoted", is_healthy).await;
    let update = [
        "RolloutNotCompleted",
        "RolloutUpdated",
        "NewReplicaSetCreated",
        "ScalingReplicaSet",
        "SwitchService",
        "RolloutCompleted",
    ];
    assert_eq!(reasons(&api, "RolloutCompleted").await, update);

    // A status that is refused at first repeats nothing; what was done before is reported before.
    api.fail(Fault::status("patch", "rollouts/status", 500, "InternalError").times(1));
    self::update(&api, "v3");
    until(&api, "promoted again", is_healthy).await;
    let mut found = reasons(&api, "RolloutCompleted").await;
    let mut update = update;
    found.sort();
    update.sort_unstable();
    assert_eq!(found, update);
    operator.shutdown.cancel();
}
