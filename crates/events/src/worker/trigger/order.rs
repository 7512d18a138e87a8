//! The order of events across the subjects of a trigger's dependencies: an event may be taken when no
//! older one of another dependency can still come.

use super::{Context, messages::Place};

/// How far the events of one dependency are known.
#[derive(Clone, Default)]
struct Seen {
    /// Name of the consumer.
    consumer: String,
    /// The highest sequence that was delivered.
    last: u64,
    /// Up to here nothing is missing, by the word of the server.
    confirmed: u64,
}

pub(super) struct Order(Vec<Seen>);

impl Order {
    /// Nothing is known yet of so many dependencies.
    pub(super) fn of(dependencies: usize) -> Self {
        Self(vec![Seen::default(); dependencies])
    }

    /// Sequences of another stream are other messages.
    pub(super) fn clear(&mut self) {
        self.0.fill_with(Seen::default);
    }

    /// The dependency gets its events by this consumer.
    pub(super) fn attached(&mut self, dependency: usize, consumer: String) {
        self.0[dependency].consumer = consumer;
    }

    /// Everything of the dependency up to `sequence` was delivered.
    pub(super) fn delivered(&mut self, dependency: usize, sequence: u64) {
        let seen = &mut self.0[dependency];
        seen.last = seen.last.max(sequence);
    }

    /// True when no event of another dependency that is older than `place` can still come.
    pub(super) async fn is_next(&mut self, context: &Context, place: Place) -> bool {
        let (sequence, dependency) = place;
        for (other, seen) in self.0.iter_mut().enumerate() {
            if other == dependency || seen.last >= sequence || seen.confirmed >= sequence {
                continue;
            }
            if seen.consumer.is_empty() {
                return false;
            }
            let Some(progress) = context.bus.progress(&seen.consumer).await else {
                return false;
            };
            if progress.pending > 0 || progress.delivered > seen.last {
                return false;
            }
            seen.confirmed = sequence;
        }
        true
    }
}
