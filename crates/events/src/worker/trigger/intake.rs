//! Messages of one dependency, for as long as the trigger runs: attach, pull, attach again.
//!
//! A pull that was begun is ended before its trigger is: a request that creates a consumer must not reach
//! the server after that consumer was removed or taken over by a successor.
//!
//! A worker that is replaced hands its [`Intake`] to the successor, with the messages that it has not begun:
//! the pulls go on, and no message waits for the bus to deliver it again.

use std::{
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

use async_nats::jetstream::{self, AckKind, consumer::pull, message::Acker};
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::Context;
use crate::bus::{ACK_WAIT, Attached, Before, BusState, MAX_HELD, delivery, namespace};

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
    pub(super) body: Bytes,
    /// How to answer it. None for a message that a predecessor had in its hands: the bus delivers it
    /// again later, and it is answered then.
    pub(super) acker: Option<Arc<Acker>>,
}

/// Where a message stands: its sequence in the stream, and the dependency that it came for.
pub(super) type Place = (u64, usize);

impl Held {
    pub(super) fn place(&self) -> Place {
        (self.sequence, self.dependency)
    }
}

/// Answers a message. A lost answer only leads to another delivery, which is recognised.
pub(super) async fn answer(acker: &Acker, kind: AckKind) {
    if let Err(error) = acker.ack_with(kind).await {
        tracing::debug!(%error, "a message could not be answered");
    }
}

/// What comes from the bus for all dependencies of a trigger, whatever worker takes it.
pub(in crate::worker) struct Intake {
    incoming: mpsc::Receiver<Incoming>,
    /// The latest attachment of each dependency, with what was delivered since.
    attached: BTreeMap<usize, Attachment>,
    /// What a predecessor put back; comes first.
    put_back: VecDeque<Incoming>,
}

impl Intake {
    /// Starts pulling, until the intake is dropped or `context.pulls` is cancelled.
    pub(super) fn start(context: &Context) -> Self {
        let (sender, incoming) = mpsc::channel(ON_THE_WAY);
        for dependency in 0..context.trigger.dependencies.len() {
            let pull = Pull {
                context: context.clone(),
                dependency,
                sender: sender.clone(),
            };
            tokio::spawn(pull.run());
        }
        Self {
            incoming,
            attached: BTreeMap::new(),
            put_back: VecDeque::new(),
        }
    }

    /// The next thing that comes; `None` when all pulls have ended.
    pub(super) async fn recv(&mut self) -> Option<Incoming> {
        let next = match self.put_back.pop_front() {
            Some(next) => next,
            None => self.incoming.recv().await?,
        };
        Some(self.noted(next))
    }

    /// What has come already.
    pub(super) fn try_recv(&mut self) -> Option<Incoming> {
        let next = self.put_back.pop_front();
        let next = next.or_else(|| self.incoming.try_recv().ok())?;
        Some(self.noted(next))
    }

    fn noted(&mut self, next: Incoming) -> Incoming {
        match &next {
            Incoming::Attached(attachment) => {
                self.attached
                    .insert(attachment.dependency, attachment.clone());
            }
            Incoming::Message(held) => {
                if let Some(known) = self.attached.get_mut(&held.dependency)
                    && known.stream == held.stream
                {
                    known.delivered = known.delivered.max(held.sequence);
                }
            }
        }
        next
    }

    /// Makes it ready for the next worker, which gets the attachments and these messages first.
    pub(super) fn hand_over(&mut self, messages: impl IntoIterator<Item = Held>) {
        let mut attached: Vec<Attachment> = self.attached.values().cloned().collect();
        // The newest stream counts; workers drop what they know of an older one.
        attached.sort_by_key(|attachment| attachment.stream);
        let first = attached.into_iter().map(Incoming::Attached);
        let mut first: VecDeque<Incoming> = first
            .chain(messages.into_iter().map(Incoming::Message))
            .collect();
        first.append(&mut self.put_back);
        self.put_back = first;
    }
}

/// What is said while a trigger attaches to a stream that was created again.
const REPLACED: &str = "the stream was created again; attaching from its beginning";

/// Why pulling ended.
enum Ended {
    /// Nobody wants messages any more.
    Stopped,
    /// The stream is another one.
    StreamReplaced,
    /// Something is wrong.
    Failed(String),
}

/// The messages of one dependency on their way to the task of the trigger.
struct Pull {
    context: Context,
    dependency: usize,
    sender: mpsc::Sender<Incoming>,
}

impl Pull {
    async fn run(self) {
        let dependency = &self.context.trigger.dependencies[self.dependency];
        let mut told = String::new();
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
                Ended::Stopped => return,
                Ended::StreamReplaced => {
                    self.tell(Some(REPLACED.to_owned()));
                    tracing::warn!(
                        sensor = %self.context.sensor.key,
                        trigger = %self.context.trigger.name,
                        dependency = %dependency.name,
                        REPLACED
                    );
                    continue;
                }
                Ended::Failed(reason) => reason,
            };
            self.tell(Some(reason.clone()));
            if told != reason {
                tracing::warn!(
                    sensor = %self.context.sensor.key,
                    trigger = %self.context.trigger.name,
                    dependency = %dependency.name,
                    reason,
                    "no events arrive; attaching again"
                );
                told = reason;
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
        let bus = &self.context.bus;
        if tokio::time::timeout(PAUSE, bus.ready()).await.is_err() {
            self.tell(Some("the bus is not connected".to_owned()));
            bus.ready().await;
        }
    }

