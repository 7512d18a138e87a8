//! What an index holds.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use super::Stored;
use crate::object::ObjectKey;

/// Gone objects remembered per index so that late events do not bring them back; older ones fall out.
const TOMBSTONES: usize = 4096;

pub(super) struct State<T> {
    pub(super) objects: HashMap<ObjectKey, Stored<T>>,
    pub(super) tagged: HashMap<String, HashSet<ObjectKey>>,
    /// Up to which version the state of an object that went is old news, by uid.
    gone: HashMap<Arc<str>, u64>,
    gone_order: VecDeque<Arc<str>>,
    pub(super) epoch: u32,
}

impl<T> Default for State<T> {
    fn default() -> Self {
        Self {
            objects: HashMap::new(),
            tagged: HashMap::new(),
            gone: HashMap::new(),
            gone_order: VecDeque::new(),
            epoch: 0,
        }
    }
}

impl<T> State<T> {
    pub(super) fn tag(&mut self, key: &ObjectKey, tags: Vec<String>) {
        for tag in tags {
            self.tagged.entry(tag).or_default().insert(key.clone());
        }
    }

    pub(super) fn untag(&mut self, key: &ObjectKey, tags: Vec<String>) {
        for tag in tags {
            if let Some(keys) = self.tagged.get_mut(&tag) {
                keys.remove(key);
                if keys.is_empty() {
                    self.tagged.remove(&tag);
                }
            }
        }
    }

    /// Marks every state of `uid` up to `version` as outdated.
    pub(super) fn bury(&mut self, uid: &str, version: u64) {
        if uid.is_empty() {
            return;
        }
        if let Some(known) = self.gone.get_mut(uid) {
            *known = version.max(*known);
            return;
        }
        let uid: Arc<str> = uid.into();
        self.gone.insert(uid.clone(), version);
        self.gone_order.push_back(uid);
        if self.gone_order.len() > TOMBSTONES
            && let Some(oldest) = self.gone_order.pop_front()
        {
            self.gone.remove(&oldest);
        }
    }

    pub(super) fn is_old_news(&self, uid: &str, version: u64) -> bool {
        self.gone.get(uid).is_some_and(|known| version <= *known)
    }
}
