//! Random histories: pods and analyses at any speed, people who end and retry, kills between any two
//! writes, and reads that do not show the newest objects yet.

use std::collections::BTreeSet;

use rand::{Rng, SeedableRng, rngs::StdRng};
use reconcile_core::testkit::{histories, seeds};

use super::cluster::Cluster;
use crate::api::{
    analysis::AnalysisPhase,
    experiment::{AVAILABLE_AT, TemplatePhase},
};

const SEEDS: u64 = 1000;
const TURNS: usize = 120;

fn check(cluster: &Cluster, seed: u64) {
    let status = cluster.status();
    let fail = |what: &str| panic!("seed {seed}: {what}\n{}", cluster.log);
    if cluster.replica_sets.len() > 2 {
        fail("a ReplicaSet is doubled");
    }
    let mut tries = BTreeSet::new();
    for (name, run) in &cluster.runs {
        let base = name.split('.').next().unwrap_or(name);
        if !tries.insert((base.to_owned(), run.labels[AVAILABLE_AT].clone())) {
            fail("a run is doubled");
        }
    }
    let required = status.analysis_runs.iter().find(|run| run.name == "must");
    let is_good = required.is_some_and(|run| run.phase == AnalysisPhase::Successful);
    if status.phase == AnalysisPhase::Successful && !is_good {
        fail("successful without what is required");
    }
}

fn turn(cluster: &mut Cluster, random: &mut StdRng) {
    let names: Vec<String> = cluster.replica_sets.keys().cloned().collect();
    match random.random_range(0..100) {
        0..30 => {
            if !names.is_empty() {
                let name = names[random.random_range(0..names.len())].clone();
                cluster.count(&name);
            }
        }
        30..70 => {
            let crash = random.random_bool(0.3).then(|| random.random_range(0..4));
            if random.random_bool(0.2) {
                let sets = cluster.replica_sets.keys();
                let all: Vec<String> = sets.chain(cluster.services.keys()).cloned().collect();
                let open = cluster.open_runs();
                cluster.unseen = all
                    .into_iter()
                    .chain(open)
                    .filter(|_| random.random_bool(0.5))
                    .collect();
            }
            cluster.pass(crash);
        }
        70..85 => {
            let seconds = random.random_range(1..15);
            cluster.advance(seconds);
        }
        85..97 => {
            if let Some(name) = cluster.open_runs().first().cloned() {
                let phase = match random.random_range(0..6) {
                    0 => AnalysisPhase::Failed,
                    1 => AnalysisPhase::Inconclusive,
                    _ => AnalysisPhase::Successful,
                };
                cluster.end_run(&name, phase);
            }
        }
        97 => {
            cluster.say("person: terminate");
            cluster.root["spec"]["terminate"] = true.into();
        }
        98 => {
            if cluster.phase().is_completed() {
                cluster.advance(1);
                cluster.say("person: retry");
                cluster.root["spec"]["terminate"] = false.into();
                cluster.root["status"] = serde_json::Value::Null;
            }
        }
        _ => {
            cluster.hanging = if random.random_bool(0.5) {
                vec!["ab-b".to_owned()]
            } else {
                Vec::new()
            };
        }
    }
}

#[test]
fn every_history_ends_and_nothing_is_doubled() {
    let mut ends = BTreeSet::new();
    histories(SEEDS, |seed| {
        let mut random = StdRng::seed_from_u64(seed);
        let mut cluster = Cluster::pair(Some("40s"), &["must!", "other"]);
        cluster.root["spec"]["progressDeadlineSeconds"] = 60.into();
        for _ in 0..TURNS {
            turn(&mut cluster, &mut random);
            check(&cluster, seed);
        }
        // Left alone, it ends.
        for _ in 0..20 {
            cluster.run();
            for name in cluster.open_runs() {
                cluster.end_run(&name, AnalysisPhase::Successful);
            }
            cluster.advance(30);
        }
        cluster.run();
        check(&cluster, seed);
        let status = cluster.status();
        assert!(
            status.phase.is_completed(),
            "seed {seed}: {status:?}\n{}",
            cluster.log
        );
        assert!(
            cluster.pods().iter().all(|pods| *pods == 0),
            "seed {seed}: pods are left\n{}",
            cluster.log
        );
        assert!(
            cluster.services.is_empty(),
            "seed {seed}: Services are left\n{}",
            cluster.log
        );
        let all = status.template_statuses.iter();
        assert!(
            all.clone()
                .all(|one| one.status.is_completed() && one.status != TemplatePhase::Unset)
        );
        ends.insert(status.phase.as_str().to_owned());
    });
    // One that is played again ends in one way.
    let is_sample = seeds(SEEDS).count() > 50;
    assert!(
        !is_sample || ends.len() >= 3,
        "histories end in different ways: {ends:?}"
    );
}
