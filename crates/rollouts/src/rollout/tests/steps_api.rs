//! Steps with an Experiment and with feature flags against an API server in memory, with lost answers.

use std::time::Duration;

use reconcile_core::{
    operator::Operator,
    testkit::{FakeApi, Fault},
};
use serde_json::{Value, json};

use super::fake_api::{
    NAMESPACE, PATIENCE, controller, get, is_healthy, rollout, server, until, update,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_experiment_is_created_once_and_decides_about_the_step() {
    let api = server();
    let step = json!({"experiment": {"duration": "1s", "scaleDownDelaySeconds": 0, "templates": [
        {"name": "old", "specRef": "stable", "metadata": {"labels": {"role": "old"}}},
        {"name": "new", "specRef": "canary", "metadata": {"labels": {"role": "new"}}}
    ]}});
    api.put(&rollout(
        &json!({"canary": {"steps": [{"setWeight": 50}, step]}}),
    ));
    let operator = controller(&api);
    until(&api, "deployed", is_healthy).await;
    api.fail(Fault::lose_answer("create", "experiments").times(1));
    api.fail(Fault::status("patch", "rollouts/status", 409, "Conflict").times(1));
    update(&api, "v2");
    until(&api, "updated", is_healthy).await;
    let all = api.list("experiments");
    assert_eq!(all.len(), 1, "{all:#?}");
    let experiment = &all[0];
    assert_eq!(experiment["status"]["phase"], "Successful");
    assert_eq!(
        experiment["metadata"]["ownerReferences"][0]["kind"],
        "Rollout"
    );
    let image = |index: usize| {
        let template = &experiment["spec"]["templates"][index]["template"];
        template["spec"]["containers"][0]["image"].clone()
    };
    assert_eq!((image(0), image(1)), (json!("v1"), json!("v2")));
    operator.shutdown.cancel();
}

fn flag_step(change: &Value) -> Value {
    let mut config =
        json!({"configMap": "flags", "key": "shop.json", "flag": "checkout", "variant": "on"});
    for (key, value) in change.as_object().expect("an object") {
        config[key.as_str()] = value.clone();
    }
    json!({"plugin": {"name": "feature-flag", "config": config}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flag_is_edited_once_and_put_back_by_an_abort() {
    let api = server();
    let definition = json!({"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off"});
    let text = json!({"flags": {"checkout": definition, "other": {"x": 1}}}).to_string();
    api.put(&json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "flags", "namespace": NAMESPACE},
        "data": {"shop.json": text, "else.json": "not ours"}
    }));
    api.put(&rollout(
        &json!({"canary": {"steps": [flag_step(&json!({"percentage": 30})), {"pause": {}}]}}),
    ));
    let operator = controller(&api);
    until(&api, "deployed", is_healthy).await;
    let map = || {
        api.get("configmaps", NAMESPACE, "flags")
            .expect("the ConfigMap")
    };
    let flags = || -> Value {
        let text = map()["data"]["shop.json"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        serde_json::from_str(&text).expect("JSON")
    };
    api.fail(Fault::lose_answer("patch", "configmaps").times(1));
    api.fail(Fault::status("patch", "configmaps", 409, "Conflict").times(1));
    update(&api, "v2");
    until(&api, "paused", |rollout| {
        rollout["status"]["phase"] == "Paused"
    })
    .await;
    let split = json!({"fractional": [["on", 30], ["off", 70]]});
    assert_eq!(flags()["flags"]["checkout"]["targeting"], split);
    assert_eq!(flags()["flags"]["other"], json!({"x": 1}));
    assert_eq!(map()["data"]["else.json"], "not ours");
    let kept = map()["metadata"]["annotations"]["rollouts.argoproj.io/feature-flags"].clone();
    let kept: Value = serde_json::from_str(kept.as_str().unwrap_or_default()).expect("JSON");
    assert_eq!(kept["shop.json/checkout"]["before"], definition);
    api.edit("rollouts", NAMESPACE, "web", |rollout| {
        rollout["status"]["abort"] = true.into();
    });
    until(&api, "put back", |_| {
        flags()["flags"]["checkout"] == definition
    })
    .await;
    let annotations = map()["metadata"]["annotations"].clone();
    assert!(
        annotations["rollouts.argoproj.io/feature-flags"].is_null(),
        "{annotations}"
    );
    operator.shutdown.cancel();
}

/// A Rollout whose step has edited the flag and whose update waits, and the definition that stood before.
async fn edited(api: &FakeApi) -> (Operator, Value) {
    let definition = json!({"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off"});
    let text = json!({"flags": {"checkout": definition}}).to_string();
    api.put(&json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "flags", "namespace": NAMESPACE},
        "data": {"shop.json": text}
    }));
    api.put(&rollout(
        &json!({"canary": {"steps": [flag_step(&json!({"percentage": 30})), {"pause": {}}]}}),
    ));
    let operator = controller(api);
    until(api, "deployed", is_healthy).await;
    update(api, "v2");
    until(api, "paused", |rollout| {
        rollout["status"]["phase"] == "Paused"
    })
    .await;
    assert_ne!(flag(api), definition);
    (operator, definition)
}

/// The definition of the flag now.
fn flag(api: &FakeApi) -> Value {
    let map = api.get("configmaps", NAMESPACE, "flags");
    let map = map.expect("the ConfigMap");
    let text = map["data"]["shop.json"].as_str().unwrap_or_default();
    let text: Value = serde_json::from_str(text).expect("JSON");
    text["flags"]["checkout"].clone()
}

/// Waits until the flag has `definition` and no entry is left.
async fn given_back(api: &FakeApi, definition: &Value) {
    let is_back = || {
        let map = api.get("configmaps", NAMESPACE, "flags");
        let map = map.expect("the ConfigMap");
        let entry = &map["metadata"]["annotations"]["rollouts.argoproj.io/feature-flags"];
        flag(api) == *definition && entry.is_null()
    };
    let wait = async {
        while !is_back() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, wait).await.is_ok();
    assert!(in_time, "{}\n{}", flag(api), api.writes().join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flags_are_restored_when_the_rollout_is_deleted() {
    let api = server();
    let (operator, definition) = edited(&api).await;
    api.fail(Fault::status("patch", "configmaps", 409, "Conflict").times(1));
    api.delete("rollouts", NAMESPACE, "web");
    given_back(&api, &definition).await;
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flags_are_restored_when_the_strategy_changes() {
    let api = server();
    let (operator, definition) = edited(&api).await;
    api.put(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "main", "namespace": NAMESPACE},
        "spec": {"selector": {"app": "web"}}
    }));
    api.edit("rollouts", NAMESPACE, "web", |rollout| {
        rollout["spec"]["strategy"] = json!({"blueGreen": {"activeService": "main"}});
    });
    given_back(&api, &definition).await;
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_flag_is_an_invalid_spec_that_names_the_field() {
    let api = server();
    api.put(&json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "flags", "namespace": NAMESPACE},
        "data": {"shop.json": "{\"flags\": {}}"}
    }));
    api.put(&rollout(
        &json!({"canary": {"steps": [flag_step(&json!({"percentage": 30}))]}}),
    ));
    let operator = controller(&api);
    until(&api, "refused", |rollout| {
        rollout["status"]["phase"] == "Degraded"
    })
    .await;
    let message = get(&api)["status"]["message"].clone();
    let field = "spec.strategy.canary.steps[0].plugin.config.flag: Invalid value: \"checkout\"";
    assert!(
        message.as_str().is_some_and(|text| text.contains(field)),
        "{message}"
    );
    operator.shutdown.cancel();
}
