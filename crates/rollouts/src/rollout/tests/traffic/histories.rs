//! Random histories.

use rand::{Rng, SeedableRng, rngs::StdRng};
use reconcile_core::testkit::seeds;
use serde_json::json;

use super::{deployed, weight, with_canary};
use crate::rollout::tests::cluster::Cluster;

#[test]
fn with_dynamic_scale_no_version_gets_more_traffic_than_its_pods_can_serve() {
    for seed in seeds(40) {
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
    for seed in seeds(60) {
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
