//! A pool of processes that join, die, are cut off and are rolled out with another number of shards.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{Names, Sightings, moves, shard_of};
use crate::{
    lease::{Candidate, Decision, LeaseRecord, decide},
    object::ObjectKey,
    testkit::{Act, Random, Simulation, seeds},
};

/// Seconds, as the elections have them by default.
const RENEW_DEADLINE: i64 = 10;
const LEASE_SECONDS: i32 = 15;
/// From this second on nothing happens any more to the processes.
const CALM: i64 = 150;
/// Long enough for leases to run out and shards to be handed over.
const END: i64 = 230;

/// What a process does with a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The lease is won.
    Won,
    /// It was won before the list that is being read.
    WonBefore,
    Active,
    Leaving,
}

/// Whether a list was acted upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ListedView {
    Fresh,
    Used,
}

struct Process {
    candidate: Candidate,
    names: Names,
    sightings: Sightings,
    alive: bool,
    cut_off: bool,
    member: bool,
    /// By lease: when it was renewed last.
    renewed: BTreeMap<String, i64>,
    shards: BTreeMap<u32, Phase>,
    view: ListedView,
    /// Turns of this second that were taken.
    done: BTreeSet<&'static str>,
}

#[derive(Default)]
struct World {
    now: i64,
    leases: BTreeMap<String, LeaseRecord>,
    processes: Vec<Process>,
    joined: usize,
    /// Of some objects the shard, by number of shards.
    objects: Vec<BTreeMap<u32, u32>>,
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).expect("in range")
}

impl World {
    fn join(&mut self, count: u32) {
        let candidate = Candidate::from(format!("process-{}", self.joined).as_str());
        self.joined += 1;
        let names = Names {
            prefix: "pool".to_owned(),
            count,
        };
        self.processes.push(Process {
            sightings: Sightings::new(names.clone(), candidate.clone()),
            candidate,
            names,
            alive: true,
            cut_off: false,
            member: false,
            renewed: BTreeMap::new(),
            shards: BTreeMap::new(),
            view: ListedView::Used,
            done: BTreeSet::new(),
        });
    }

    fn write(&mut self, process: usize, lease: &str, holder: &str) {
        let record = LeaseRecord {
            holder: holder.to_owned(),
            duration_seconds: LEASE_SECONDS,
            transitions: 0,
            renewed: Some(format!("{} by {holder}", self.now)),
        };
        self.leases.insert(lease.to_owned(), record);
        let now = self.now;
        self.processes[process]
            .renewed
            .insert(lease.to_owned(), now);
    }

    /// One attempt at a lease, with what was seen of it before.
    fn attempt(&mut self, process: usize, lease: &str) -> bool {
        let one = &self.processes[process];
        let seen = one.sightings.observed(lease);
        // What changed since it was seen counts from now on, so such a holder lives.
        let current = self.leases.get(lease);
        let unchanged = match (seen, current) {
            (None, None) => true,
            (Some(seen), Some(current)) => seen.record == *current,
            (None, Some(current)) => current.holder.is_empty(),
            (Some(_), None) => false,
        };
        let may = unchanged
            && matches!(
                decide(seen, &one.candidate, at(self.now)),
                Decision::Create | Decision::Take { .. } | Decision::Renew
            );
        if may {
            let holder = one.candidate.identity.clone();
            self.write(process, lease, &holder);
        }
        may
    }

    /// Renews what is held; what cannot be renewed in time is dropped.
    fn renew(&mut self, process: usize) {
        let now = self.now;
        let one = &mut self.processes[process];
        if one.cut_off {
            one.renewed.retain(|_, at| now - *at < RENEW_DEADLINE);
            let (names, renewed) = (&one.names, &one.renewed);
            one.shards
                .retain(|shard, _| renewed.contains_key(&names.shard(*shard)));
            one.member = renewed.contains_key(&names.worker(&one.candidate.short_id()));
            return;
        }
        let me = one.candidate.identity.clone();
        let member = one.names.worker(&one.candidate.short_id());
        for lease in one.renewed.keys().cloned().collect::<Vec<_>>() {
            if self
                .leases
                .get(&lease)
                .is_some_and(|record| record.holder == me)
            {
                self.write(process, &lease, &me);
            } else {
                // Taken by another process meanwhile.
                let one = &mut self.processes[process];
                one.renewed.remove(&lease);
                let names = &one.names;
                one.shards.retain(|shard, _| names.shard(*shard) != lease);
            }
        }
        if !self.processes[process].renewed.contains_key(&member) {
            self.write(process, &member, &me);
        }
        self.processes[process].member = true;
    }

