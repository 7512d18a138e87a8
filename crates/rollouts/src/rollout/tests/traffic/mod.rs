//! Traffic routing: weights never run ahead of pods, and pods never go before their traffic.

mod dynamic_scale;
mod histories;

use serde_json::{Value, json};

use super::cluster::{Cluster, RouterFault};
use crate::rollout::traffic::RouteState;

fn strategy(steps: &Value) -> Value {
    json!({"canary": {
        "canaryService": "new", "stableService": "old", "steps": steps,
        "trafficRouting": {"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "main"}}},
    }})
}

fn deployed(replicas: i32, steps: &Value) -> Cluster {
    let mut cluster = Cluster::new(replicas, &strategy(steps)).with_services(&["new", "old"]);
    cluster.run();
    cluster
}

fn weight(cluster: &Cluster) -> i32 {
    cluster.traffic.weight.expect("the routes agree")
}

#[test]
fn a_canary_moves_traffic_after_pods_and_pods_after_traffic() {
    let steps = json!([{"setWeight": 20}, {"pause": {}}, {"setWeight": 60}, {"pause": {}}]);
    let mut cluster = deployed(5, &steps);
    assert_eq!(weight(&cluster), 0);
    cluster.set_image("v2");
    // Pods first.
    cluster.settle();
    assert_eq!((cluster.sizes()["v1"], cluster.sizes()["v2"]), (5, 1));
    assert_eq!(weight(&cluster), 0);
    cluster.run();
    assert_eq!(weight(&cluster), 20);
    assert_eq!(cluster.status().message, "CanaryPauseStep");
    let weights = cluster.status().canary.weights.expect("weights");
    assert_eq!(weights["canary"]["weight"], 20);
    assert_eq!(weights["canary"]["serviceName"], "new");
    assert_eq!(weights["stable"]["weight"], 80);
    cluster.patch_status(&json!({"pauseConditions": null}));
    cluster.run();
    assert_eq!((weight(&cluster), cluster.sizes()["v2"]), (60, 3));
    cluster.patch_status(&json!({"pauseConditions": null}));
    cluster.run();
    // Promoted: the stable Service leads to the new pods, and the old ones wait.
    assert_eq!(cluster.status().phase, "Healthy", "{}", cluster.log);
    assert_eq!(weight(&cluster), 0);
    let new = cluster.set_of("v2").hash.clone();
    assert_eq!(cluster.services["old"].hash.as_ref(), Some(&new));
    assert_eq!((cluster.sizes()["v1"], cluster.sizes()["v2"]), (5, 5));
    assert!(
        cluster
            .log
            .contains("Traffic weight updated from 60 to 100"),
        "{}",
        cluster.log
    );
    cluster.advance(31);
    cluster.run();
    assert_eq!((cluster.sizes()["v1"], cluster.sizes()["v2"]), (0, 5));
}

fn statuses(cluster: &Cluster) -> Vec<&str> {
    let lines = cluster.log.lines();
    let written = lines.filter_map(|line| line.split_once("] status: "));
    written.map(|(_, status)| status).collect()
}

#[test]
fn a_step_and_the_weight_that_completes_it_are_written_together() {
    let mut cluster = deployed(1, &json!([{"setWeight": 50}, {"pause": {"duration": 2}}]));
    let before = statuses(&cluster).len();
    cluster.set_image("v2");
    cluster.run();
    cluster.advance(3);
    cluster.run();
    let written = &statuses(&cluster)[before..];
    let expected = [
        "Progressing more replicas need to be updated, step 0, 0/1/1 updated/available/all",
        "Paused CanaryPauseStep, step 1, 1/2/2 updated/available/all",
        "Progressing waiting for all steps to complete, step 2, 1/2/2 updated/available/all",
        "Healthy -, step 2, 1/2/2 updated/available/all",
    ];
    assert_eq!(written, expected, "{}", cluster.log);
}

#[test]
fn a_quarrel_about_a_route_does_not_hold_up_the_status() {
    let mut cluster = deployed(1, &json!([{"setWeight": 50}, {"pause": {}}]));
    cluster.set_image("v2");
    cluster.settle();
    for name in cluster.replica_sets.keys().cloned().collect::<Vec<_>>() {
        while cluster.make_or_remove_pod(&name) {}
        while cluster.make_ready(&name) {}
        cluster.count(&name);
    }
    cluster.pass(None);
    assert_eq!(weight(&cluster), 50);
    assert_eq!(cluster.status().updated_replicas, 0, "{}", cluster.log);
    // Somebody else puts the weight back.
    cluster.traffic = RouteState::at(0);
    cluster.pass(None);
    assert_eq!(weight(&cluster), 50);
    assert_eq!(cluster.status().updated_replicas, 1, "{}", cluster.log);
}

#[test]
fn an_abort_moves_traffic_back_at_once_and_pods_later() {
    let mut cluster = deployed(4, &json!([{"setWeight": 50}, {"pause": {}}]));
    cluster.set_image("v2");
    cluster.run();
    assert_eq!((weight(&cluster), cluster.sizes()["v2"]), (50, 2));
    cluster.patch_status(&json!({"abort": true}));
    cluster.run();
    assert_eq!((weight(&cluster), cluster.sizes()["v2"]), (0, 2));
    assert_eq!(cluster.status().phase, "Degraded");
    cluster.advance(31);
    cluster.run();
    assert_eq!((cluster.sizes()["v1"], cluster.sizes()["v2"]), (4, 0));
    cluster.patch_status(&json!({"abort": false}));
    cluster.run();
    assert_eq!((weight(&cluster), cluster.sizes()["v2"]), (50, 2));
}

#[test]
fn a_lower_weight_is_routed_before_pods_go() {
    let steps = json!([{"setWeight": 75}, {"pause": {}}, {"setWeight": 25}, {"pause": {}}]);
    let mut cluster = deployed(4, &steps);
    cluster.set_image("v2");
    cluster.run();
    assert_eq!((weight(&cluster), cluster.sizes()["v2"]), (75, 3));
    cluster.patch_status(&json!({"pauseConditions": null}));
    cluster.pass(None);
    assert_eq!(
        (weight(&cluster), cluster.sizes()["v2"]),
        (25, 3),
        "{}",
        cluster.log
    );
    cluster.run();
    assert_eq!((weight(&cluster), cluster.sizes()["v2"]), (25, 1));
}

#[test]
fn pods_stay_until_a_lower_weight_is_in_effect() {
    let steps = json!([{"setWeight": 75}, {"pause": {}}, {"setWeight": 25}, {"pause": {}}]);
    let mut cluster = deployed(4, &steps);
    cluster.routes_arrive();
    cluster.set_image("v2");
    cluster.run();
    cluster.router = RouterFault::Lags;
    cluster.patch_status(&json!({"pauseConditions": null}));
    cluster.run();
    assert_eq!((weight(&cluster), cluster.sizes()["v2"]), (25, 3));
    cluster.routes_arrive();
    cluster.run();
    assert_eq!(cluster.sizes()["v2"], 1);
    // After an abort both Services lead to the stable pods, so nothing reaches the others.
    cluster.patch_status(&json!({"abort": true}));
    cluster.run();
    cluster.advance(60);
    cluster.run();
    assert_eq!(cluster.traffic.in_effect, Some(false));
    assert_eq!((weight(&cluster), cluster.sizes()["v2"]), (0, 0));
}

#[test]
fn a_step_waits_until_its_weight_is_in_effect() {
    let mut cluster = deployed(2, &json!([{"setWeight": 50}, {"pause": {}}]));
    cluster.traffic.in_effect = Some(false);
    cluster.set_image("v2");
    cluster.run();
    assert_eq!(
        (weight(&cluster), cluster.status().current_step_index),
        (50, Some(0))
    );
    let weights = cluster.status().canary.weights.expect("weights");
    assert_eq!(weights["verified"], false);
    assert!(cluster.wake.is_some());
    cluster.traffic.in_effect = Some(true);
    cluster.run();
    assert_eq!(cluster.status().current_step_index, Some(1));
}

#[test]
fn a_version_in_between_goes_when_no_service_leads_to_it() {
    let mut cluster = deployed(4, &json!([{"setWeight": 50}, {"pause": {}}]));
    cluster.set_image("v2");
    cluster.run();
    cluster.set_image("v3");
    cluster.run();
    assert_eq!(
        (
            weight(&cluster),
            cluster.sizes()["v3"],
            cluster.sizes()["v2"]
        ),
        (50, 2, 0)
    );
    assert_eq!(cluster.sizes()["v1"], 4);
}

fn with_canary(replicas: i32, steps: &Value, more: &Value) -> Cluster {
    let mut strategy = strategy(steps);
    for (key, value) in more.as_object().expect("fields") {
        strategy["canary"][key] = value.clone();
    }
    let mut cluster = Cluster::new(replicas, &strategy).with_services(&["new", "old"]);
    cluster.run();
    cluster
}

#[test]
fn the_scale_of_a_canary_is_apart_from_its_weight_until_they_match_again() {
    let steps = json!([
        {"setCanaryScale": {"replicas": 3}}, {"pause": {}}, {"setWeight": 10}, {"pause": {}},
        {"setCanaryScale": {"weight": 50}}, {"pause": {}},
        {"setCanaryScale": {"matchTrafficWeight": true}}, {"pause": {}},
    ]);
    let mut cluster = deployed(10, &steps);
    cluster.set_image("v2");
    cluster.run();
    assert_eq!((weight(&cluster), cluster.sizes()["v2"]), (0, 3));
    assert_eq!(cluster.status().current_step_index, Some(1));
    cluster.promote();
    assert_eq!((weight(&cluster), cluster.sizes()["v2"]), (10, 3));
    cluster.promote();
    assert_eq!((weight(&cluster), cluster.sizes()["v2"]), (10, 5));
    cluster.promote();
    assert_eq!((weight(&cluster), cluster.sizes()["v2"]), (10, 1));
    cluster.promote();
    assert_eq!(cluster.status().phase, "Healthy", "{}", cluster.log);
    assert_eq!(cluster.sizes()["v2"], 10);
}

#[test]
fn a_scale_below_the_weight_is_what_the_manifest_asks_for() {
    let steps = json!([{"setCanaryScale": {"replicas": 1}}, {"setWeight": 50}, {"pause": {}}]);
    let mut cluster = deployed(10, &steps);
    cluster.set_image("v2");
    cluster.run();
    assert_eq!((weight(&cluster), cluster.sizes()["v2"]), (50, 1));
    // An abort ends the scale too.
    cluster.patch_status(&json!({"abort": true}));
    cluster.run();
    cluster.advance(31);
    cluster.run();
    assert_eq!((weight(&cluster), cluster.sizes()["v2"]), (0, 0));
}

#[test]
fn a_version_has_a_minimum_of_pods_when_it_has_any() {
    let steps = json!([{"setWeight": 0}, {"pause": {}}, {"setWeight": 10}, {"pause": {}}]);
    let more = json!({"minPodsPerReplicaSet": 2});
    let mut cluster = with_canary(10, &steps, &more);
    cluster.set_image("v2");
    cluster.run();
    assert_eq!(cluster.sizes()["v2"], 0);
    cluster.promote();
    assert_eq!((weight(&cluster), cluster.sizes()["v2"]), (10, 2));
}

fn header(name: &str) -> Value {
    json!({"setHeaderRoute": {"name": name, "match": [{"headerName": "x", "headerValue": {"exact": name}}]}})
}

fn with_managed(steps: &Value) -> Cluster {
    let mut strategy = strategy(steps);
    strategy["canary"]["trafficRouting"]["managedRoutes"] = json!([{"name": "a"}, {"name": "b"}]);
    let mut cluster = Cluster::new(2, &strategy).with_services(&["new", "old"]);
    cluster.run();
    cluster
}

#[test]
fn header_routes_come_with_their_steps_in_the_order_of_the_manifest_and_go_with_the_update() {
    let steps = json!([
        {"setCanaryScale": {"replicas": 1}}, header("b"), {"pause": {}}, header("a"), {"pause": {}},
        {"setHeaderRoute": {"name": "b"}}, {"pause": {}},
    ]);
    let mut cluster = with_managed(&steps);
    cluster.set_image("v2");
    cluster.run();
    assert_eq!(cluster.traffic.managed, ["b"], "{}", cluster.log);
    assert_eq!(weight(&cluster), 0);
    cluster.promote();
    assert_eq!(cluster.traffic.managed, ["a", "b"]);
    cluster.promote();
    assert_eq!(cluster.traffic.managed, ["a"]);
    cluster.patch_status(&json!({"abort": true}));
    cluster.run();
    assert!(cluster.traffic.managed.is_empty(), "{}", cluster.log);
    cluster.patch_status(&json!({"abort": false}));
    cluster.run();
    assert_eq!(cluster.traffic.managed, ["b"]);
    for _ in 0..3 {
        cluster.promote();
    }
    assert_eq!(cluster.status().phase, "Healthy");
    assert!(cluster.traffic.managed.is_empty());
}

#[test]
fn ping_and_pong_swap_roles_at_a_promotion_and_the_stable_service_is_never_switched() {
    let steps = json!([{"setWeight": 50}, {"pause": {}}]);
    let mut strategy = strategy(&steps);
    strategy["canary"]["pingPong"] = json!({"pingService": "ping", "pongService": "pong"});
    for service in ["canaryService", "stableService"] {
        strategy["canary"]
            .as_object_mut()
            .expect("a canary")
            .remove(service);
    }
    let mut cluster = Cluster::new(4, &strategy).with_services(&["ping", "pong"]);
    cluster.run();
    let role = |cluster: &Cluster| cluster.status().canary.stable_ping_pong;
    assert_eq!(role(&cluster).as_deref(), Some("ping"));
    let first = cluster.services["ping"].hash.clone();
    cluster.set_image("v2");
    cluster.run();
    assert_eq!(weight(&cluster), 50);
    let second = cluster.services["pong"].hash.clone();
    assert_eq!(cluster.services["ping"].hash, first);
    assert_ne!(first, second);
    promote_until_stable(&mut cluster);
    assert_eq!(cluster.services["ping"].hash, first, "{}", cluster.log);
    assert_eq!(role(&cluster).as_deref(), Some("pong"));
    assert_eq!(
        weight(&cluster),
        100,
        "the pass of the promotion routes nothing"
    );
    // The route gives all to pong, which is the stable Service now.
    cluster.traffic = RouteState::at(0);
    cluster.run();
    assert_eq!(cluster.status().phase, "Healthy", "{}", cluster.log);
    let hashes = ["ping", "pong"].map(|name| cluster.services[name].hash.clone());
    assert_eq!(hashes, [second.clone(), second]);
}

/// Passes until the new version is the stable one, and none after that.
fn promote_until_stable(cluster: &mut Cluster) {
    cluster.patch_status(&json!({"pauseConditions": null}));
    for _ in 0..20 {
        cluster.pass(None);
        let status = cluster.status();
        if status.stable_rs == status.current_pod_hash {
            return;
        }
        cluster.peers();
    }
    panic!("no promotion\n{}", cluster.log);
}