    /// Attaches and pulls until something is wrong, or nobody wants messages any more.
    async fn attach_and_pull(&self, before: &mut Before) -> Ended {
        self.pull_from(before).await.unwrap_or_else(Ended::Failed)
    }

    async fn pull_from(&self, before: &mut Before) -> Result<Ended, String> {
        let dependency = &self.context.trigger.dependencies[self.dependency];
        // Never given up half-way, see above; its requests have deadlines.
        let attached = self
            .context
            .bus
            .attach(
                &self.context.owner(self.dependency),
                &dependency.subject(),
                *before,
            )
            .await
            .map_err(|error| error.to_string())?;
        let stream = attached.stream;
        before.stream = Some(stream);
        let messages = tokio::select! {
            () = self.over() => return Ok(Ended::Stopped),
            begun = self.begin(attached) => begun?,
        };
        self.tell(None);
        self.forward(stream, messages).await
    }

    /// Begins to pull.
    ///
    /// A predecessor that died had messages in its hands. The bus delivers those again only after a while,
    /// and newer ones meanwhile; where order matters they are read from the stream first.
    async fn begin(&self, attached: Attached) -> Result<pull::Stream, String> {
        let (context, index) = (&self.context, self.dependency);
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
        if context.trigger.is_ordered() && info.num_ack_pending > 0 {
            let first = info.ack_floor.stream_sequence + 1;
            let subject = context.trigger.dependencies[index].subject();
            let between = context
                .bus
                .messages_between(&subject, first, delivered)
                .await;
            unanswered = between.map_err(|error| error.to_string())?;
        }
        self.send(Incoming::Attached(Attachment {
            dependency: index,
            consumer: attached.name,
            stream,
            delivered,
        }))
        .await;
        for message in unanswered {
            self.send(Incoming::Message(Held {
                dependency: index,
                stream,
                sequence: message.sequence,
                consumer_sequence: 0,
                stored: message.stored,
                namespace: message.namespace,
                body: message.body,
                acker: None,
            }))
            .await;
        }
        Ok(messages)
    }

    /// Hands something on. That nobody takes it any more is noticed by [`Pull::over`].
    async fn send(&self, incoming: Incoming) {
        drop(self.sender.send(incoming).await);
    }

    /// Hands messages on until something is wrong, or nobody wants them any more.
    async fn forward(&self, stream: i128, mut messages: pull::Stream) -> Result<Ended, String> {
        let mut silent = 0;
        let mut state = self.context.bus.state();
        let another =
            |state: &BusState| matches!(state, BusState::Ready { stream: now } if *now != stream);
        loop {
            let message = tokio::select! {
                () = self.over() => break,
                Ok(_) = state.wait_for(another) => return Ok(Ended::StreamReplaced),
                message = messages.next() => message,
            };
            match message {
                None => return Err("the subscription ended".to_owned()),
                Some(Ok(message)) => {
                    silent = 0;
                    self.hand_on(stream, message).await;
                }
                Some(Err(error)) => {
                    silent += 1;
                    let quiet = error.kind() == pull::MessagesErrorKind::MissingHeartbeat;
                    // The library asks again by itself after the server was away.
                    if !quiet || silent >= SILENCE {
                        return Err(error.to_string());
                    }
                }
            }
        }
        // What came already is handed on too, so that it can be given back. The subscription ends first:
        // nothing that is given back may come here again.
        let mut rest = Vec::new();
        while let Some(Some(Ok(message))) = messages.next().now_or_never() {
            rest.push(message);
        }
        drop(messages);
        for message in rest {
            self.hand_on(stream, message).await;
        }
        Ok(Ended::Stopped)
    }

    async fn hand_on(&self, stream: i128, message: jetstream::Message) {
        let Some(place) = delivery(&message) else {
            return;
        };
        let (message, acker) = message.split();
        self.send(Incoming::Message(Held {
            dependency: self.dependency,
            stream,
            sequence: place.sequence,
            consumer_sequence: place.consumer_sequence,
            stored: place.stored,
            namespace: message.headers.as_ref().and_then(namespace),
            body: message.payload,
            acker: Some(Arc::new(acker)),
        }))
        .await;
    }
}

/// The messages in hand, by place, with the latest way to answer each.
#[derive(Default)]
pub(super) struct InHand(BTreeMap<Place, Option<Arc<Acker>>>);

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

    /// Answers a message and lets go of it.
    pub(super) async fn answer(&mut self, place: Place, kind: AckKind) {
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
