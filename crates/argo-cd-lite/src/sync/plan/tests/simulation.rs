//! Syncs with objects that become healthy, or not, in any order, and a controller that is killed between
//! an effect and the note of it.

use std::collections::BTreeSet;

use reconcile_core::testkit::{Act, Random, Simulation};

use super::*;

/// Runs of the simulation; each takes well under a millisecond.
const SEEDS: u64 = 400;

#[derive(Default)]
struct SyncCluster {
    set: TargetSet,
    live: LiveMap,
    /// `status.operationState`, as it would be stored.
    results: Vec<ResourceResult>,
    ended: Option<Phase>,
    /// Creations of each hook, and the order of applied objects.
    hook_runs: BTreeMap<ResourceId, usize>,
    applied: Vec<ResourceId>,
    pruned: BTreeSet<ResourceId>,
    /// Something is wrong with the order.
    complaint: Option<String>,
    crashes: usize,
}

fn random_set(random: &mut Random) -> TargetSet {
    let count = 2 + random.below(8);
    let phases = [
        "PreSync",
        "Sync",
        "PostSync",
        "SyncFail",
        "PreSync,PostSync",
    ];
    let waves = ["-1", "0", "1", "2"];
    let described: Vec<(String, String, Option<&str>, &str)> = (0..count)
        .map(|number| {
            let hook = random.one_in(3).then(|| phases[random.below(phases.len())]);
            let kind = if hook.is_some() {
                "Job"
            } else {
                ["ConfigMap", "Deployment"][random.below(2)]
            };
            let dash = if hook.is_some() && random.one_in(2) {
                "-"
            } else {
                ""
            };
            (
                kind.to_owned(),
                format!("o{number}{dash}"),
                hook,
                waves[random.below(waves.len())],
            )
        })
        .collect();
    let annotations: Vec<Vec<(&str, &str)>> = described
        .iter()
        .map(|(_, _, hook, wave)| {
            let mut list = vec![("sync-wave", *wave)];
            list.extend(hook.map(|hook| ("hook", hook)));
            list
        })
        .collect();
    let objects: Vec<Object<'_>> = described
        .iter()
        .zip(&annotations)
        .map(|((kind, name, ..), annotations)| {
            (kind.as_str(), name.as_str(), annotations.as_slice())
        })
        .collect();
    targets(&objects)
}

fn prune_candidates(random: &mut Random) -> LiveMap {
    (0..random.below(3))
        .map(|number| {
            let id = ResourceId::new("", "ConfigMap", "ns", format!("extra{number}"));
            let settings = SyncSettings {
                wave: i32::try_from(random.below(3)).unwrap_or(0),
                ..SyncSettings::default()
            };
            (id.clone(), live(&id, None, None, settings))
        })
        .collect()
}

fn controller(world: &mut SyncCluster, random: &mut Random) -> Act {
    if world.ended.is_some() {
        return Act::Idle;
    }
    let request = SyncOperation {
        prune: true,
        ..SyncOperation::default()
    };
    let tasks = tasks(&world.set, &world.live, &request, &[]);
    let decided = advance(&tasks, &world.results, OPERATION);
    let before = world.results.clone();
    let mut results = decided.results;
    let done = match decided.step {
        Step::Wait(message) if results == before => {
            drop(message);
            return Act::Idle;
        }
        Step::Wait(message) => message,
        Step::Replace(hooks) => {
            for hook in &hooks {
                world.live.remove(&hook.id);
            }
            "replace".to_owned()
        }
        Step::Run(RunStep { groups, last, .. }) => {
            let mut names = Vec::new();
            for task in groups.into_iter().flatten() {
                check_order(world, &tasks, &task);
                names.push(task.to_string());
                carry_out(world, &task);
                results.push(task.new_row());
                // Killed in the middle of a wave: nothing of it was noted.
                if random.one_in(12) && world.crashes < 5 {
                    world.crashes += 1;
                    return Act::did(format!("{} and is killed", names.join(", ")));
                }
            }
            if last {
                world.ended = Some(Phase::Succeeded);
            }
            names.join(", ")
        }
        Step::Finish { phase, message, .. } => {
            world.ended = Some(phase);
            message
        }
    };
    if random.one_in(10) && world.crashes < 5 {
        world.crashes += 1;
        world.ended = None;
        return Act::did(format!("{done}, and is killed before it is noted"));
    }
    world.results = results;
    Act::did(done)
}

