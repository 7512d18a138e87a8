//! Messages of one dependency, for as long as the trigger runs: attach, pull, attach again.
//!
//! A pull that was begun is ended before its trigger is: a request that creates a consumer must not reach
//! the server after that consumer was removed or taken over by a successor.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::{
    self, AckKind,
    consumer::{StreamError, pull},
};
use futures::{FutureExt, StreamExt};
use thiserror::Error;
use tokio::sync::mpsc;

use super::{
    Context,
    messages::{Attachment, BEAT, Held, Incoming},
    room::{Hold, Room},
};
use crate::bus::{
    Attached, Before, Bus, BusError, BusState, MAX_HELD, delivery, namespace, only_for,
};

/// A quiet pull is confirmed by the server this often, so that a dead one is noticed.
const IDLE_HEARTBEAT: Duration = Duration::from_secs(10);
/// Life of one pull request.
const PULL: Duration = Duration::from_secs(60);
/// Bytes that one pull request asks for at least: a request that is smaller than a message ends without one.
const PULL_BYTES: usize = 2 << 20;
/// Bytes that one pull request asks for at most, whatever the server calls its largest message: NATS allows no larger
/// ones.
const MOST_BYTES: usize = 65 << 20;
/// What the headers and the subject of a message add to its payload at most, in bytes.
const ENVELOPE: usize = 64 << 10;
/// Silent heartbeats in a row after which the consumer is looked up again.
const SILENCE: u32 = 2;
/// Pause after a consumer could not be attached.
const PAUSE: Duration = Duration::from_secs(1);

/// What is said while a trigger attaches to a stream that was created again.
const REPLACED: &str = "the stream was created again; attaching from its beginning";

/// Why pulling ended.
enum Ended {
    /// Nobody wants messages any more.
    Stopped,
    /// The stream is another one.
    StreamReplaced,
}

