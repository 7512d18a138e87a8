//! The planner against peers that act in any order, at any speed, while the controller is killed now and
//! then. What must always hold is checked after every effect.

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::json;

use super::cluster::Cluster;
use crate::{api::analysis::AnalysisPhase, rollout::plan::replicas::bounds};
use reconcile_core::{kube_types::IntOrString, testkit::histories};

/// Histories of each kind in a usual run: with those of `traffic/histories.rs` and of Experiments they are 5,000.
const SEEDS: u64 = 1000;

/// What the manifest promises about the number of pods.
struct Promise {
    surge: i32,
    unavailable: i32,
    /// People change the number of pods and pause the Rollout too.
    scales: bool,
}

impl Promise {
    fn bounds(&self, replicas: i32) -> (i32, i32) {
        let (surge, unavailable) = bounds(
            replicas,
            &IntOrString::Int(self.surge),
            &IntOrString::Int(self.unavailable),
        );
        (replicas + surge, replicas - unavailable)
    }
}

/// Available pods that nobody is about to remove. One that the controller cannot know to be available does not count: its
/// set may shrink as one whose pods do not start.
fn available_that_stays(cluster: &Cluster) -> i32 {
    let names = cluster.replica_sets.keys();
    let known = names.map(|name| cluster.steady_pods(name).min(cluster.seen_available(name)));
    known.sum()
}

fn wanted(cluster: &Cluster) -> i32 {
    cluster.replica_sets.values().map(|set| set.replicas).sum()
}

/// Turns in which anything may happen; after them the world is left alone to come to rest. Most histories are short,
/// because most mistakes need few turns and another beginning.
pub(super) fn turns(random: &mut StdRng) -> usize {
    let most = if random.random_bool(0.1) { 300 } else { 100 };
    random.random_range(20..most)
}

/// What is known before a pass.
struct Before {
    replicas: i32,
    wanted: i32,
    stays: i32,
}

impl Before {
    fn of(cluster: &Cluster) -> Self {
        Self {
            replicas: cluster.replicas(),
            wanted: wanted(cluster),
            stays: available_that_stays(cluster),
        }
    }
}

fn check(cluster: &Cluster, promise: &Promise, before: &Before, seed: u64) {
    // Somebody may have scaled the Rollout while the pass ran; it could not know.
    let (before_pass, after_pass) = (before.replicas, cluster.replicas());
    let (most, least) = (
        promise.bounds(before_pass.max(after_pass)).0,
        promise.bounds(before_pass.min(after_pass)).1,
    );
    let (wanted_before, stays_before) = (before.wanted, before.stays);
    let (now, stays) = (wanted(cluster), available_that_stays(cluster));
    assert!(
        now <= most.max(wanted_before),
        "seed {seed}: {now} pods wanted\n{}",
        cluster.log
    );
    assert!(
        stays >= least.min(stays_before),
        "seed {seed}: only {stays} available pods stay, {} promised\n{}",
        least,
        cluster.log
    );
}

/// A random thing happens.
fn turn(cluster: &mut Cluster, random: &mut StdRng, promise: &Promise, seed: u64) {
    let names: Vec<String> = cluster.replica_sets.keys().cloned().collect();
    let pick = |random: &mut StdRng| {
        (!names.is_empty()).then(|| names[random.random_range(0..names.len())].clone())
    };
    match random.random_range(0..if promise.scales { 108 } else { 103 }) {
        0..30 => {
            if let Some(name) = pick(random) {
                cluster.make_or_remove_pod(&name);
            }
        }
        30..50 => {
            if let Some(name) = pick(random) {
                cluster.make_ready(&name);
            }
        }
        50..65 => {
            if let Some(name) = pick(random) {
                cluster.count(&name);
            }
        }
        65..90 => {
            let before = Before::of(cluster);
            let crash = random.random_bool(0.1).then(|| random.random_range(0..4));
            cluster.pass(crash);
            check(cluster, promise, &before, seed);
        }
        90..94 => cluster.advance(random.random_range(1..20)),
        94..96 => cluster.patch_status(&json!({"pauseConditions": null})),
        96..97 => cluster.patch_status(&json!({"abort": true})),
        97..98 => cluster.patch_status(&json!({"abort": false})),
        98 => {
            let version = random.random_range(1..5);
            cluster.set_image(&format!("v{version}"));
        }
        100..102 => cluster.fall_behind(),
        102 => cluster.catch_up(),
        103 => {
            let replicas = random.random_range(0..14);
            cluster.say(&format!("person: {replicas} pods"));
            cluster.edit(|spec| spec["replicas"] = replicas.into());
        }
        104 => cluster.interloper = Some(|spec| spec["replicas"] = 5.into()),
        105..107 => cluster.autoscale(random.random_range(40..200)),
        107 => {
            let paused = random.random_bool(0.3);
            cluster.say(&format!("person: paused {paused}"));
            cluster.edit(|spec| spec["paused"] = paused.into());
        }
        _ => {
            let open: Vec<String> = cluster
                .runs
                .iter()
                .filter(|(_, run)| !run.is_completed())
                .map(|(name, _)| name.clone())
                .collect();
            if let Some(name) = open.first() {
                let phase = match random.random_range(0..4) {
                    0 => AnalysisPhase::Failed,
                    1 => AnalysisPhase::Inconclusive,
                    _ => AnalysisPhase::Successful,
                };
                cluster.end_run(name, phase, "simulated");
            }
        }
    }
}

