//! Traffic routing: weights never run ahead of pods, and pods never go before their traffic.

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::cluster::Cluster;
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

fn promote(cluster: &mut Cluster) {
    cluster.patch_status(&json!({"pauseConditions": null}));
    cluster.run();
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
    promote(&mut cluster);
    assert_eq!((weight(&cluster), cluster.sizes()["v2"]), (10, 3));
    promote(&mut cluster);
    assert_eq!((weight(&cluster), cluster.sizes()["v2"]), (10, 5));
    promote(&mut cluster);
    assert_eq!((weight(&cluster), cluster.sizes()["v2"]), (10, 1));
    promote(&mut cluster);
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
    promote(&mut cluster);
    assert_eq!((weight(&cluster), cluster.sizes()["v2"]), (10, 2));
}

#[test]
fn with_dynamic_scale_the_stable_version_shrinks_after_its_traffic() {
    let steps = json!([{"setWeight": 40}, {"pause": {}}, {"setWeight": 80}, {"pause": {}}]);
    let mut cluster = with_canary(10, &steps, &json!({"dynamicStableScale": true}));
    cluster.set_image("v2");
    cluster.settle();
    assert_eq!((weight(&cluster), cluster.sizes()["v1"]), (0, 10));
    cluster.run();
    assert_eq!(
        (
            weight(&cluster),
            cluster.sizes()["v1"],
            cluster.sizes()["v2"]
        ),
        (40, 6, 4)
    );
    promote(&mut cluster);
    assert_eq!(
        (
            weight(&cluster),
            cluster.sizes()["v1"],
            cluster.sizes()["v2"]
        ),
        (80, 2, 8)
    );
    promote(&mut cluster);
    assert_eq!(cluster.status().phase, "Healthy", "{}", cluster.log);
    assert_eq!((cluster.sizes()["v1"], cluster.sizes()["v2"]), (0, 10));
}

#[test]
fn with_dynamic_scale_an_abort_moves_traffic_as_stable_pods_come_back() {
    let steps = json!([{"setWeight": 80}, {"pause": {}}]);
    let mut cluster = with_canary(10, &steps, &json!({"dynamicStableScale": true}));
    cluster.set_image("v2");
    cluster.run();
    assert_eq!((weight(&cluster), cluster.sizes()["v1"]), (80, 2));
    cluster.patch_status(&json!({"abort": true}));
    cluster.settle();
    // Two pods serve 20 percent; the other eight are to come first.
    assert_eq!((weight(&cluster), cluster.sizes()["v1"]), (80, 10));
    let stable = cluster.set_of("v1").name.clone();
    for _ in 0..3 {
        cluster.make_or_remove_pod(&stable);
        cluster.make_ready(&stable);
    }
    cluster.count(&stable);
    cluster.settle();
    assert_eq!(
        (weight(&cluster), cluster.sizes()["v2"]),
        (50, 5),
        "{}",
        cluster.log
    );
    cluster.run();
    assert_eq!((weight(&cluster), cluster.sizes()["v2"]), (0, 0));
    assert_eq!(cluster.sizes()["v1"], 10);
}

#[test]
fn with_dynamic_scale_a_way_back_keeps_the_canary_until_the_stable_version_is_whole() {
    let steps = json!([{"setWeight": 80}, {"pause": {}}]);
    let mut cluster = with_canary(10, &steps, &json!({"dynamicStableScale": true}));
    cluster.set_image("v2");
    cluster.run();
    let canary = cluster.set_of("v2").hash.clone();
    cluster.set_image("v1");
    cluster.settle();
    assert_eq!(weight(&cluster), 80, "{}", cluster.log);
    assert_eq!(cluster.services["new"].hash.as_ref(), Some(&canary));
    cluster.run();
    assert_eq!(
        (
            weight(&cluster),
            cluster.sizes()["v1"],
            cluster.sizes()["v2"]
        ),
        (0, 10, 0)
    );
    assert_eq!(cluster.status().phase, "Healthy");
}