/// Why no messages come.
#[derive(Debug, Error)]
enum PullError {
    /// The consumer cannot be attached.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The server takes no pull.
    #[error("cannot pull: {0}")]
    Begin(#[from] StreamError),
    /// The server ended the pull, or says nothing any more.
    #[error(transparent)]
    Pull(#[from] pull::MessagesError),
    /// The connection ended the subscription.
    #[error("the subscription ended")]
    Ended,
}

/// The messages of one dependency on their way to the task of the trigger.
pub(super) struct Pull {
    pub(super) context: Context,
    pub(super) bus: Arc<Bus>,
    pub(super) dependency: usize,
    pub(super) sender: mpsc::Sender<Incoming>,
    /// Bounds the bytes of the messages that are handed on and not answered yet.
    pub(super) room: Room,
}

impl Pull {
    /// For the log.
    pub(super) fn name(&self) -> String {
        let context = &self.context;
        let dependency = &context.trigger.dependencies[self.dependency].name;
        format!(
            "{}/{}/{dependency}",
            context.sensor.key, context.trigger.name
        )
    }

    pub(super) async fn run(&self) {
        let dependency = &self.context.trigger.dependencies[self.dependency];
        let mut reported = String::new();
        let mut before = Before {
            stream: None,
            served_since: self.context.sensor.served_since,
        };
        loop {
            tokio::select! {
                () = self.over() => return,
                () = self.bus_ready() => {}
            }
            let reason = match self.attach_and_pull(&mut before).await {
                Ok(Ended::Stopped) => return,
                Ok(Ended::StreamReplaced) => {
                    self.tell(Some(REPLACED.to_owned()));
                    tracing::warn!(
                        sensor = %self.context.sensor.key,
                        trigger = %self.context.trigger.name,
                        dependency = %dependency.name,
                        REPLACED
                    );
                    continue;
                }
                Err(error) => self.bus.redact(error.to_string()),
            };
            self.tell(Some(reason.clone()));
            if reported != reason {
                tracing::warn!(
                    sensor = %self.context.sensor.key,
                    trigger = %self.context.trigger.name,
                    dependency = %dependency.name,
                    reason,
                    "no events arrive; attaching again"
                );
                reported = reason;
            }
            tokio::select! {
                () = self.over() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// Waits until nobody wants messages any more.
    async fn over(&self) {
        tokio::select! {
            () = self.context.pulls.cancelled() => {}
            () = self.sender.closed() => {}
        }
    }

    fn tell(&self, problem: Option<String>) {
        let dependency = &self.context.trigger.dependencies[self.dependency];
        self.context.health.set(&dependency.name, problem);
    }

    async fn bus_ready(&self) {
        let bus = &self.bus;
        if tokio::time::timeout(PAUSE, bus.ready()).await.is_err() {
            self.tell(Some("the bus is not connected".to_owned()));
            bus.ready().await;
        }
    }

    /// Attaches and pulls until something is wrong, or nobody wants messages any more.
    async fn attach_and_pull(&self, before: &mut Before) -> Result<Ended, PullError> {
        let dependency = &self.context.trigger.dependencies[self.dependency];
        // Never given up half-way, see above; its requests have deadlines.
        let (owner, subject) = (self.context.owner(self.dependency), dependency.subject());
        let attached = Box::pin(self.bus.attach(&owner, &subject, *before)).await?;
        let stream = attached.stream;
        before.stream = Some(stream);
        let messages = tokio::select! {
            () = self.over() => return Ok(Ended::Stopped),
            // In a box: the pull needs the memory of its beginning no longer than that takes.
            begun = Box::pin(self.begin(attached)) => begun?,
        };
        self.tell(None);
        self.forward(stream, messages).await
    }

    /// Begins to pull.
    ///
    /// A predecessor that died had messages in its hands. The bus delivers those again only after a while,
    /// and newer ones meanwhile; where order matters they are read from the stream first.
    async fn begin(&self, attached: Attached) -> Result<pull::Stream, PullError> {
        let (context, index) = (&self.context, self.dependency);
        let batch = usize::try_from(MAX_HELD).unwrap_or(1);
        let messages = attached
            .consumer
            .stream()
            .max_messages_per_batch(batch)
            .max_bytes_per_batch(self.bytes_per_request())
            .expires(PULL)
            .heartbeat(IDLE_HEARTBEAT)
            .messages()
            .await?;
        let stream = attached.stream;
        let info = attached.consumer.cached_info();
        let delivered = info.delivered.stream_sequence;
        let attachment = |delivered: u64| {
            Incoming::Attached(Attachment {
                dependency: index,
                consumer: attached.name.clone(),
                stream,
                delivered,
            })
        };
        if context.trigger.is_ordered() && info.num_ack_pending > 0 {
            let first = info.ack_floor.stream_sequence + 1;
            self.send(attachment(info.ack_floor.stream_sequence)).await;
            self.read_again(stream, first, delivered).await?;
        }
        self.send(attachment(delivered)).await;
        Ok(messages)
    }

    /// Hands on the messages of the dependency from sequence `next` to `last`, one at a time.
    async fn read_again(&self, stream: i128, mut next: u64, last: u64) -> Result<(), BusError> {
        let subject = self.context.trigger.dependencies[self.dependency].subject();
        while let Some(message) = self.bus.message_between(&subject, next, last).await? {
            next = message.sequence + 1;
            let hold = self.room.take(message.body.len()).await;
            self.send(Incoming::Message(Held {
                dependency: self.dependency,
                stream,
                sequence: message.sequence,
                consumer_sequence: 0,
                stored: message.stored,
                namespace: message.namespace,
                only_for: message.only_for,
                body: message.body,
                acker: None,
                _hold: Some(hold),
            }))
            .await;
        }
        Ok(())
    }

    /// Bytes of the messages that one request asks for.
    fn bytes_per_request(&self) -> usize {
        match self.bus.largest_message() {
            // Not known.
            usize::MAX => PULL_BYTES,
            largest => largest
                .saturating_add(ENVELOPE)
                .clamp(PULL_BYTES, MOST_BYTES),
        }
    }

    /// Hands something on. That nobody takes it any more is noticed by [`Pull::over`].
    async fn send(&self, incoming: Incoming) {
        drop(self.sender.send(incoming).await);
    }

    /// Hands messages on until something is wrong, or nobody wants them any more.
    async fn forward(&self, stream: i128, mut messages: pull::Stream) -> Result<Ended, PullError> {
        let mut silent = 0;
        let mut state = self.bus.state();
        let another =
            |state: &BusState| matches!(state, BusState::Ready { stream: now } if *now != stream);
        loop {
            let message = tokio::select! {
                () = self.over() => break,
                Ok(_) = state.wait_for(another) => return Ok(Ended::StreamReplaced),
                message = messages.next() => message,
            };
            match message {
                None => return Err(PullError::Ended),
                Some(Ok(message)) => {
                    silent = 0;
                    let hold = self.hold(&message).await;
                    self.hand_on(stream, message, hold).await;
                }
                Some(Err(error)) => {
                    silent += 1;
                    let quiet = error.kind() == pull::MessagesErrorKind::MissingHeartbeat;
                    // The library asks again by itself after an outage of the server.
                    if !quiet || silent >= SILENCE {
                        return Err(error.into());
                    }
                }
            }
        }
        // What arrived already is handed on too, so that it can be returned. The subscription ends first:
        // nothing that is returned may come here again.
        let mut rest = Vec::new();
        while let Some(Some(Ok(message))) = messages.next().now_or_never() {
            rest.push(message);
        }
        drop(messages);
        for message in rest {
            let hold = self.room.take_now(message.payload.len());
            self.hand_on(stream, message, hold).await;
        }
        Ok(Ended::Stopped)
    }

    /// Waits for room for a message, which is announced as in progress meanwhile. The others are left with the
    /// bus until then. When nobody wants messages any more it is returned, so it needs no room.
    async fn hold(&self, message: &jetstream::Message) -> Hold {
        let bytes = message.payload.len();
        if let Some(hold) = self.room.take_free(bytes) {
            return hold;
        }
        let mut beats = tokio::time::interval_at(tokio::time::Instant::now() + BEAT, BEAT);
        loop {
            tokio::select! {
                biased;
                hold = self.room.take(bytes) => return hold,
                () = self.over() => return self.room.take_now(bytes),
                _ = beats.tick() => {
                    if let Err(error) = message.ack_with(AckKind::Progress).await {
                        tracing::debug!(%error, "cannot announce a message that waits for room");
                    }
                }
            }
        }
    }

    async fn hand_on(&self, stream: i128, message: jetstream::Message, hold: Hold) {
        let Some(place) = delivery(&message) else {
            return;
        };
        let name = &self.context.trigger.dependencies[self.dependency].name;
        self.context.activity.pending(name, place.pending);
        let (message, acker) = message.split();
        self.send(Incoming::Message(Held {
            dependency: self.dependency,
            stream,
            sequence: place.sequence,
            consumer_sequence: place.consumer_sequence,
            stored: place.stored,
            namespace: message.headers.as_ref().and_then(namespace),
            only_for: message.headers.as_ref().and_then(only_for),
            body: message.payload,
            acker: Some(Arc::new(acker)),
            _hold: Some(hold),
        }))
        .await;
    }
}
