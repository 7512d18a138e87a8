//! Which shards a process takes, and which it hands over.

use std::collections::{BTreeMap, BTreeSet};

/// Who lives and who holds what, as one process sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Processes that live, this one among them.
    pub workers: BTreeSet<String>,
    /// By shard: the live process that holds it.
    pub holders: Vec<Option<String>>,
    /// By shard: how much work it is, for example its number of objects. A missing weight and 0 count as 1.
    pub weights: Vec<u64>,
}

/// What one process does about the shards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moves {
    /// Shards that nobody holds and this process takes.
    pub claim: BTreeSet<u32>,
    /// Shards of this process that another one should have.
    pub release: BTreeSet<u32>,
}

/// What `me` does. All processes compute the same distribution from the same view and each carries out its own part,
/// so none waits for orders; where views differ the leases decide.
pub fn moves(view: &View, me: &str) -> Moves {
    let mut moves = Moves::default();
    for ((shard, holder), target) in (0..).zip(&view.holders).zip(distribution(view)) {
        match (holder.as_deref(), target) {
            (None, Some(target)) if target == me => drop(moves.claim.insert(shard)),
            (Some(holder), Some(target)) if holder == me && target != me => {
                moves.release.insert(shard);
            }
            _ => {}
        }
    }
    moves
}

/// By shard: the process that should have it.
///
/// Shards stay where they are, unless that process has more than its bound: the mean load, rounded up, and half of the
/// heaviest shard on top, so that shards do not wander for a small gain. Shards of equal weight are thus held by
/// rounded-up number of shards / number of processes at most. Free shards go to the process with the least load,
/// heavy ones first.
pub fn distribution(view: &View) -> Vec<Option<&str>> {
    let mut loads = Loads::of(view);
    let mut free: Vec<usize> = (0..view.holders.len())
        .filter(|shard| loads.targets[*shard].is_none())
        .collect();
    free.sort_by_key(|shard| std::cmp::Reverse(weight(view, *shard)));
    for shard in free {
        loads.give_to_least(shard);
    }
    while let Some((shard, receiver)) = loads.relief() {
        loads.give(shard, receiver);
    }
    loads.targets
}

fn weight(view: &View, shard: usize) -> u64 {
    view.weights.get(shard).copied().unwrap_or(1).max(1)
}

/// A distribution that is being made.
struct Loads<'v> {
    view: &'v View,
    targets: Vec<Option<&'v str>>,
    by_worker: BTreeMap<&'v str, u64>,
}

impl<'v> Loads<'v> {
    fn of(view: &'v View) -> Self {
        let mut loads: BTreeMap<&str, u64> =
            view.workers.iter().map(|name| (name.as_str(), 0)).collect();
        // Of a process that is not known to live a shard is free.
        let targets: Vec<Option<&str>> = view
            .holders
            .iter()
            .map(|holder| holder.as_deref().filter(|name| loads.contains_key(name)))
            .collect();
        for (shard, target) in targets.iter().enumerate() {
            if let Some(load) = target.and_then(|name| loads.get_mut(name)) {
                *load += weight(view, shard);
            }
        }
        Self {
            view,
            targets,
            by_worker: loads,
        }
    }

    fn least(&self) -> Option<(&'v str, u64)> {
        let all = self.by_worker.iter().map(|(name, load)| (*name, *load));
        all.min_by_key(|(_, load)| *load)
    }

    fn give_to_least(&mut self, shard: usize) {
        if let Some((least, _)) = self.least() {
            self.give(shard, least);
        }
    }

    fn give(&mut self, shard: usize, receiver: &'v str) {
        let weight = weight(self.view, shard);
        if let Some(load) = self.targets[shard].and_then(|name| self.by_worker.get_mut(name)) {
            *load -= weight;
        }
        if let Some(load) = self.by_worker.get_mut(receiver) {
            *load += weight;
        }
        self.targets[shard] = Some(receiver);
    }

    /// The most that a process should have.
    fn bound(&self) -> u64 {
        let all = (0..self.targets.len()).map(|shard| weight(self.view, shard));
        let (total, heaviest) = (all.clone().sum::<u64>(), all.max().unwrap_or(0));
        let workers = u64::try_from(self.by_worker.len().max(1)).unwrap_or(u64::MAX);
        total.div_ceil(workers) + heaviest / 2
    }