/// A task may only run when everything of earlier stages is done.
fn check_order(world: &mut SyncCluster, tasks: &[Task], task: &Task) {
    let failing = task.phase == SyncPhase::SyncFail;
    for earlier in tasks
        .iter()
        .filter(|earlier| earlier.stage() < task.stage() && !failing)
    {
        let healthy = match (&earlier.kind, world.live.get(&earlier.id)) {
            (TaskKind::Prune, found) => found.is_none(),
            (_, Some(found)) => {
                phase_of(found.health.as_ref().map(|health| health.code)) == Phase::Succeeded
            }
            (_, None) => false,
        };
        if !healthy && earlier.phase != SyncPhase::SyncFail {
            world.complaint = Some(format!("{task} ran before {earlier} was done"));
        }
    }
}

fn carry_out(world: &mut SyncCluster, task: &Task) {
    if task.is_delete() {
        world.pruned.insert(task.id.clone());
        world.live.remove(&task.id);
        return;
    }
    let operation = task.is_hook().then_some(OPERATION);
    if world.live.contains_key(&task.id) && operation.is_some() {
        world.complaint = Some(format!("{task} although it is there"));
    }
    if task.is_hook() {
        *world.hook_runs.entry(task.id.clone()).or_default() += 1;
    }
    let code = match &*task.id.kind.kind {
        "ConfigMap" => None,
        _ => Some(Code::Progressing),
    };
    let before = world
        .live
        .get(&task.id)
        .and_then(|live| live.health.as_ref().map(|health| health.code));
    world.applied.push(task.id.clone());
    world.live.insert(
        task.id.clone(),
        live(&task.id, before.or(code), operation, task.settings.clone()),
    );
}

fn cluster(world: &mut SyncCluster, random: &mut Random) -> Act {
    let waiting: Vec<ResourceId> = world
        .live
        .iter()
        .filter(|(_, live)| {
            live.health
                .as_ref()
                .is_some_and(|health| health.code == Code::Progressing)
        })
        .map(|(id, _)| id.clone())
        .collect();
    if waiting.is_empty() {
        return Act::Idle;
    }
    let id = &waiting[random.below(waiting.len())];
    let code = if random.one_in(8) {
        Code::Degraded
    } else {
        Code::Healthy
    };
    let old = world.live[id].clone();
    world.live.insert(
        id.clone(),
        live(id, Some(code), old.operation.as_deref(), old.settings()),
    );
    Act::did(format!("{id} is {code}"))
}

fn hooks_run_once(world: &SyncCluster) -> Result<(), String> {
    match world.hook_runs.iter().find(|(_, runs)| **runs > 1) {
        Some((id, runs)) => Err(format!("hook {id} ran {runs} times")),
        None => Ok(()),
    }
}

fn only_extras_are_pruned(world: &SyncCluster) -> Result<(), String> {
    let described = |id: &ResourceId| world.set.targets.iter().any(|target| target.id == *id);
    match world.pruned.iter().find(|id| described(id)) {
        Some(id) => Err(format!("{id} was pruned although Git describes it")),
        None => Ok(()),
    }
}

#[test]
fn syncs_end_in_order_with_each_hook_run_once_whatever_happens() {
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let world = SyncCluster {
            set: random_set(&mut random),
            live: prune_candidates(&mut random),
            ..SyncCluster::default()
        };
        let finished = Simulation::new(world, seed, 2000)
            .actor("controller", controller)
            .actor("cluster", cluster)
            .invariant("order", |world: &SyncCluster| {
                world.complaint.clone().map_or(Ok(()), Err)
            })
            .invariant("hooks run once", hooks_run_once)
            .invariant("prunes", only_extras_are_pruned)
            .run_until(|world| world.ended.is_some());
        match finished {
            Err(failure) => panic!("{failure}"),
            Ok(finished) => {
                let failed = finished
                    .world
                    .results
                    .iter()
                    .any(|row| row.hook_phase.is_some_and(Phase::unsuccessful));
                assert_eq!(
                    failed,
                    finished.world.ended == Some(Phase::Failed),
                    "seed {seed}"
                );
            }
        }
    }
}
