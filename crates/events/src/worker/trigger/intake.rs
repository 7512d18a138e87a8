//! Messages of one dependency, for as long as the trigger runs: attach, pull, attach again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_nats::jetstream::{AckKind, consumer::pull, message::Acker};
use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::mpsc;

use super::Context;
use crate::bus::{self, ACK_WAIT, MAX_HELD, delivery};

/// Messages on their way from the bus to the task; the bus itself bounds what is outstanding.
const ON_THE_WAY: usize = 64;
/// A quiet pull is confirmed by the server this often, so that a dead one is noticed.
const IDLE_HEARTBEAT: Duration = Duration::from_secs(10);
/// Life of one pull request.
const PULL: Duration = Duration::from_secs(60);
/// Silent heartbeats in a row after which the consumer is looked up again.
const SILENCE: u32 = 2;
/// Pause after a consumer could not be attached.
const PAUSE: Duration = Duration::from_secs(1);
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
    /// The consumer of a dependency is in place; everything up to `delivered` was handed out before.
    Attached {
        dependency: usize,
        stream: i128,
        delivered: u64,
    },
    /// A message.
    Message(Held),
}

/// A message in the hands of this process.
pub(super) struct Held {
    pub(super) dependency: usize,
    pub(super) stream: i128,
    pub(super) sequence: u64,
    pub(super) consumer_sequence: u64,
    /// Number of this delivery, from 1.
    pub(super) count: u32,
    pub(super) stored: i64,
    pub(super) body: Bytes,
    /// How to answer it. None for a message that a predecessor had in its hands: the bus delivers it
    /// again later, and it is answered then.
    pub(super) acker: Option<Arc<Acker>>,
}

/// Answers a message. A lost answer only leads to another delivery, which is recognised.
pub(super) async fn answer(acker: &Acker, kind: AckKind) {
    if let Err(error) = acker.ack_with(kind).await {
        tracing::debug!(%error, "a message could not be answered");
    }
}

/// Starts pulling for all dependencies; ends when the receiver is dropped or the trigger is stopped.
pub(super) fn start(context: &Context) -> mpsc::Receiver<Incoming> {
    let (sender, receiver) = mpsc::channel(ON_THE_WAY);
    for index in 0..context.trigger.dependencies.len() {
        let (context, sender) = (context.clone(), sender.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = context.stop.cancelled() => {}
                () = sender.closed() => {}
                () = pull_for_ever(&context, index, &sender) => {}
            }
        });
    }
    receiver
}

async fn pull_for_ever(context: &Context, index: usize, sender: &mpsc::Sender<Incoming>) {
    let dependency = &context.trigger.dependencies[index];
    let mut told = String::new();
    loop {
        if tokio::time::timeout(PAUSE, context.bus.ready())
            .await
            .is_err()
        {
            context
                .health
                .set(&dependency.name, Some("the bus is away".to_owned()));
            context.bus.ready().await;
        }
        match attach_and_pull(context, index, sender).await {
            Ok(()) => return,
            Err(reason) => {
                context.health.set(&dependency.name, Some(reason.clone()));
                if told != reason {
                    tracing::warn!(
                        sensor = %context.sensor.key,
                        trigger = %context.trigger.name,
                        dependency = %dependency.name,
                        reason,
                        "no events arrive; attaching again"
                    );
                    told = reason;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Pulls until something is wrong; `Ok` when nobody listens any more.
///
/// A predecessor that died had messages in its hands. The bus delivers those again only after a while,
/// and newer ones meanwhile; where order matters they are read from the stream first.
async fn attach_and_pull(
    context: &Context,
    index: usize,
    sender: &mpsc::Sender<Incoming>,
) -> Result<(), String> {
    let dependency = &context.trigger.dependencies[index];
    let durable = bus::durable(
        &context.sensor.key.name,
        &context.trigger.name,
        &dependency.name,
    );
    let attached = context
        .bus
        .attach(&durable, &dependency.subject())
        .await
        .map_err(|error| error.to_string())?;
    let batch = usize::try_from(MAX_HELD).unwrap_or(1);
    let messages = attached
        .consumer
        .stream()
        .max_messages_per_batch(batch)
        .expires(PULL)
        .heartbeat(IDLE_HEARTBEAT)
        .messages()
        .await
        .map_err(|error| error.to_string())?;
    let stream = attached.stream;
    let info = attached.consumer.cached_info();
    let delivered = info.delivered.stream_sequence;
    let mut unanswered = Vec::new();
    if !context.trigger.is_alone() && info.num_ack_pending > 0 {
        let first = info.ack_floor.stream_sequence + 1;
        let subject = dependency.subject();
        let between = context
            .bus
            .messages_between(&subject, first, delivered)
            .await;
        unanswered = between.map_err(|error| error.to_string())?;
    }
    if sender
        .send(Incoming::Attached {
            dependency: index,
            stream,
            delivered,
        })
        .await
        .is_err()
    {
        return Ok(());
    }
    for message in unanswered {
        let held = Held {
            dependency: index,
            stream,
            sequence: message.sequence,
            consumer_sequence: 0,
            count: 1,
            stored: message.stored,
            body: message.body,
            acker: None,
        };
        if sender.send(Incoming::Message(held)).await.is_err() {
            return Ok(());
        }
    }
    context.health.set(&dependency.name, None);
    forward(index, stream, messages, sender).await
}

/// Hands messages on until something is wrong; `Ok` when nobody listens any more.
async fn forward(
    dependency: usize,
    stream: i128,
    mut messages: pull::Stream,
    sender: &mpsc::Sender<Incoming>,
) -> Result<(), String> {
    let mut silent = 0;
    while let Some(message) = messages.next().await {
        let message = match message {
            Ok(message) => message,
            Err(error) => {
                silent += 1;
                if error.kind() == pull::MessagesErrorKind::MissingHeartbeat && silent < SILENCE {
                    // The library asks again by itself after the server was away.
                    continue;
                }
                return Err(error.to_string());
            }
        };
        silent = 0;
        let Some(place) = delivery(&message) else {
            continue;
        };
        let (message, acker) = message.split();
        let held = Held {
            dependency,
            stream,
            sequence: place.sequence,
            consumer_sequence: place.consumer_sequence,
            count: place.count,
            stored: place.stored,
            body: message.payload,
            acker: Some(Arc::new(acker)),
        };
        if sender.send(Incoming::Message(held)).await.is_err() {
            return Ok(());
        }
    }
    Err("the subscription ended".to_owned())
}

/// The messages in hand, by place, with the latest way to answer each.
#[derive(Default)]
pub(super) struct InHand(BTreeMap<(u64, usize), Option<Arc<Acker>>>);

impl InHand {
    /// True when there is nothing to announce.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a delivery; false when the same message is in hand already, which then gets the newer way
    /// to be answered.
    pub(super) fn take(&mut self, held: &Held) -> bool {
        self.0
            .insert((held.sequence, held.dependency), held.acker.clone())
            .is_none()
    }

    /// Answers a message and lets go of it.
    pub(super) async fn answer(&mut self, place: (u64, usize), kind: AckKind) {
        if let Some(Some(acker)) = self.0.remove(&place) {
            answer(&acker, kind).await;
        }
    }

    /// Tells the server that all messages are being worked on.
    pub(super) async fn beat(&self) {
        for acker in self.0.values().flatten() {
            answer(acker, AckKind::Progress).await;
        }
    }
}