    /// A shard of a process above its bound that makes the distribution clearly more even when the process with the least load
    /// has it. Each such move makes the sum of the squares of the loads smaller, so there is a last one.
    fn relief(&self) -> Option<(usize, &'v str)> {
        let (receiver, least) = self.least()?;
        let bound = self.bound();
        let mut above: Vec<(&str, u64)> = self
            .by_worker
            .iter()
            .map(|(name, load)| (*name, *load))
            .filter(|(_, load)| *load > bound)
            .collect();
        above.sort_by_key(|(_, load)| std::cmp::Reverse(*load));
        above.into_iter().find_map(|(giver, load)| {
            let shards =
                (0..self.targets.len()).filter(|shard| self.targets[*shard] == Some(giver));
            let gains = shards.filter(|shard| {
                let weight = weight(self.view, *shard);
                least + weight + weight / 4 < load
            });
            // The one after which the heavier of the two has least; of equal ones the last.
            gains
                .rev()
                .min_by_key(|shard| {
                    let weight = weight(self.view, *shard);
                    (load - weight).max(least + weight)
                })
                .map(|shard| (shard, receiver))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn view() -> impl Strategy<Value = View> {
        (1..9_usize, 1..40_usize).prop_flat_map(|(workers, shards)| {
            let names: Vec<String> = (0..workers).map(|n| format!("worker-{n}")).collect();
            let holder = prop::option::of(0..workers + 1);
            (
                prop::collection::vec(holder, shards),
                prop::collection::vec(0..50_u64, 0..=shards),
            )
                .prop_map(move |(holders, weights)| View {
                    workers: names.iter().cloned().collect(),
                    // One more than live: a dead one.
                    holders: holders
                        .into_iter()
                        .map(|holder| holder.map(|n| format!("worker-{n}")))
                        .collect(),
                    weights,
                })
        })
    }

    fn loads(view: &View) -> BTreeMap<String, (u64, u64)> {
        let mut loads: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for worker in &view.workers {
            loads.insert(worker.clone(), (0, u64::MAX));
        }
        for (shard, holder) in view.holders.iter().enumerate() {
            let load = loads.get_mut(holder.as_ref().expect("held"));
            let load = load.expect("by a live one");
            load.0 += weight(view, shard);
            load.1 = load.1.min(weight(view, shard));
        }
        loads
    }

    /// The view after every process has made its moves.
    fn after(view: &View) -> View {
        let mut next = view.clone();
        for worker in &view.workers {
            let moves = moves(view, worker);
            for shard in moves.release {
                next.holders[usize::try_from(shard).expect("small")] = None;
            }
            for shard in moves.claim {
                next.holders[usize::try_from(shard).expect("small")] = Some(worker.clone());
            }
        }
        next
    }

    fn live(mut view: View) -> View {
        for holder in &mut view.holders {
            *holder = holder.take().filter(|name| view.workers.contains(name));
        }
        view
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn each_free_shard_is_claimed_by_one_process_and_no_held_one_by_another(view in view()) {
            let view = live(view);
            let mut claimed = BTreeSet::new();
            for worker in &view.workers {
                let moves = moves(&view, worker);
                for shard in &moves.claim {
                    prop_assert_eq!(&view.holders[usize::try_from(*shard).expect("small")], &None);
                    prop_assert!(claimed.insert(*shard));
                }
                for shard in &moves.release {
                    prop_assert_eq!(&view.holders[usize::try_from(*shard).expect("small")], &Some(worker.clone()));
                }
            }
            let free = view.holders.iter().filter(|holder| holder.is_none()).count();
            prop_assert_eq!(claimed.len(), free);
        }

        #[test]
        fn the_pool_comes_to_rest_with_bounded_loads(view in view()) {
            let mut view = live(view);
            for _ in 0..30 {
                let next = after(&view);
                if next == view { break }
                view = next;
            }
            prop_assert_eq!(&after(&view), &view, "still moving");
            let all = loads(&view);
            let total: u64 = all.values().map(|(load, _)| load).sum();
            let heaviest = (0..view.holders.len()).map(|shard| weight(&view, shard)).max().expect("one");
            let mean = total.div_ceil(all.len() as u64);
            for (load, lightest) in all.values() {
                prop_assert!(*load <= mean + heaviest / 2 || *load <= mean + lightest + lightest / 4, "{:?}", all);
            }
        }

        #[test]
        fn shards_of_equal_weight_are_shared_out_evenly(view in view()) {
            let mut view = live(view);
            view.weights.clear();
            for _ in 0..4 { view = after(&view) }
            let fair = (view.holders.len() as u64).div_ceil(view.workers.len() as u64);
            for (load, _) in loads(&view).values() {
                prop_assert!(*load <= fair);
            }
        }

        #[test]
        fn a_pool_within_its_bounds_moves_nothing_when_weights_hardly_change(view in view()) {
            let mut view = live(view);
            view.weights = vec![20; view.holders.len()];
            for _ in 0..4 { view = after(&view) }
            for (shard, weight) in view.weights.iter_mut().enumerate() {
                *weight += (shard % 2) as u64;
            }
            let moved = view.workers.iter().map(|worker| moves(&view, worker)).filter(|m| *m != Moves::default());
            let per_worker = view.holders.len() / view.workers.len();
            // A quarter of a shard is the play that a process has.
            if per_worker < 4 {
                prop_assert_eq!(moved.count(), 0);
            }
        }
    }
}
