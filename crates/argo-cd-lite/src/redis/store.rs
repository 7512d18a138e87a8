//! What clients write: values with an end, within a bound of bytes. The least recently used ones go first.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

/// Fixed cost of a value beside its bytes.
const OVERHEAD: usize = 200;

/// When a value may be set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Condition {
    /// Always.
    #[default]
    Always,
    /// Only when there is none.
    Absent,
    /// Only when there is one.
    Present,
}

/// Time that is left to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeLeft {
    /// There is no such key.
    NoKey,
    /// It has no end.
    Forever,
    /// So long.
    For(SignedDuration),
}

struct Entry {
    value: Arc<[u8]>,
    expires: Option<Timestamp>,
    used: u64,
}

#[derive(Default)]
struct State {
    entries: HashMap<Arc<[u8]>, Entry>,
    /// Keys by the number of their last use.
    order: BTreeMap<u64, Arc<[u8]>>,
    bytes: usize,
    uses: u64,
}

/// The values.
pub(super) struct Store {
    state: Mutex<State>,
    budget: usize,
}

/// The value does not fit, whatever else goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

impl Store {
    /// Values of at most `budget` bytes together.
    pub(super) fn new(budget: usize) -> Self {
        Self {
            state: Mutex::default(),
            budget,
        }
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &[u8], now: Timestamp) -> Option<Arc<[u8]>> {
        let mut state = self.state.lock();
        state.live(key, now)?;
        state.touch(key);
        state.entries.get(key).map(|entry| entry.value.clone())
    }

    /// Sets a value; false when the condition does not hold.
    pub(super) fn set(
        &self,
        key: &[u8],
        value: &[u8],
        expires: Option<Timestamp>,
        condition: Condition,
        now: Timestamp,
    ) -> Result<bool, TooLarge> {
        let size = size(key, value);
        if size > self.budget {
            return Err(TooLarge);
        }
        let mut state = self.state.lock();
        let known = state.live(key, now).is_some();
        let holds = match condition {
            Condition::Always => true,
            Condition::Absent => !known,
            Condition::Present => known,
        };
        if !holds {
            return Ok(false);
        }
        state.remove(key);
        state.make_room(self.budget - size, now);
        let key: Arc<[u8]> = key.into();
        state.uses += 1;
        let used = state.uses;
        state.bytes += size;
        state.order.insert(used, key.clone());
        let entry = Entry {
            value: value.into(),
            expires,
            used,
        };
        state.entries.insert(key, entry);
        Ok(true)
    }

    /// Removes a key; false when there was none.
    pub(super) fn remove(&self, key: &[u8], now: Timestamp) -> bool {
        let mut state = self.state.lock();
        state.live(key, now).is_some() && state.remove(key).is_some()
    }

    /// True when there is such a key.
    pub(super) fn contains(&self, key: &[u8], now: Timestamp) -> bool {
        self.state.lock().live(key, now).is_some()
    }

    /// Gives a key another end; false when there is none.
    pub(super) fn expire(&self, key: &[u8], at: Timestamp, now: Timestamp) -> bool {
        let mut state = self.state.lock();
        if state.live(key, now).is_none() {
            return false;
        }
        if at <= now {
            return state.remove(key).is_some();
        }
        let entry = state.entries.get_mut(key);
        entry.is_some_and(|entry| {
            entry.expires = Some(at);
            true
        })
    }

    /// The end of a key that has one.
    pub(super) fn expires(&self, key: &[u8], now: Timestamp) -> Option<Timestamp> {
        self.state.lock().live(key, now)?.expires
    }

    /// Time that is left to a key.
    pub(super) fn time_left(&self, key: &[u8], now: Timestamp) -> TimeLeft {
        match self.state.lock().live(key, now) {
            None => TimeLeft::NoKey,
            Some(entry) => match entry.expires {
                None => TimeLeft::Forever,
                Some(at) => TimeLeft::For(at.duration_since(now)),
            },
        }
    }

    /// Moves a value to another key; false when there is none.
    pub(super) fn rename(&self, from: &[u8], to: &[u8], now: Timestamp) -> bool {
        let mut state = self.state.lock();
        if state.live(from, now).is_none() {
            return false;
        }
        let Some(entry) = state.remove(from) else {
            return false;
        };
        state.remove(to);
        let to: Arc<[u8]> = to.into();
        state.bytes += size(&to, &entry.value);
        state.order.insert(entry.used, to.clone());
        state.entries.insert(to, entry);
        true
    }

