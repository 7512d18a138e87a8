//! The examples of the documentation, applied and updated.

use axum::{Json, routing::any};
use reconcile_core::testkit::{FakeApi, FakeKind};
use serde_json::{Value, json};

use super::fake_api::{NAMESPACE, controller, get, is_healthy, server, until};

const AB: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../docs/examples/ab.yaml"
));
const PHASED: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../docs/examples/phased.yaml"
));

/// An API server with the objects of an example.
fn applied(text: &str) -> FakeApi {
    let api = server().with_kind(FakeKind::new(
        "gateway.networking.k8s.io",
        "v1",
        "HTTPRoute",
        "httproutes",
    ));
    for mut object in reconcile_core::yaml::values(text).expect("YAML") {
        object["metadata"]["namespace"] = NAMESPACE.into();
        api.put(&object);
    }
    api
}

fn update(api: &FakeApi) {
    api.edit("rollouts", NAMESPACE, "web", |rollout| {
        rollout["spec"]["template"]["spec"]["containers"][0]["image"] = "web:2.0".into();
    });
}

/// Names of the rules that lead requests with a header to the new version, in their order.
fn header_rules(api: &FakeApi) -> Vec<String> {
    let route = api.get("httproutes", NAMESPACE, "web").expect("the route");
    let rules = route["spec"]["rules"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let named = rules.iter().filter_map(|rule| rule["name"].as_str());
    // A rule is made from each of the route, so its name has a number.
    let names = named.filter_map(|name| name.rsplit_once('-'));
    names.map(|(name, _)| name.to_owned()).collect()
}

/// A Prometheus whose answer is always this number.
async fn prometheus(value: &'static str) -> String {
    let answer = json!({"status": "success", "data": {"resultType": "vector", "result": [
        {"metric": {}, "value": [1_767_225_600, value]}
    ]}});
    let router = axum::Router::new().fallback(any(move || async move { Json(answer) }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// The example with another server and no waits.
async fn ab_against(difference: &'static str) -> FakeApi {
    let text = AB
        .replace(
            "http://prometheus.monitoring:9090",
            &prometheus(difference).await,
        )
        .replace("interval: 60s", "interval: 1ms")
        .replace("duration: 5m", "duration: 0");
    applied(&text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_better_variant_is_promoted_after_its_time() {
    let api = ab_against("0.02").await;
    let operator = controller(&api);
    until(&api, "deployed", is_healthy).await;
    let old = get(&api)["status"]["stableRS"].clone();
    update(&api);
    until(&api, "promoted", |rollout| {
        is_healthy(rollout) && rollout["status"]["stableRS"] != old
    })
    .await;
    let mut requests = api.requests().into_iter();
    let by_header = requests.any(|request| {
        request.resource == "httproutes" && request.body.to_string().contains("x-variant")
    });
    assert!(by_header, "{}", api.writes().join("\n"));
    let run = api.list("analysisruns").remove(0);
    assert_eq!(run["status"]["phase"], "Successful");
    assert_eq!(run["status"]["metricResults"][0]["successful"], 10);
    let query = run["spec"]["metrics"][0]["provider"]["prometheus"]["query"].to_string();
    let args = run["spec"]["args"].to_string();
    for hash in [&old, &get(&api)["status"]["stableRS"]] {
        let hash = hash.as_str().expect("a hash");
        assert!(
            query.contains(hash) || args.contains(hash),
            "{query} {args}"
        );
    }
    assert_eq!(header_rules(&api), Vec::<String>::new());
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_worse_variant_is_taken_back() {
    let api = ab_against("-0.5").await;
    let operator = controller(&api);
    until(&api, "deployed", is_healthy).await;
    let old = get(&api)["status"]["stableRS"].clone();
    update(&api);
    until(&api, "aborted", |rollout| {
        rollout["status"]["phase"] == "Degraded" && header_rules(&api).is_empty()
    })
    .await;
    assert_eq!(get(&api)["status"]["stableRS"], old);
    assert_eq!(get(&api)["status"]["abort"], true);
    operator.shutdown.cancel();
}

/// Resumes when the Rollout waits for a person.
async fn approve(api: &FakeApi, step: i32) {
    until(api, "waiting for a person", |rollout| {
        rollout["status"]["phase"] == "Paused" && rollout["status"]["currentStepIndex"] == step
    })
    .await;
    api.edit("rollouts", NAMESPACE, "web", |rollout| {
        rollout["status"]["pauseConditions"] = Value::Null;
    });
}

/// What the flag says of its users.
fn targeting(api: &FakeApi) -> Value {
    let map = api
        .get("configmaps", NAMESPACE, "flags")
        .expect("the ConfigMap");
    let text = map["data"]["shop.json"].as_str().expect("a definition");
    let definition: Value = serde_json::from_str(text).expect("JSON");
    definition["flags"]["new-checkout"]["targeting"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phased_rollout_goes_from_the_staff_to_everybody() {
    let api = applied(PHASED);
    let operator = controller(&api);
    until(&api, "deployed", is_healthy).await;
    let old = get(&api)["status"]["stableRS"].clone();
    update(&api);
    until(&api, "open to the staff", |_| {
        header_rules(&api) == ["staff"]
    })
    .await;
    until(&api, "on for the staff", |_| {
        targeting(&api)["if"][0] == json!({"in": [{"var": "group"}, ["staff"]]})
    })
    .await;
    approve(&api, 3).await;
    until(&api, "open to testers", |_| {
        header_rules(&api) == ["staff", "testers"]
    })
    .await;
    until(&api, "on for testers", |_| {
        targeting(&api)["if"][0] == json!({"in": [{"var": "group"}, ["staff", "testers"]]})
    })
    .await;
    approve(&api, 6).await;
    until(&api, "on for a quarter", |_| {
        targeting(&api)["if"][2]["fractional"] == json!([["on", 25], ["off", 75]])
    })
    .await;
    approve(&api, 10).await;
    until(&api, "promoted", |rollout| {
        is_healthy(rollout) && rollout["status"]["stableRS"] != old
    })
    .await;
    assert_eq!(header_rules(&api), Vec::<String>::new());
    assert!(targeting(&api).to_string().contains("\"on\""));
    operator.shutdown.cancel();
}