#[test]
fn with_dynamic_scale_a_first_version_is_the_stable_one_from_the_beginning() {
    let mut strategy = strategy(&json!([{"setWeight": 50}, {"pause": {}}]));
    strategy["canary"]["dynamicStableScale"] = true.into();
    let mut cluster = Cluster::new(4, &strategy).with_services(&["new", "old"]);
    // What a route without weights says.
    cluster.traffic = RouteState {
        weight: None,
        most: 100,
        ..RouteState::default()
    };
    cluster.settle();
    assert_eq!(weight(&cluster), 0, "{}", cluster.log);
    cluster.run();
    assert_eq!(weight(&cluster), 0, "{}", cluster.log);
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
    promote(&mut cluster);
    assert_eq!(cluster.traffic.managed, ["a", "b"]);
    promote(&mut cluster);
    assert_eq!(cluster.traffic.managed, ["a"]);
    cluster.patch_status(&json!({"abort": true}));
    cluster.run();
    assert!(cluster.traffic.managed.is_empty(), "{}", cluster.log);
    cluster.patch_status(&json!({"abort": false}));
    cluster.run();
    assert_eq!(cluster.traffic.managed, ["b"]);
    for _ in 0..3 {
        promote(&mut cluster);
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

#[test]
fn with_dynamic_scale_no_version_gets_more_traffic_than_its_pods_can_serve() {
    for seed in 0..40 {
        let mut random = StdRng::seed_from_u64(seed);
        let replicas = random.random_range(1..9);
        let steps = json!([
            {"setWeight": random.random_range(1..50)}, {"pause": {"duration": 5}},
            {"setWeight": random.random_range(20..100)}, {"pause": {}}
        ]);
        let mut cluster = with_canary(replicas, &steps, &json!({"dynamicStableScale": true}));
        for _ in 0..200 {
            turn(&mut cluster, &mut random);
            let before = weight(&cluster);
            let crash = random.random_bool(0.1).then(|| random.random_range(0..4));
            cluster.pass(crash);
            let now = weight(&cluster);
            check_dynamic(&cluster, (before, now), replicas, seed);
        }
        rest(&mut cluster, seed);
    }
}

fn check_dynamic(cluster: &Cluster, (before, now): (i32, i32), replicas: i32, seed: u64) {
    let behind = |service: &str| {
        let hash = cluster.services[service].hash.as_ref();
        let set = cluster
            .replica_sets
            .values()
            .find(|set| Some(&set.hash) == hash);
        set.unwrap_or_else(|| panic!("seed {seed}: {service} leads nowhere\n{}", cluster.log))
    };
    let (canary, stable) = (behind("new"), behind("old"));
    if now > before {
        let needed = (now * replicas + 99) / 100;
        assert!(
            canary.available >= needed,
            "seed {seed}: weight {now}\n{}",
            cluster.log
        );
    }
    let kept = (100 - now) * replicas / 100;
    if now < before {
        assert!(
            stable.available >= kept,
            "seed {seed}: weight {now}\n{}",
            cluster.log
        );
    }
    assert!(
        stable.replicas >= kept,
        "seed {seed}: pods went before their traffic\n{}",
        cluster.log
    );
}

#[test]
fn traffic_never_runs_ahead_of_pods_whatever_happens() {
    for seed in 0..60 {
        let mut random = StdRng::seed_from_u64(seed);
        let replicas = random.random_range(1..9);
        let steps = json!([
            {"setWeight": random.random_range(1..50)}, {"pause": {"duration": 5}},
            {"setWeight": random.random_range(20..100)}, {"pause": {}}
        ]);
        let mut cluster = deployed(replicas, &steps);
        for _ in 0..200 {
            turn(&mut cluster, &mut random);
            pass_and_check(&mut cluster, replicas, &mut random, seed);
        }
        rest(&mut cluster, seed);
    }
}

fn turn(cluster: &mut Cluster, random: &mut StdRng) {
    let names: Vec<String> = cluster.replica_sets.keys().cloned().collect();
    let name = names[random.random_range(0..names.len())].clone();
    match random.random_range(0..20) {
        0..7 => {
            cluster.make_or_remove_pod(&name);
        }
        7..12 => {
            cluster.make_ready(&name);
        }
        12..16 => cluster.count(&name),
        16 => cluster.patch_status(&json!({"pauseConditions": null})),
        17 => cluster.patch_status(&json!({"abort": random.random_bool(0.5)})),
        18 => cluster.set_image(&format!("v{}", random.random_range(1..4))),
        _ => cluster.advance(random.random_range(1..20)),
    }
}

fn pass_and_check(cluster: &mut Cluster, replicas: i32, random: &mut StdRng, seed: u64) {
    let before = cluster.traffic.weight.unwrap_or_default();
    let crash = random.random_bool(0.1).then(|| random.random_range(0..4));
    cluster.pass(crash);
    let now = weight(cluster);
    let hash = cluster.services["new"].hash.clone();
    let canary = cluster
        .replica_sets
        .values()
        .find(|set| Some(&set.hash) == hash.as_ref());
    let canary = canary.unwrap_or_else(|| {
        panic!(
            "seed {seed}: the canary Service leads nowhere\n{}",
            cluster.log
        )
    });
    let needed = |weight: i32| (weight * replicas + 99) / 100;
    if now > before {
        assert!(
            canary.available >= needed(now).min(replicas),
            "seed {seed}: weight {now}, {} pods\n{}",
            canary.available,
            cluster.log
        );
    }
    assert!(
        canary.replicas >= needed(now).min(replicas) || now == 0,
        "seed {seed}: pods went before their traffic\n{}",
        cluster.log
    );
    let hash = cluster.services["old"].hash.clone();
    let stable = cluster
        .replica_sets
        .values()
        .find(|set| Some(&set.hash) == hash.as_ref());
    let stable = stable.unwrap_or_else(|| {
        panic!(
            "seed {seed}: the stable Service leads nowhere\n{}",
            cluster.log
        )
    });
    assert!(
        stable.replicas > 0,
        "seed {seed}: the stable pods are gone\n{}",
        cluster.log
    );
}

fn rest(cluster: &mut Cluster, seed: u64) {
    for _ in 0..30 {
        cluster.run();
        if cluster.status().phase == "Healthy" {
            cluster.advance(60);
            cluster.run();
            assert_eq!(weight(cluster), 0, "seed {seed}");
            return;
        }
        cluster.advance(40);
        if cluster.status().abort {
            cluster.patch_status(&json!({"abort": false}));
        }
        cluster.patch_status(&json!({"pauseConditions": null}));
    }
    panic!(
        "seed {seed}: no rest, {}\n{}",
        cluster.status().message,
        cluster.log
    );
}