    fn list(&mut self, process: usize) {
        let now = at(self.now);
        let one = &mut self.processes[process];
        if one.cut_off || !one.member {
            return;
        }
        for phase in one.shards.values_mut() {
            if *phase == Phase::Won {
                *phase = Phase::WonBefore;
            }
        }
        one.sightings.see(self.leases.clone(), now);
        one.view = ListedView::Fresh;
    }

    fn act(&mut self, process: usize, random: &mut Random) {
        let now = at(self.now);
        let one = &mut self.processes[process];
        if std::mem::replace(&mut one.view, ListedView::Used) == ListedView::Used {
            return;
        }
        let others = one.sightings.others(now);
        let mine = one.shards.keys().copied().collect();
        let view = one.sightings.view(&mine, now);
        let waits = others.hold || (others.larger && view.holders.iter().all(Option::is_none));
        let mut freed = Vec::new();
        for (shard, phase) in &mut one.shards {
            match phase {
                Phase::Won | Phase::WonBefore if others.hold => freed.push(*shard),
                Phase::WonBefore => *phase = Phase::Active,
                // Its work ends sooner or later.
                Phase::Leaving if random.one_in(3) => freed.push(*shard),
                Phase::Won | Phase::Active | Phase::Leaving => {}
            }
        }
        let moves = moves(&view, &one.candidate.identity);
        for shard in &moves.release {
            if let Some(phase @ Phase::Active) = one.shards.get_mut(shard) {
                *phase = Phase::Leaving;
            }
        }
        for shard in freed {
            let one = &mut self.processes[process];
            one.shards.remove(&shard);
            let lease = one.names.shard(shard);
            one.renewed.remove(&lease);
            self.leases.entry(lease).and_modify(|record| {
                record.holder.clear();
                record.renewed = Some(format!("{} freed", self.now));
            });
        }
        if waits {
            return;
        }
        for shard in moves.claim {
            let lease = self.processes[process].names.shard(shard);
            if !self.processes[process].shards.contains_key(&shard) && self.attempt(process, &lease)
            {
                self.processes[process].shards.insert(shard, Phase::Won);
            }
        }
    }

    /// Processes that act for an object now.
    fn acting(&self, shard_by_count: &BTreeMap<u32, u32>) -> Vec<&str> {
        let acts = |one: &&Process| {
            let shard = shard_by_count[&one.names.count];
            let phase = one.shards.get(&shard);
            let renewed = one.renewed.get(&one.names.shard(shard));
            one.alive
                && phase.is_some_and(|phase| matches!(phase, Phase::Active | Phase::Leaving))
                && renewed.is_some_and(|at| self.now - at < RENEW_DEADLINE)
        };
        let all = self.processes.iter().filter(acts);
        all.map(|one| one.candidate.identity.as_str()).collect()
    }

    fn one_acts(&self) -> Result<(), String> {
        for (n, shards) in self.objects.iter().enumerate() {
            let acting = self.acting(shards);
            if acting.len() > 1 {
                return Err(format!("{acting:?} act for object-{n}"));
            }
        }
        Ok(())
    }
}

/// Something happens to the processes.
fn happen(world: &mut World, random: &mut Random, counts: &[u32]) -> Act {
    if world.now >= CALM || !random.one_in(60) {
        return Act::Idle;
    }
    let alive: Vec<usize> = (0..world.processes.len())
        .filter(|index| world.processes[*index].alive)
        .collect();
    match random.below(4) {
        0 | 1 if alive.len() < 6 => {
            let count = counts[random.below(counts.len())];
            world.join(count);
            Act::did(format!("a process with {count} shards joins"))
        }
        2 if alive.len() > 1 => {
            let index = alive[random.below(alive.len())];
            world.processes[index].alive = false;
            Act::did(format!("process-{index} is killed"))
        }
        3 if !alive.is_empty() => {
            let one = &mut world.processes[alive[random.below(alive.len())]];
            one.cut_off = !one.cut_off;
            Act::did(format!(
                "{} cut off: {}",
                one.candidate.identity, one.cut_off
            ))
        }
        _ => Act::Idle,
    }
}

