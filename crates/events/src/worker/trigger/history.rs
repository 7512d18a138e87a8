//! What a trigger that acts on each event by itself remembers: which messages are done, in case the
//! server did not hear of it, and how often the others were tried.
//!
//! Tries are counted here and not by the server's deliveries: a message that is handed out and returned
//! untouched, because the manifest changed, has not been tried.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use super::messages::Place;

/// Messages that are remembered; a few times what can be outstanding.
const REMEMBERED: usize = 1024;

/// Messages of a stream that are done and not acknowledged.
#[derive(Default)]
pub(super) struct Unacknowledged {
    stream: i128,
    places: BTreeSet<Place>,
}

#[derive(Default)]
pub(super) struct DeliveryHistory {
    stream: i128,
    done: HashSet<Place>,
    order: VecDeque<Place>,
    /// Done, but not acknowledged: a dead process had them in its hands, and the bus has not delivered them again yet.
    /// Until then a successor reads all that follows them from the stream, acknowledged or not.
    unacknowledged: BTreeSet<Place>,
    /// Failed tries of messages that will come again.
    failed: BTreeMap<Place, u32>,
}

impl DeliveryHistory {
    /// Sequences of another stream are other messages.
    pub(super) fn for_stream(&mut self, stream: i128) {
        if self.stream != stream {
            *self = Self {
                stream,
                ..Self::default()
            };
        }
    }

    /// Continues that of the worker before this one in the same process.
    pub(super) fn after(unacknowledged: Unacknowledged) -> Self {
        Self {
            stream: unacknowledged.stream,
            unacknowledged: unacknowledged.places,
            ..Self::default()
        }
    }

    /// What a worker after this one in the same process has to know.
    pub(super) fn into_unacknowledged(self) -> Unacknowledged {
        Unacknowledged {
            stream: self.stream,
            places: self.unacknowledged,
        }
    }

    pub(super) fn is_done(&self, place: Place) -> bool {
        self.done.contains(&place) || self.unacknowledged.contains(&place)
    }

    /// Notes that a message that is done is acknowledged too.
    pub(super) fn acknowledged(&mut self, place: Place) {
        self.unacknowledged.remove(&place);
    }

    /// True when messages of the dependency are done and not acknowledged.
    pub(super) fn has_unacknowledged(&self, dependency: usize) -> bool {
        let mut places = self.unacknowledged.iter();
        places.any(|(_, of)| *of == dependency)
    }

    pub(super) fn done(&mut self, place: Place, acknowledged: bool) {
        self.failed.remove(&place);
        if !acknowledged {
            self.unacknowledged.insert(place);
        }
        if self.done.insert(place) {
            self.order.push_back(place);
            if self.order.len() > REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.done.remove(&oldest);
            }
        }
    }

    /// Number of the try that comes next, from 1.
    pub(super) fn next_try(&self, place: Place) -> u32 {
        self.failed.get(&place).map_or(1, |failed| failed + 1)
    }

    pub(super) fn failed(&mut self, place: Place) {
        *self.failed.entry(place).or_default() += 1;
        if self.failed.len() > REMEMBERED {
            // Messages that never came back: their stream was purged.
            self.failed.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_counted_per_message_and_forgotten_with_it() {
        let mut past = DeliveryHistory::default();
        past.for_stream(1);
        assert_eq!(past.next_try((7, 0)), 1);
        past.failed((7, 0));
        past.failed((7, 0));
        assert_eq!((past.next_try((7, 0)), past.next_try((7, 1))), (3, 1));
        past.done((7, 0), true);
        assert!(past.is_done((7, 0)) && !past.is_done((7, 1)));
        assert_eq!(past.next_try((7, 0)), 1);
        past.for_stream(2);
        assert!(!past.is_done((7, 0)));
    }

    #[test]
    fn what_is_not_acknowledged_is_known_to_the_next_worker() {
        let mut past = DeliveryHistory::default();
        past.for_stream(1);
        past.done((7, 0), false);
        past.done((8, 0), true);
        let mut next = DeliveryHistory::after(past.into_unacknowledged());
        next.for_stream(1);
        assert!(next.is_done((7, 0)) && !next.is_done((8, 0)));
        assert!(next.has_unacknowledged(0) && !next.has_unacknowledged(1));
        next.acknowledged((7, 0));
        assert!(!next.has_unacknowledged(0));
        let mut other = DeliveryHistory::after(next.into_unacknowledged());
        other.done((9, 0), false);
        other.for_stream(2);
        assert!(!other.is_done((9, 0)));
    }

    #[test]
    fn memory_is_bounded() {
        let mut past = DeliveryHistory::default();
        for sequence in 0..5000 {
            past.done((sequence, 0), true);
            past.failed((10_000 + sequence, 0));
        }
        assert!(past.done.len() <= REMEMBERED && past.failed.len() <= REMEMBERED);
        assert!(past.is_done((4999, 0)) && !past.is_done((0, 0)));
        assert_eq!(past.next_try((14_999, 0)), 2);
    }
}
