//! What a set leaves to be written and answered.

use std::collections::BTreeMap;

use async_nats::jetstream::AckKind;

use super::{EndedSet, PAUSE, Pause, PerSetWorker};
use crate::{bus::BusError, worker::trigger::messages::Place};

/// Tries to write what is left when the trigger stops.
const LAST_TRIES: usize = 3;

impl PerSetWorker {
    /// The set that the records hold as begun, unless this process has ended it.
    pub(super) async fn unfinished(&mut self) -> Option<BTreeMap<String, u64>> {
        let state = self.state.as_mut()?;
        let unfinished = state.unfinished();
        let Some(ended) = self.ended.take() else {
            return unfinished;
        };
        if unfinished.as_ref() == Some(&ended.set) {
            state.end(&ended.set);
            self.ended = Some(ended);
            return None;
        }
        // The record of its end was written, although no answer arrived.
        self.acknowledge(ended.places).await;
        unfinished
    }

    /// The records have to be read again. What was in memory only is begun from the messages.
    pub(super) fn drop_state(&mut self) {
        self.state = None;
        self.queue.append(&mut self.pending);
    }

    /// Writes what is in memory only, and answers the messages that this concerns.
    pub(super) async fn settle(&mut self) -> Result<(), BusError> {
        let Some(state) = &mut self.state else {
            return Ok(());
        };
        state.settle().await?;
        let ended = self.ended.take().map(|ended| ended.places);
        let pending = std::mem::take(&mut self.pending).into_keys();
        let places = ended.into_iter().flatten().chain(pending);
        self.acknowledge(places.collect()).await;
        Ok(())
    }

    pub(super) async fn acknowledge(&mut self, places: Vec<Place>) {
        for place in places {
            self.in_hand.answer(place, AckKind::Ack).await;
        }
    }

    /// Notes that the action has ended, if it has. The next write records it.
    pub(super) fn finish(&mut self) -> Pause {
        let Some(running) = self.running.take_if(|running| running.fired.is_some()) else {
            return Pause::Idle;
        };
        if running.fired == Some(false) {
            // Stopping, or not the leader: the ledger says what is owed.
            self.drop_state();
            self.owed = running.places;
            return Pause::Order;
        }
        if let Some(state) = &mut self.state {
            state.end(&running.set);
        }
        self.ended = Some(EndedSet {
            set: running.set,
            places: running.places,
        });
        Pause::None
    }

    /// Stopping: writes what is in memory only. What cannot be written is begun again from its messages.
    pub(super) async fn settle_at_last(&mut self) {
        for _ in 0..LAST_TRIES {
            match self.settle().await {
                Ok(()) => break,
                Err(error @ BusError::Revision { .. }) => {
                    tracing::warn!(sensor = %self.context.sensor.key, %error, "somebody else writes the saved events");
                    break;
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot record what has fired; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        self.drop_state();
    }

    /// Gives back what was not begun.
    pub(super) async fn give_back(&mut self) {
        while let Some((place, _)) = self.queue.pop_first() {
            self.in_hand.answer(place, AckKind::Nak(None)).await;
        }
    }
}
