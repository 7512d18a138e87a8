//! The simulation loop.

use crate::testkit::{Act, Random, Simulation};

#[derive(Debug, Default)]
struct World {
    wanted: u32,
    pods: u32,
    ready: u32,
    clock: u32,
}

fn cluster(seed: u64, careless: bool) -> Simulation<World> {
    Simulation::new(
        World {
            wanted: 3,
            ..World::default()
        },
        seed,
        200,
    )
    .actor("controller", move |world: &mut World, _: &mut Random| {
        if world.pods < world.wanted || (careless && world.pods < world.wanted + 2) {
            world.pods += 1;
            return Act::did(format!("makes pod {}", world.pods));
        }
        Act::Idle
    })
    .actor("kubelet", |world: &mut World, random: &mut Random| {
        if world.ready < world.pods && world.clock > 0 && !random.one_in(4) {
            world.ready += 1;
            return Act::did(format!("pod {} is ready", world.ready));
        }
        Act::Idle
    })
    .invariant("no surge", |world| {
        if world.pods > world.wanted {
            Err(format!("{} pods", world.pods))
        } else {
            Ok(())
        }
    })
    .advance(|world| {
        world.clock += 1;
        world.clock < 50
    })
}

#[test]
fn every_seed_reaches_the_goal_and_repeats_itself() {
    for seed in 0..50 {
        let first = cluster(seed, false)
            .run_until(|world| world.ready == 3)
            .expect("reached");
        let again = cluster(seed, false)
            .run_until(|world| world.ready == 3)
            .expect("reached");
        assert_eq!(first.transcript, again.transcript);
        assert_eq!(first.world.pods, 3);
    }
    let orders: std::collections::BTreeSet<String> = (0..50)
        .filter_map(|seed| cluster(seed, false).run_until(|w| w.ready == 3).ok())
        .map(|run| run.transcript.to_string())
        .collect();
    assert!(orders.len() > 1, "the order is not always the same");
}

#[test]
fn a_broken_invariant_is_reported_with_its_seed() {
    let failure = cluster(7, true)
        .run_until(|world| world.ready == 5)
        .expect_err("too many pods");
    let text = failure.to_string();
    assert!(text.starts_with("seed 7: no surge: 4 pods\n"), "{text}");
    assert!(text.contains("controller  makes pod 4"), "{text}");
}

#[test]
fn rest_and_endless_runs_are_distinguished() {
    let failure = cluster(1, false)
        .run_until(|world| world.ready == 9)
        .expect_err("never");
    assert_eq!(failure.reason, "came to rest before the goal");
    assert_eq!(
        cluster(1, false).run_to_rest().expect("rest").world.ready,
        3
    );
    let endless = Simulation::new(0_u32, 1, 10).actor("spinner", |n: &mut u32, _: &mut Random| {
        *n += 1;
        Act::did(n)
    });
    assert_eq!(
        endless.run_to_rest().expect_err("endless").reason,
        "not done after 10 steps"
    );
}
