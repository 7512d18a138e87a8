//! Rendered applications in memory.
//!
//! An entry belongs to a source with its options, and counts while everything that was read is as it was: a commit
//! that touches nothing of it finds the targets here. The cache has a budget of bytes; what falls out is made again,
//! from the cache on disk where a program had to run.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use super::{Placement, RenderError, TargetSet, generate::Inputs};

/// Bytes of rendered manifests to keep: 1,000 applications of one small object need about 3 MiB.
const BUDGET: usize = 12 * 1024 * 1024;
/// Part of the budget that is left after making room, so that not every insert has to search.
const AFTER_EVICTION: usize = BUDGET / 8 * 7;
/// Results of one source that are kept: the commit that is compared, and the one that is being synced.
const PER_KEY: usize = 2;
/// Bytes of an entry beside its targets, roughly.
const OVERHEAD: usize = 500;

/// What the targets of an application depend on, beside its inputs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct CacheKey {
    pub(super) request: String,
    /// Where the objects go, and how they are marked.
    pub(super) placement: Placement,
    /// State of discovery: scopes of kinds may change with it.
    pub(super) discovery: u64,
}

/// Targets, or why there are none.
pub(super) type Outcome = Result<Arc<TargetSet>, RenderError>;

struct Entry {
    inputs: Arc<Inputs>,
    outcome: Outcome,
    /// Bytes of memory, roughly.
    size: usize,
    used: u64,
}

impl Entry {
    fn new(key: &CacheKey, inputs: Inputs, outcome: Outcome, used: u64) -> Self {
        let outcome_size = match &outcome {
            Ok(set) => set.bytes(),
            Err(error) => error.to_string().len(),
        };
        let key_size = key.request.len() + key.placement.instance.len();
        Self {
            size: OVERHEAD + key_size + size_of(&inputs) + outcome_size,
            inputs: Arc::new(inputs),
            outcome,
            used,
        }
    }
}

/// Bytes of memory of the inputs, roughly.
fn size_of(inputs: &Inputs) -> usize {
    const OVERHEAD: usize = 64;
    let paths = inputs.trees.iter().flatten();
    let all = paths.chain(&inputs.facts);
    all.map(|(name, value)| name.len() + value.len() + OVERHEAD)
        .sum()
}

#[derive(Default)]
struct State {
    entries: HashMap<CacheKey, Vec<Entry>>,
    size: usize,
    clock: u64,
}

/// Rendered applications. Cloning shares them.
#[derive(Clone, Default)]
pub(super) struct RenderCache(Arc<Mutex<State>>);

impl RenderCache {
    /// What is known for `key` where `matches` accepts the inputs.
    pub(super) fn get(&self, key: &CacheKey, matches: impl Fn(&Inputs) -> bool) -> Option<Outcome> {
        let known: Vec<Arc<Inputs>> = {
            let state = self.0.lock();
            let entries = state.entries.get(key)?;
            entries.iter().map(|entry| entry.inputs.clone()).collect()
        };
        // Files are looked up without the lock.
        let inputs = known.into_iter().find(|inputs| matches(inputs))?;
        let mut state = self.0.lock();
        state.clock += 1;
        let now = state.clock;
        let entries = state.entries.get_mut(key)?;
        let entry = entries
            .iter_mut()
            .find(|entry| Arc::ptr_eq(&entry.inputs, &inputs))?;
        entry.used = now;
        Some(entry.outcome.clone())
    }

    /// Keeps an outcome; drops what was not used for the longest time when there is no room.
    pub(super) fn put(&self, key: CacheKey, inputs: Inputs, outcome: Outcome) {
        let mut state = self.0.lock();
        state.clock += 1;
        let entry = Entry::new(&key, inputs, outcome, state.clock);
        state.size += entry.size;
        let entries = state.entries.entry(key).or_default();
        let mut gone = 0;
        entries.retain(|old| {
            let same = old.inputs == entry.inputs;
            gone += if same { old.size } else { 0 };
            !same
        });
        if entries.len() >= PER_KEY {
            entries.sort_by_key(|entry| entry.used);
            gone += entries.remove(0).size;
        }
        entries.push(entry);
        state.size -= gone;
        if state.size > BUDGET {
            state.evict();
        }
    }

    /// Drops what is known for `key`, for a hard refresh.
    pub(super) fn remove(&self, key: &CacheKey) {
        let mut state = self.0.lock();
        if let Some(old) = state.entries.remove(key) {
            state.size -= old.iter().map(|entry| entry.size).sum::<usize>();
        }
    }
}

impl State {
    fn evict(&mut self) {
        let mut by_age: Vec<(u64, CacheKey)> = self
            .entries
            .iter()
            .map(|(key, entries)| {
                let used = entries.iter().map(|entry| entry.used).max();
                (used.unwrap_or(0), key.clone())
            })
            .collect();
        by_age.sort_by_key(|(used, _)| *used);
        for (_, key) in by_age {
            if self.size <= AFTER_EVICTION {
                break;
            }
            if let Some(old) = self.entries.remove(&key) {
                self.size -= old.iter().map(|entry| entry.size).sum::<usize>();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> CacheKey {
        CacheKey {
            request: name.to_owned(),
            placement: Placement::default(),
            discovery: 1,
        }
    }

    fn set(size: usize) -> Arc<TargetSet> {
        Arc::new(TargetSet {
            size,
            ..TargetSet::default()
        })
    }

    fn inputs(revision: &str) -> Inputs {
        let mut inputs = Inputs::default();
        inputs.facts.insert("revision 0".into(), revision.into());
        inputs
    }

    #[test]
    fn the_cache_keeps_to_its_budget() {
        let cache = RenderCache::default();
        for number in 0..40 {
            let name = number.to_string();
            cache.put(key(&name), Inputs::default(), Ok(set(1024 * 1024)));
        }
        assert!(cache.get(&key("39"), |_| true).is_some());
        assert!(cache.get(&key("0"), |_| true).is_none());
    }

    #[test]
    fn inputs_and_failures_count() {
        let cache = RenderCache::default();
        for number in 0..40 {
            let mut read = Inputs::default();
            let record = (0..10_000).map(|path| (format!("{path:0100}"), String::new()));
            read.trees.push(record.collect());
            cache.put(key(&number.to_string()), read, Ok(set(0)));
        }
        assert!(cache.get(&key("0"), |_| true).is_none());
        for number in 0..40 {
            let failure = RenderError::field("path", "x".repeat(1024 * 1024));
            cache.put(key(&number.to_string()), Inputs::default(), Err(failure));
        }
        assert!(cache.get(&key("0"), |_| true).is_none());
        assert!(cache.get(&key("39"), |_| true).is_some());
    }

    #[test]
    fn the_results_of_two_commits_and_failures_are_kept() {
        let cache = RenderCache::default();
        for (revision, size) in [("a", 1), ("b", 2), ("b", 3), ("c", 4)] {
            cache.put(key("x"), inputs(revision), Ok(set(size)));
        }
        let size = |revision: &str| {
            let outcome = cache.get(&key("x"), |known| *known == inputs(revision))?;
            Some(outcome.expect("targets").size)
        };
        assert_eq!([size("a"), size("b"), size("c")], [None, Some(3), Some(4)]);
        let failure = RenderError::field("path", "broken");
        cache.put(key("y"), Inputs::default(), Err(failure.clone()));
        assert_eq!(
            cache.get(&key("y"), |_| true).expect("known").err(),
            Some(failure)
        );
        cache.remove(&key("x"));
        assert!(cache.get(&key("x"), |_| true).is_none());
    }
}
