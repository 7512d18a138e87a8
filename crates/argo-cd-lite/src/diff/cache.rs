//! Verdicts by object; one per object, valid for one state of both sides.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use crate::clusters::ResourceId;

/// A verdict and the states that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiffResult {
    /// Hash of the live object.
    pub live: u64,
    /// Hash of the target, with the rules that applied.
    pub desired: u64,
    /// No difference that counts.
    pub same: bool,
}

/// Verdicts. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct DiffCache(Arc<Mutex<HashMap<ResourceId, DiffResult>>>);

impl DiffCache {
    /// The verdict, when it is about these states.
    pub fn get(&self, id: &ResourceId, live: u64, desired: u64) -> Option<bool> {
        let cache = self.0.lock();
        let verdict = cache.get(id)?;
        (verdict.live == live && verdict.desired == desired).then_some(verdict.same)
    }

    /// Keeps a verdict.
    pub fn put(&self, id: &ResourceId, verdict: DiffResult) {
        self.0.lock().insert(id.clone(), verdict);
    }

    /// Drops the cache of objects.
    pub fn forget<'i>(&self, ids: impl IntoIterator<Item = &'i ResourceId>) {
        let mut cache = self.0.lock();
        for id in ids {
            cache.remove(id);
        }
    }
}
