//! Which objects want a pass, and when.
//!
//! A set, not a list: an object that changes ten times while it waits gets one pass. An object in work is
//! not handed out again until [`Queue::finish`]; a change during the pass leads to another one.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use crate::object::ObjectKey;

/// The set of objects that want a pass. Its size is bounded by the number of objects.
#[derive(Clone, Debug, Default)]
pub struct Queue(Arc<QueueState>);

#[derive(Debug, Default)]
struct QueueState {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<ObjectKey>,
    queued: HashSet<ObjectKey>,
    working: HashSet<ObjectKey>,
    timers: BTreeSet<(Instant, ObjectKey)>,
    timer_of: HashMap<ObjectKey, Instant>,
}

impl State {
    fn push(&mut self, key: ObjectKey) -> bool {
        if !self.queued.insert(key.clone()) {
            return false;
        }
        if self.working.contains(&key) {
            // Handed out again by `finish`.
            return false;
        }
        self.ready.push_back(key);
        true
    }

    fn clear_timer(&mut self, key: &ObjectKey) {
        if let Some(at) = self.timer_of.remove(key) {
            self.timers.remove(&(at, key.clone()));
        }
    }
}

impl Queue {
    /// An empty queue.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for a pass now.
    pub fn add(&self, key: ObjectKey) {
        if self.0.state.lock().push(key) {
            self.0.changed.notify_one();
        }
    }

    /// Asks for a pass after `delay`, unless an earlier one is due anyway.
    pub fn add_after(&self, key: ObjectKey, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        let at = Instant::now() + delay;
        let mut state = self.0.state.lock();
        if state.timer_of.get(&key).is_some_and(|due| *due <= at) {
            return;
        }
        state.clear_timer(&key);
        state.timers.insert((at, key.clone()));
        state.timer_of.insert(key, at);
        drop(state);
        self.0.changed.notify_one();
    }

    /// Waits for the next object that is due and marks it as in work. The timer of the object is
    /// dropped: the pass decides when to wake next.
    pub async fn next(&self) -> ObjectKey {
        loop {
            let changed = self.0.changed.notified();
            let due = {
                let mut state = self.0.state.lock();
                let now = Instant::now();
                while let Some((at, key)) = state.timers.first().cloned() {
                    if at > now {
                        break;
                    }
                    state.clear_timer(&key);
                    state.push(key);
                }
                if let Some(key) = state.ready.pop_front() {
                    state.queued.remove(&key);
                    state.clear_timer(&key);
                    state.working.insert(key.clone());
                    if !state.ready.is_empty() {
                        self.0.changed.notify_one();
                    }
                    return key;
                }
                state.timers.first().map(|(at, _)| *at)
            };
            match due {
                None => changed.await,
                Some(at) => {
                    let _ = tokio::time::timeout_at(at, changed).await;
                }
            }
        }
    }

    /// The pass over `key` has ended; a change that came meanwhile makes it ready again.
    pub fn finish(&self, key: &ObjectKey) {
        let mut state = self.0.state.lock();
        state.working.remove(key);
        if state.queued.contains(key) {
            state.ready.push_back(key.clone());
            drop(state);
            self.0.changed.notify_one();
        }
    }

    /// Drops the wake-up of an object that is gone.
    pub fn forget(&self, key: &ObjectKey) {
        self.0.state.lock().clear_timer(key);
    }

    /// Number of objects that are ready or in work.
    pub fn depth(&self) -> usize {
        let state = self.0.state.lock();
        state.ready.len() + state.working.len()
    }
}
