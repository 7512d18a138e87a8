//! Which objects want a pass, and when.
//!
//! A set, not a list: an object that changes ten times while it waits gets one pass. An object in work is
//! not handed out again until [`Queue::finish`]; a change during the pass leads to another one.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use super::queue_metrics::{Level, QueueNumbers};
use crate::object::ObjectKey;

/// The set of objects that want a pass. Its size is bounded by the number of objects.
#[derive(Clone, Debug, Default)]
pub struct Queue(Arc<QueueState>);

#[derive(Debug, Default)]
struct QueueState {
    state: Mutex<State>,
    changed: Notify,
    numbers: OnceLock<QueueNumbers>,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<ObjectKey>,
    /// Since when objects wait.
    queued: HashMap<ObjectKey, Instant>,
    /// Since when passes run.
    working: HashMap<ObjectKey, Instant>,
    timers: BTreeSet<(Instant, ObjectKey)>,
    timer_of: HashMap<ObjectKey, Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pushed {
    /// It waits already.
    Known,
    /// It waits for the end of its pass.
    Later,
    Ready,
}

impl QueueState {
    fn push(&self, state: &mut State, key: ObjectKey) -> Pushed {
        let pushed = state.push(key);
        if let (Some(numbers), Pushed::Later | Pushed::Ready) = (self.numbers.get(), pushed) {
            numbers.adds.inc();
        }
        pushed
    }
}

impl State {
    fn push(&mut self, key: ObjectKey) -> Pushed {
        if self.queued.contains_key(&key) {
            return Pushed::Known;
        }
        self.queued.insert(key.clone(), Instant::now());
        if self.working.contains_key(&key) {
            // Handed out again by `finish`.
            return Pushed::Later;
        }
        self.ready.push_back(key);
        Pushed::Ready
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
        let pushed = self.0.push(&mut self.0.state.lock(), key);
        if pushed == Pushed::Ready {
            self.0.changed.notify_one();
        }
    }

    /// As [`Queue::add_after`], for a pass that failed.
    pub fn retry_after(&self, key: ObjectKey, delay: Duration) {
        if let Some(numbers) = self.0.numbers.get() {
            numbers.retries.inc();
        }
        self.add_after(key, delay);
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
                    self.0.push(&mut state, key);
                }
                if let Some(key) = state.ready.pop_front() {
                    let since = state.queued.remove(&key);
                    if let (Some(numbers), Some(since)) = (self.0.numbers.get(), since) {
                        numbers.waited.observe((now - since).as_secs_f64());
                    }
                    state.clear_timer(&key);
                    state.working.insert(key.clone(), now);
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
        let since = state.working.remove(key);
        if let (Some(numbers), Some(since)) = (self.0.numbers.get(), since) {
            numbers.worked.observe(since.elapsed().as_secs_f64());
        }
        if state.queued.contains_key(key) {
            state.ready.push_back(key.clone());
            drop(state);
            self.0.changed.notify_one();
        }
    }

    /// Drops the wake-up of an object that is gone.
    pub fn forget(&self, key: &ObjectKey) {
        self.0.state.lock().clear_timer(key);
    }

    /// Counts into `numbers` from now on; false when the queue counts already.
    pub(super) fn measure(&self, numbers: QueueNumbers) -> bool {
        self.0.numbers.set(numbers).is_ok()
    }

    /// What the queue holds now.
    pub(super) fn level(&self) -> Level {
        let state = self.0.state.lock();
        let running = state.working.values();
        let seconds: Vec<f64> = running.map(|since| since.elapsed().as_secs_f64()).collect();
        Level {
            ready: state.ready.len(),
            // An empty sum would be -0.
            unfinished: seconds.iter().fold(0.0, |sum, each| sum + each),
            longest: seconds.into_iter().fold(0.0, f64::max),
        }
    }

    /// Number of objects that are ready or in work.
    pub fn depth(&self) -> usize {
        let state = self.0.state.lock();
        state.ready.len() + state.working.len()
    }
}
