//! What a trigger that acts on each event by itself remembers: which messages are done, in case the
//! server did not hear of it, and how often the others were tried.
//!
//! Tries are counted here and not by the server's deliveries: a message that is handed out and returned
//! untouched, because the manifest changed, has not been tried.

use std::collections::{BTreeMap, HashSet, VecDeque};

use super::messages::Place;

/// Messages that are remembered; a few times what can be outstanding.
const REMEMBERED: usize = 1024;

#[derive(Default)]
pub(super) struct DeliveryHistory {
    stream: i128,
    done: HashSet<Place>,
    order: VecDeque<Place>,
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

    pub(super) fn is_done(&self, place: Place) -> bool {
        self.done.contains(&place)
    }

    pub(super) fn done(&mut self, place: Place) {
        self.failed.remove(&place);
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
        past.done((7, 0));
        assert!(past.is_done((7, 0)) && !past.is_done((7, 1)));
        assert_eq!(past.next_try((7, 0)), 1);
        past.for_stream(2);
        assert!(!past.is_done((7, 0)));
    }

    #[test]
    fn memory_is_bounded() {
        let mut past = DeliveryHistory::default();
        for sequence in 0..5000 {
            past.done((sequence, 0));
            past.failed((10_000 + sequence, 0));
        }
        assert!(past.done.len() <= REMEMBERED && past.failed.len() <= REMEMBERED);
        assert!(past.is_done((4999, 0)) && !past.is_done((0, 0)));
        assert_eq!(past.next_try((14_999, 0)), 2);
    }
}