fn play(seed: u64, counts: &'static [u32]) -> World {
    let shards = |n: u32| {
        let key = ObjectKey::new("shop", format!("object-{n}"));
        let all = counts.iter();
        all.map(|count| (*count, shard_of(&key, *count))).collect()
    };
    let mut world = World {
        objects: (0..24).map(shards).collect(),
        ..World::default()
    };
    for _ in 0..2 {
        world.join(counts[0]);
    }
    let mut simulation = Simulation::new(world, seed, 100_000)
        .invariant("one process acts for an object", World::one_acts)
        .actor("fate", move |world, random| happen(world, random, counts))
        .advance(|world| {
            world.now += 1;
            for one in &mut world.processes {
                one.done.clear();
                if world.now >= CALM {
                    one.cut_off = false;
                }
            }
            world.now < END
        });
    for turn in ["renew", "list", "act"] {
        simulation = simulation.actor(turn, move |world, random| {
            let waiting: Vec<usize> = (0..world.processes.len())
                .filter(|index| {
                    let one = &world.processes[*index];
                    one.alive && !one.done.contains(turn)
                })
                .collect();
            if waiting.is_empty() {
                return Act::Idle;
            }
            let process = waiting[random.below(waiting.len())];
            world.processes[process].done.insert(turn);
            match turn {
                "renew" => world.renew(process),
                // Often late.
                _ if random.one_in(2) => {}
                "list" => world.list(process),
                _ => world.act(process, random),
            }
            Act::did(format!("process-{process}"))
        });
    }
    match simulation.run_to_rest() {
        Ok(finished) => finished.world,
        Err(failure) => panic!("{failure}"),
    }
}

/// Live processes of the pool that acts, and how many shards each holds.
fn shares(world: &World) -> BTreeMap<&str, usize> {
    let alive = world.processes.iter().filter(|one| one.alive);
    alive
        .map(|one| {
            let active = one.shards.values().filter(|phase| **phase == Phase::Active);
            (one.candidate.identity.as_str(), active.count())
        })
        .collect()
}

#[test]
fn whatever_happens_one_process_acts_and_at_rest_each_shard_is_held_in_fair_shares() {
    for seed in seeds(12) {
        let world = play(seed, &[8]);
        let shares = shares(&world);
        assert_eq!(shares.values().sum::<usize>(), 8, "seed {seed}: {shares:?}");
        let fair = 8_usize.div_ceil(shares.len());
        assert!(
            shares.values().all(|share| *share <= fair),
            "seed {seed}: {shares:?}"
        );
    }
}

#[test]
fn processes_with_another_number_of_shards_never_act_at_the_same_time() {
    for seed in seeds(12) {
        let world = play(seed, &[8, 8, 5, 12]);
        for (n, shards) in world.objects.iter().enumerate() {
            assert_eq!(world.acting(shards).len(), 1, "seed {seed}: object-{n}");
        }
    }
}

#[test]
fn leases_of_processes_that_are_gone_are_old_after_a_while() {
    let mut world = World::default();
    world.join(3);
    world.renew(0);
    world.list(0);
    let gone = LeaseRecord {
        holder: "gone".to_owned(),
        duration_seconds: LEASE_SECONDS,
        ..LeaseRecord::default()
    };
    let names = ["pool-worker-abc-of-3", "pool-1-of-3"];
    for name in names.into_iter().chain(["pool-1-of-9", "other-1-of-9"]) {
        world.leases.insert(name.to_owned(), gone.clone());
    }
    world.list(0);
    let old = |world: &World, second| {
        let sightings = &world.processes[0].sightings;
        sightings.old(at(second), SignedDuration::from_mins(5))
    };
    assert_eq!(old(&world, 299), [] as [&str; 0]);
    world.now = 301;
    world.renew(0);
    world.list(0);
    assert_eq!(old(&world, 301), ["pool-1-of-9", "pool-worker-abc-of-3"]);
}
