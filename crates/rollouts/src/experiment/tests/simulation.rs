//! Random histories: pods and analyses at any speed, people who end and retry, kills between any two
//! writes, and reads that do not show the newest objects yet.

use std::collections::BTreeSet;

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::world::World;
use crate::api::{
    analysis::AnalysisPhase,
    experiment::{AVAILABLE_AT, TemplatePhase},
};

const SEEDS: u64 = 60;
const TURNS: usize = 120;

fn check(world: &World, seed: u64) {
    let status = world.status();
    let fail = |what: &str| panic!("seed {seed}: {what}\n{}", world.log);
    if world.replica_sets.len() > 2 {
        fail("a ReplicaSet is doubled");
    }
    let mut tries = BTreeSet::new();
    for (name, run) in &world.runs {
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

fn turn(world: &mut World, random: &mut StdRng) {
    let names: Vec<String> = world.replica_sets.keys().cloned().collect();
    match random.random_range(0..100) {
        0..30 => {
            if !names.is_empty() {
                let name = names[random.random_range(0..names.len())].clone();
                world.count(&name);
            }
        }
        30..70 => {
            let crash = random.random_bool(0.3).then(|| random.random_range(0..4));
            if random.random_bool(0.2) {
                let sets = world.replica_sets.keys();
                let all: Vec<String> = sets.chain(world.services.keys()).cloned().collect();
                let open = world.open_runs();
                world.unseen = all
                    .into_iter()
                    .chain(open)
                    .filter(|_| random.random_bool(0.5))
                    .collect();
            }
            world.pass(crash);
        }
        70..85 => {
            let seconds = random.random_range(1..15);
            world.advance(seconds);
        }
        85..97 => {
            if let Some(name) = world.open_runs().first().cloned() {
                let phase = match random.random_range(0..6) {
                    0 => AnalysisPhase::Failed,
                    1 => AnalysisPhase::Inconclusive,
                    _ => AnalysisPhase::Successful,
                };
                world.end_run(&name, phase);
            }
        }
        97 => {
            world.say("person: terminate");
            world.root["spec"]["terminate"] = true.into();
        }
        98 => {
            if world.phase().is_completed() {
                world.advance(1);
                world.say("person: retry");
                world.root["spec"]["terminate"] = false.into();
                world.root["status"] = serde_json::Value::Null;
            }
        }
        _ => {
            world.hanging = if random.random_bool(0.5) {
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
    for seed in 0..SEEDS {
        let mut random = StdRng::seed_from_u64(seed);
        let mut world = World::pair(Some("40s"), &["must!", "other"]);
        world.root["spec"]["progressDeadlineSeconds"] = 60.into();
        for _ in 0..TURNS {
            turn(&mut world, &mut random);
            check(&world, seed);
        }
        // Left alone, it ends.
        for _ in 0..20 {
            world.run();
            for name in world.open_runs() {
                world.end_run(&name, AnalysisPhase::Successful);
            }
            world.advance(30);
        }
        world.run();
        check(&world, seed);
        let status = world.status();
        assert!(
            status.phase.is_completed(),
            "seed {seed}: {status:?}\n{}",
            world.log
        );
        assert!(
            world.pods().iter().all(|pods| *pods == 0),
            "seed {seed}: pods are left\n{}",
            world.log
        );
        assert!(
            world.services.is_empty(),
            "seed {seed}: Services are left\n{}",
            world.log
        );
        let all = status.template_statuses.iter();
        assert!(
            all.clone()
                .all(|one| one.status.is_completed() && one.status != TemplatePhase::Unset)
        );
        ends.insert(status.phase.as_str().to_owned());
    }
    assert!(ends.len() >= 3, "histories end in different ways: {ends:?}");
}
