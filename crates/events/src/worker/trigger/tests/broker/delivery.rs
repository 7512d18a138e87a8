//! Deliveries of a bus in memory, and their answers.

use std::sync::Arc;

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

impl Broker {
    /// The messages that are not answered, as they are delivered to a new process, which is alive from now on.
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
        let open: Vec<Place> = state.open.iter().copied().collect();
        let held = |place: Place| self.held(&state, stream, place);
        let mut all: Vec<Held> = open.iter().copied().map(held).collect();
        if again {
            for held in &mut all {
                held.acker = None;
            }
            let broker = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(ACK_WAIT).await;
                for place in open {
                    broker.deliver_again(stream, place);
                }
            });
        }
        all
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