/// People and peers do what is needed for the newest version to win.
fn bring_to_rest(cluster: &mut Cluster, seed: u64) {
    const MOST: usize = 60;
    cluster.catch_up();
    cluster.interloper = None;
    cluster.hanging.clear();
    cluster.edit(|spec| spec["paused"] = false.into());
    for pods in cluster.pods.values_mut() {
        for pod in pods {
            pod.hangs = false;
        }
    }
    for _ in 0..MOST {
        cluster.run();
        if cluster.status().phase == "Healthy" {
            return;
        }
        cluster.advance(40);
        if cluster.status().abort {
            cluster.patch_status(&json!({"abort": false}));
        }
        cluster.patch_status(&json!({"pauseConditions": null}));
        let open: Vec<String> = cluster
            .runs
            .iter()
            .filter(|(_, run)| !run.is_completed())
            .map(|(name, _)| name.clone())
            .collect();
        for name in open {
            cluster.end_run(&name, AnalysisPhase::Successful, "");
        }
    }
    panic!(
        "seed {seed}: no rest, phase {} ({})\n{}",
        cluster.status().phase,
        cluster.status().message,
        cluster.log
    );
}

#[test]
fn a_canary_keeps_its_promises_whatever_happens() {
    histories(SEEDS, |seed| drop(play_canary(seed)));
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let log = play_canary(7);
    assert!(log.lines().count() > 50, "{log}");
    assert_eq!(log, play_canary(7));
    assert_ne!(log, play_canary(8));
}

/// A history of a canary, and its log.
fn play_canary(seed: u64) -> String {
    let mut random = StdRng::seed_from_u64(seed);
    let replicas = random.random_range(1..12);
    let surge: i32 = random.random_range(0..4);
    let unavailable = random.random_range(0..3);
    let unavailable = if surge == 0 && unavailable == 0 {
        1
    } else {
        unavailable
    };
    let steps = json!([
        {"setWeight": random.random_range(0..40)}, {"pause": {"duration": 10}},
        {"analysis": {"templates": [{"templateName": "check"}]}},
        {"setWeight": random.random_range(40..100)}, {"pause": {}}
    ]);
    let strategy =
        json!({"canary": {"steps": steps, "maxSurge": surge, "maxUnavailable": unavailable}});
    let mut cluster = Cluster::new(replicas, &strategy);
    cluster.run();
    if random.random_bool(0.3) {
        cluster.hanging.push("v3".to_owned());
    }
    // Most histories begin with an update, which takes many turns.
    if random.random_bool(0.8) {
        cluster.set_image("v2");
    }
    let promise = Promise {
        surge,
        unavailable,
        scales: seed.is_multiple_of(2),
    };
    for _ in 0..turns(&mut random) {
        turn(&mut cluster, &mut random, &promise, seed);
    }
    bring_to_rest(&mut cluster, seed);
    assert_eq!(wanted(&cluster), cluster.replicas(), "seed {seed}");
    assert_eq!(
        cluster.status().stable_rs,
        cluster.status().current_pod_hash
    );
    cluster.log
}

#[test]
fn the_active_service_always_has_its_pods() {
    histories(SEEDS, play_blue_green);
}

fn play_blue_green(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let replicas = random.random_range(1..6);
    let mut strategy = json!({"blueGreen": {
        "activeService": "main", "previewService": "next",
        "autoPromotionEnabled": random.random_bool(0.5), "scaleDownDelaySeconds": 5, "abortScaleDownDelaySeconds": 5,
    }});
    if random.random_bool(0.5) {
        strategy["blueGreen"]["previewReplicaCount"] = 1.into();
    }
    for part in ["prePromotionAnalysis", "postPromotionAnalysis"] {
        if random.random_bool(0.4) {
            strategy["blueGreen"][part] = json!({"templates": [{"templateName": "check"}]});
        }
    }
    let mut cluster = Cluster::new(replicas, &strategy).with_services(&["main", "next"]);
    cluster.run();
    if random.random_bool(0.3) {
        cluster.hanging.push("v3".to_owned());
    }
    if random.random_bool(0.8) {
        cluster.set_image("v2");
    }
    // Blue-green has no bounds of this kind; what it promises is checked below.
    let promise = Promise {
        surge: 1_000_000,
        unavailable: 1_000_000,
        scales: seed.is_multiple_of(2),
    };
    for _ in 0..turns(&mut random) {
        let before = cluster.services["main"].hash.clone();
        turn(&mut cluster, &mut random, &promise, seed);
        let active = cluster.services["main"]
            .hash
            .clone()
            .expect("the Service was pointed somewhere");
        let set = cluster.replica_sets.values().find(|set| set.hash == active);
        let set = set
            .unwrap_or_else(|| panic!("seed {seed}: the active version is gone\n{}", cluster.log));
        // Counted out together with the annotation, for the number that was wanted then.
        assert_eq!(
            Some(set.replicas),
            set.desired,
            "seed {seed}: the active version shrank\n{}",
            cluster.log
        );
        // An abort goes back at once, as upstream, also while an autoscaler wants more pods than there are.
        if before.as_ref() != Some(&active) && !cluster.status().abort {
            assert_eq!(
                cluster.steady_pods(&set.name),
                set.replicas,
                "seed {seed}: switched to pods that are not there\n{}",
                cluster.log
            );
        }
    }
    bring_to_rest(&mut cluster, seed);
    cluster.advance(60);
    cluster.run();
    assert_eq!(
        wanted(&cluster),
        cluster.replicas(),
        "seed {seed}: old versions are gone"
    );
}
