//! Rendered applications by source folder and parameters.
//!
//! The key holds the id of the source folder, not the commit: a commit that does not touch the folder
//! finds the targets here. The cache has a budget of bytes; what falls out is rendered again from the
//! object store when it is needed.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use parking_lot::Mutex;

use super::{Placement, TargetSet};
use crate::api::DirectorySource;

/// Bytes of rendered manifests to keep: 1,000 applications of one small object need about 3 MiB.
const BUDGET: usize = 12 * 1024 * 1024;
/// Part of the budget that is left after making room, so that not every insert has to search.
const AFTER_EVICTION: usize = BUDGET / 8 * 7;

/// What the targets of an application depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RenderKey {
    /// Id of the source folder.
    pub folder: String,
    /// Options of the source.
    pub directory: Option<DirectorySource>,
    /// Where the objects go, and how they are marked.
    pub placement: Placement,
    /// State of discovery: scopes of kinds may change with it.
    pub discovery: u64,
}

impl RenderKey {
    /// The key of one application.
    pub fn new(
        folder: String,
        directory: Option<DirectorySource>,
        placement: &Placement,
        discovery: u64,
    ) -> Self {
        Self {
            folder,
            directory,
            placement: placement.clone(),
            discovery,
        }
    }
}

struct Entry {
    set: Arc<TargetSet>,
    used: u64,
}

#[derive(Default)]
struct State {
    entries: HashMap<RenderKey, Entry>,
    size: usize,
    clock: u64,
}

/// Rendered applications. Cloning shares them.
#[derive(Clone, Default)]
pub struct RenderCache(Arc<Mutex<State>>);

impl RenderCache {
    /// The targets for `key`.
    pub fn get(&self, key: &RenderKey) -> Option<Arc<TargetSet>> {
        let mut state = self.0.lock();
        state.clock += 1;
        let now = state.clock;
        let entry = state.entries.get_mut(key)?;
        entry.used = now;
        Some(entry.set.clone())
    }

    /// Keeps `set`; drops what was not used for the longest time when there is no room.
    pub fn put(&self, key: RenderKey, set: Arc<TargetSet>) {
        let mut state = self.0.lock();
        state.clock += 1;
        let used = state.clock;
        state.size += set.size;
        if let Some(old) = state.entries.insert(key, Entry { set, used }) {
            state.size -= old.set.size;
        }
        if state.size > BUDGET {
            state.evict();
        }
    }

    /// Drops the targets for `key`, for a hard refresh.
    pub fn remove(&self, key: &RenderKey) {
        let mut state = self.0.lock();
        if let Some(old) = state.entries.remove(key) {
            state.size -= old.set.size;
        }
    }
}

impl State {
    fn evict(&mut self) {
        let mut by_age: Vec<(u64, RenderKey)> = self
            .entries
            .iter()
            .map(|(key, entry)| (entry.used, key.clone()))
            .collect();
        by_age.sort_by_key(|(used, _)| *used);
        for (_, key) in by_age {
            if self.size <= AFTER_EVICTION {
                break;
            }
            if let Some(entry) = self.entries.remove(&key) {
                self.size -= entry.set.size;
            }
        }
    }
}
