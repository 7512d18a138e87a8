//! Random histories.

use rand::{Rng, SeedableRng, rngs::StdRng};
use reconcile_core::testkit::histories;
use serde_json::json;

use super::{deployed, weight, with_canary};
use crate::rollout::tests::{
    cluster::{Cluster, RouterFault},
    simulation::turns,
};

/// Histories of each kind in a usual run.
const SEEDS: u64 = 1000;

#[test]
fn with_dynamic_scale_no_version_gets_more_traffic_than_its_pods_can_serve() {
    histories(SEEDS, |seed| {
        let mut random = StdRng::seed_from_u64(seed);
        let replicas = random.random_range(1..9);
        let steps = json!([
            {"setWeight": random.random_range(1..50)}, {"pause": {"duration": 5}},
            {"setWeight": random.random_range(20..100)}, {"pause": {}}
        ]);
        let mut cluster = with_canary(replicas, &steps, &json!({"dynamicStableScale": true}));
        for _ in 0..turns(&mut random) {
            turn(&mut cluster, &mut random);
            disturb(&mut cluster, &mut random, false);
            let before = weight(&cluster);
            let crash = random.random_bool(0.1).then(|| random.random_range(0..4));
            cluster.pass(crash);
            let now = weight(&cluster);
            check_dynamic(&cluster, (before, now), replicas, seed);
        }
        rest(&mut cluster, seed);
    });
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
            cluster.steady_pods(&canary.name) >= needed,
            "seed {seed}: weight {now}\n{}",
            cluster.log
        );
    }
    let kept = (100 - now) * replicas / 100;
    if now < before {
        assert!(
            cluster.steady_pods(&stable.name) >= kept,
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
    histories(SEEDS, |seed| {
        // Every other router says what is in effect, and may lag.
        let verifies = seed % 2 == 0;
        let mut random = StdRng::seed_from_u64(seed);
        let replicas = random.random_range(1..9);
        let steps = json!([
            {"setWeight": random.random_range(1..50)}, {"pause": {"duration": 5}},
            {"setWeight": random.random_range(20..100)}, {"pause": {}}
        ]);
        let mut cluster = deployed(replicas, &steps);
        if verifies {
            cluster.routes_arrive();
        }
        for _ in 0..turns(&mut random) {
            turn(&mut cluster, &mut random);
            disturb(&mut cluster, &mut random, verifies);
            pass_and_check(&mut cluster, replicas, &mut random, seed);
        }
        rest(&mut cluster, seed);
    });
}

/// Events of ReplicaSets come late, and the router fails for a while.
fn disturb(cluster: &mut Cluster, random: &mut StdRng, verifies: bool) {
    match random.random_range(0..60) {
        0..2 => cluster.fall_behind(),
        2..4 => cluster.catch_up(),
        4 => cluster.router = RouterFault::Refuses,
        5..7 => cluster.router = RouterFault::None,
        7 if verifies => cluster.router = RouterFault::Lags,
        8..12 if verifies => cluster.routes_arrive(),
        _ => {}
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
        12..16 => {
            cluster.count(&name);
        }
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
    let (name, wanted) = (canary.name.clone(), canary.replicas);
    let steady = cluster.steady_pods(&name);
    if now > before {
        assert!(
            steady >= needed(now).min(replicas),
            "seed {seed}: weight {now}, {steady} pods\n{}",
            cluster.log
        );
    }
    // What the router really sends counts too, which may be more than is written.
    let sent = now.max(cluster.sent.unwrap_or_default());
    assert!(
        wanted >= needed(sent).min(replicas),
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
    cluster.catch_up();
    cluster.router = RouterFault::None;
    if cluster.traffic.in_effect.is_some() {
        cluster.routes_arrive();
    }
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