    /// The keys that `matches` accepts, in order.
    pub(super) fn keys(&self, matches: impl Fn(&[u8]) -> bool, now: Timestamp) -> Vec<Arc<[u8]>> {
        let state = self.state.lock();
        let live = |entry: &Entry| entry.expires.is_none_or(|at| at > now);
        let found = state.entries.iter();
        let found = found.filter(|(key, entry)| live(entry) && matches(key));
        let mut keys: Vec<Arc<[u8]>> = found.map(|(key, _)| key.clone()).collect();
        keys.sort();
        keys
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.state.lock().bytes
    }
}

fn size(key: &[u8], value: &[u8]) -> usize {
    2 * key.len() + value.len() + OVERHEAD
}

impl State {
    /// The entry of a key; one that has expired goes.
    fn live(&mut self, key: &[u8], now: Timestamp) -> Option<&Entry> {
        let expired = self.entries.get(key)?.expires.is_some_and(|at| at <= now);
        if expired {
            self.remove(key);
        }
        self.entries.get(key)
    }

    fn touch(&mut self, key: &[u8]) {
        self.uses += 1;
        let used = self.uses;
        if let Some(entry) = self.entries.get_mut(key) {
            let before = std::mem::replace(&mut entry.used, used);
            if let Some(key) = self.order.remove(&before) {
                self.order.insert(used, key);
            }
        }
    }

    fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.order.remove(&entry.used);
        self.bytes -= size(key, &entry.value);
        Some(entry)
    }

    /// Removes what has expired, then what was used least recently, until at most `limit` bytes are left.
    fn make_room(&mut self, limit: usize, now: Timestamp) {
        if self.bytes <= limit {
            return;
        }
        let expired = |entry: &Entry| entry.expires.is_some_and(|at| at <= now);
        let found = self.entries.iter().filter(|(_, entry)| expired(entry));
        let gone: Vec<Arc<[u8]>> = found.map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.remove(&key);
        }
        while self.bytes > limit {
            let Some((_, key)) = self.order.pop_first() else {
                return;
            };
            self.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn put(store: &Store, key: &str, value: &str, expires: Option<i64>) {
        let expires = expires.map(at);
        let set = store.set(
            key.as_bytes(),
            value.as_bytes(),
            expires,
            Condition::Always,
            at(0),
        );
        assert_eq!(set, Ok(true));
    }

    #[test]
    fn values_end_with_their_time() {
        let store = Store::new(10_000);
        put(&store, "a", "1", Some(10));
        put(&store, "b", "2", None);
        assert_eq!(store.get(b"a", at(9)).as_deref(), Some(b"1".as_slice()));
        assert_eq!(
            store.time_left(b"a", at(4)),
            TimeLeft::For(SignedDuration::from_secs(6))
        );
        assert_eq!(store.time_left(b"b", at(4)), TimeLeft::Forever);
        assert_eq!(store.get(b"a", at(10)), None);
        assert_eq!(store.time_left(b"a", at(10)), TimeLeft::NoKey);
        assert!(store.expire(b"b", at(20), at(10)) && !store.contains(b"b", at(20)));
        assert_eq!(store.bytes(), 0);
    }

    #[test]
    fn conditions_and_renames() {
        let store = Store::new(10_000);
        let set = |condition| store.set(b"a", b"1", None, condition, at(0));
        assert_eq!(set(Condition::Present), Ok(false));
        assert_eq!(set(Condition::Absent), Ok(true));
        assert_eq!(set(Condition::Absent), Ok(false));
        assert_eq!(set(Condition::Present), Ok(true));
        assert!(store.rename(b"a", b"longer", at(0)) && !store.rename(b"a", b"b", at(0)));
        assert_eq!(
            store.keys(|_| true, at(0)),
            [Arc::from(b"longer".as_slice())]
        );
        assert!(store.remove(b"longer", at(0)) && !store.remove(b"longer", at(0)));
        assert_eq!(store.bytes(), 0);
    }

    #[test]
    fn the_least_recently_used_values_make_room() {
        let store = Store::new(3 * (OVERHEAD + 110));
        let value = "x".repeat(100);
        for key in ["a", "b", "c"] {
            put(&store, key, &value, None);
        }
        assert!(store.get(b"a", at(0)).is_some());
        put(&store, "d", &value, None);
        let there = |key: &str| store.contains(key.as_bytes(), at(0));
        assert!(there("a") && !there("b") && there("c") && there("d"));
        let large = vec![0; 4 * (OVERHEAD + 110)];
        assert_eq!(
            store.set(b"e", &large, None, Condition::Always, at(0)),
            Err(TooLarge)
        );
        assert!(there("a"), "what does not fit removes nothing");
    }
}
