//! Deliveries of a bus in memory, and their answers.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::AckKind;
use futures::future::BoxFuture;
use tokio::sync::mpsc;

use super::{Broker, State};
use crate::{
    bus::ACK_WAIT,
    worker::trigger::{
        messages::{Held, Incoming, Place},
        ports::Acknowledge,
        tests::transcript::shown,
    },
};

/// When the messages after the first batch come, if the process is alive then.
const LATER: Duration = Duration::from_secs(1);

impl Broker {
    /// What is delivered to a new process, which is alive from now on: messages that are not answered. A process that reads
    /// again what a dead one had in its hands reads all of the stream from the first of them.
    pub(in crate::worker::trigger::tests) fn deliver(
        &self,
        stream: i128,
        sender: mpsc::Sender<Incoming>,
    ) -> Vec<Held> {
        let mut state = self.state.lock();
        state.deaths += usize::from(state.dead);
        let again = state.reads_again && state.dead;
        state.dead = false;
        state.sender = Some(sender);
        let most = state.first_batch.take().unwrap_or(u64::MAX);
        let before = std::mem::replace(&mut state.delivered, most);
        let open: Vec<Place> = state.open.iter().copied().collect();
        let held = |place: Place| self.held(&state, stream, place);
        let new = open
            .iter()
            .copied()
            .filter(|(sequence, _)| *sequence <= most && (*sequence > before || !again));
        if most < u64::MAX {
            let broker = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(LATER).await;
                broker.deliver_rest(stream, most);
            });
        }
        if !again {
            return new.map(held).collect();
        }
        let first = open.first().map_or(u64::MAX, |(sequence, _)| *sequence);
        let mut read: Vec<Held> = Vec::new();
        for (sequence, (dependency, _)) in state
            .stream
            .range(first..)
            .take_while(|(at, _)| **at <= before)
        {
            read.push(Held {
                acker: None,
                ..held((*sequence, *dependency))
            });
        }
        read.extend(new.map(held));
        let broker = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(ACK_WAIT).await;
            for place in open.into_iter().filter(|(sequence, _)| *sequence <= before) {
                broker.deliver_again(stream, place);
            }
        });
        read
    }

    /// Delivers what comes after the first batch.
    fn deliver_rest(&self, stream: i128, first_batch: u64) {
        let rest: Vec<Place> = {
            let mut state = self.state.lock();
            state.delivered = u64::MAX;
            let open = state.open.iter().copied();
            open.filter(|(sequence, _)| *sequence > first_batch)
                .collect()
        };
        for place in rest {
            self.deliver_again(stream, place);
        }
    }

    fn deliver_again(&self, stream: i128, place: Place) {
        let state = self.state.lock();
        if let Some(sender) = state
            .sender
            .as_ref()
            .filter(|_| state.open.contains(&place))
        {
            let again = Incoming::Message(self.held(&state, stream, place));
            assert!(sender.try_send(again).is_ok(), "room in the intake");
        }
    }

    fn held(&self, state: &State, stream: i128, place: Place) -> Held {
        let (sequence, dependency) = place;
        Held {
            dependency,
            stream,
            sequence,
            consumer_sequence: sequence,
            stored: jiff::Timestamp::UNIX_EPOCH,
            namespace: None,
            only_for: None,
            body: state.stream[&sequence].1.clone(),
            acker: Some(Arc::new(Delivery {
                broker: self.clone(),
                stream,
                place,
            })),
            _hold: None,
        }
    }
}

struct Delivery {
    broker: Broker,
    stream: i128,
    place: Place,
}

impl Acknowledge for Delivery {
    fn acknowledge(&self, kind: AckKind) -> BoxFuture<'_, ()> {
        let what = match kind {
            AckKind::Ack => format!("ack {}", shown(self.place)),
            AckKind::Nak(_) => format!("nak {}", shown(self.place)),
            _ => return Box::pin(async {}),
        };
        Box::pin(async move {
            let acknowledged = matches!(kind, AckKind::Ack);
            let answered = self.broker.effect(what, |state| {
                if acknowledged {
                    state.open.remove(&self.place);
                }
                Ok(())
            });
            // What was not acknowledged is delivered again.
            if answered.await.is_err() || !acknowledged {
                self.broker.deliver_again(self.stream, self.place);
            }
        })
    }
}
