//! Messages in the hands of this process, until each is answered.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

use async_nats::jetstream::AckKind;
use bytes::Bytes;
use jiff::Timestamp;

use super::{ports::Acknowledge, room::Hold};
use crate::bus::ACK_WAIT;

/// Messages in hand are announced as in progress this often.
pub(super) const BEAT: Duration = Duration::from_secs(ACK_WAIT.as_secs() / 3);

/// The clock of the announcements. Beats that were not needed are not made up for.
pub(super) fn beats() -> tokio::time::Interval {
    let mut beats = tokio::time::interval(BEAT);
    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    beats
}

/// What comes from the bus.
pub(super) enum Incoming {
    /// The consumer of a dependency is in place.
    Attached(Attachment),
    /// A message.
    Message(Held),
}

/// The consumer of a dependency; everything up to `delivered` was handed out before.
#[derive(Clone)]
pub(super) struct Attachment {
    pub(super) dependency: usize,
    pub(super) consumer: String,
    pub(super) stream: i128,
    pub(super) delivered: u64,
}

/// A message in the hands of this process.
pub(super) struct Held {
    pub(super) dependency: usize,
    pub(super) stream: i128,
    pub(super) sequence: u64,
    pub(super) consumer_sequence: u64,
    pub(super) stored: Timestamp,
    /// The namespace that it comes from, where its source says so.
    pub(super) namespace: Option<String>,
    /// The only trigger that it is for, where it is not for all.
    pub(super) only_for: Option<String>,
    pub(super) body: Bytes,
    /// How to answer it. None for a message that a predecessor had in its hands: the bus delivers it
    /// again later, and it is answered then.
    pub(super) acker: Option<Arc<dyn Acknowledge>>,
    /// Its part of the bytes that the process holds.
    pub(super) _hold: Option<Hold>,
}

/// Position of a message: its sequence in the stream, and the dependency that it came for.
pub(super) type Place = (u64, usize);

impl Held {
    pub(super) fn place(&self) -> Place {
        (self.sequence, self.dependency)
    }
}

/// The messages in hand, by place, with the latest way to answer each.
#[derive(Default)]
pub(super) struct InHand(BTreeMap<Place, Option<Arc<dyn Acknowledge>>>);

impl InHand {
    /// True when there is nothing to announce.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a delivery; false when the same message is in hand already, which then gets the newer way
    /// to be answered.
    pub(super) fn take(&mut self, held: &Held) -> bool {
        match self.0.entry(held.place()) {
            Entry::Vacant(vacant) => {
                vacant.insert(held.acker.clone());
                true
            }
            Entry::Occupied(mut known) => {
                if held.acker.is_some() {
                    known.insert(held.acker.clone());
                }
                false
            }
        }
    }

    /// Lets go of a message that was not begun; with the latest way to answer it.
    pub(super) fn release(&mut self, mut held: Held) -> Held {
        let latest = self.0.remove(&held.place()).flatten();
        // One that a dead process had in its hands stays marked as such.
        if held.acker.is_some() && latest.is_some() {
            held.acker = latest;
        }
        held
    }

    /// Answers a message and lets go of it; false when there is no way to answer it yet.
    pub(super) async fn answer(&mut self, place: Place, kind: AckKind) -> bool {
        let Some(Some(acker)) = self.0.remove(&place) else {
            return false;
        };
        acker.acknowledge(kind).await;
        true
    }

    /// Tells the server that all messages are being worked on.
    pub(super) async fn beat(&self) {
        for acker in self.0.values().flatten() {
            acker.acknowledge(AckKind::Progress).await;
        }
    }
}
