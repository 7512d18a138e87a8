//! `nats`: the messages of a core NATS subject.
//!
//! Core NATS keeps nothing: what is sent while nobody is subscribed is lost, as upstream. While the bus is
//! unreachable, messages wait here, up to a bound in number and in bytes; further ones are dropped and counted.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_nats::{ConnectOptions, Event, HeaderMap, Message, Subscriber};
use futures::{FutureExt, StreamExt, future::BoxFuture};
use reconcile_core::object::FieldError;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::{
    EmitError,
    backlog::Reservation,
    body::Body,
    kind::{Input, Source, SourceContext, SourceError, SourceKind},
};
use crate::{
    api::{KeySelector, nats::NatsConfig},
    nats::{DEADLINE, NatsServer},
    nats_client::GuardedClient,
};

pub(super) const KIND: SourceKind = SourceKind {
    key: "nats",
    check: |input| Ok(Arc::new(check(input)?)),
};

/// Messages that wait for the bus.
const WAITING: usize = 4096;
/// Publishes at the same time.
const AT_ONCE: usize = 64;
/// Pause after the bus did not take an event.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NatsEvent {
    #[serde(flatten)]
    server: NatsConfig,
    subject: String,
    queue: Option<String>,
    json_body: bool,
}

/// A checked subscription.
#[derive(Debug)]
struct Subscription {
    server: NatsServer,
    subject: String,
    /// Members of a queue share the messages.
    queue: Option<String>,
    /// The body is JSON, not bytes.
    json: bool,
}

fn check(input: &Input<'_>) -> Result<Subscription, FieldError> {
    let raw: NatsEvent = input.decode()?;
    let server = NatsServer::check(input.path, &raw.server)?;
    let subject = raw.subject.trim();
    if subject.contains(char::is_whitespace) || subject.split('.').any(str::is_empty) {
        return Err(input.wrong("subject", format!("{subject:?} is not a subject")));
    }
    Ok(Subscription {
        server,
        subject: subject.to_owned(),
        queue: raw.queue.filter(|queue| !queue.is_empty()),
        json: raw.json_body,
    })
}

#[derive(Serialize)]
struct Payload<'p> {
    subject: &'p str,
    body: Body<'p>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    header: BTreeMap<String, Vec<String>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'p BTreeMap<String, String>,
}

impl Source for Subscription {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        self.server.secrets.clone()
    }

    fn run<'s>(&'s self, context: &'s SourceContext) -> BoxFuture<'s, Result<(), SourceError>> {
        self.follow(context).boxed()
    }
}

impl Subscription {
    async fn follow(&self, context: &SourceContext) -> Result<(), SourceError> {
        let (_client, messages) = self.subscribe(context).await?;
        context.report(None);
        let (sender, mut waiting) = mpsc::channel(WAITING);
        let mut taken = futures::stream::poll_fn(move |cx| waiting.poll_recv(cx))
            .map(|(message, room)| self.pass_on(context, message, room))
            .buffered(AT_ONCE);
        let publish = async { while taken.next().await.is_some() {} };
        futures::join!(take_in(context, messages, sender), publish);
        Err(self.server.failed("the subscription ended").into())
    }

    async fn subscribe(
        &self,
        context: &SourceContext,
    ) -> Result<(GuardedClient, Subscriber), SourceError> {
        let report = context.emitter.report.clone();
        let (event, url) = (context.event().to_owned(), self.server.url.clone());
        let adapt = |options: ConnectOptions| {
            let options = options.subscription_capacity(WAITING);
            options.event_callback(move |news| {
                match news {
                    Event::Connected => report(&event, None),
                    Event::Disconnected => report(&event, Some(format!("{url}: disconnected"))),
                    Event::SlowConsumer(_) => {
                        tracing::warn!(event, "messages are dropped: they come in too fast");
                    }
                    _ => {}
                }
                std::future::ready(())
            })
        };
        let (secrets, egress) = (context.secrets(), context.egress);
        let client = self.server.connect(secrets, egress, adapt).await?;
        let subscribe = async {
            let subject = self.subject.clone();
            let messages = match &self.queue {
                Some(queue) => client.queue_subscribe(subject, queue.clone()).await,
                None => client.subscribe(subject).await,
            };
            let messages = messages.map_err(|error| self.server.failed(&error))?;
            client
                .flush()
                .await
                .map_err(|error| self.server.failed(&error))?;
            Ok(messages)
        };
        let subscribed = tokio::time::timeout(DEADLINE, subscribe).await;
        let subscribed =
            subscribed.unwrap_or_else(|_| Err(self.server.failed("no answer in time")));
        Ok((client, subscribed?))
    }

    /// Publishes a message, however long that takes.
    async fn pass_on(&self, context: &SourceContext, message: Message, _room: Reservation) {
        let Some(body) = Body::bytes(context, &message.payload, self.json) else {
            return;
        };
        let payload = Payload {
            subject: message.subject.as_str(),
            body,
            header: message.headers.as_ref().map(headers).unwrap_or_default(),
            metadata: context.metadata(),
        };
        let id = uuid::Uuid::new_v4().simple().to_string();
        while let Err(EmitError::Bus(_)) = context.emit(id.clone(), &payload).await {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Takes messages out of the connection at once, where only their number is bounded.
async fn take_in(
    context: &SourceContext,
    mut messages: Subscriber,
    waiting: mpsc::Sender<(Message, Reservation)>,
) {
    let mut dropping = false;
    while let Some(message) = messages.next().await {
        let room = context.share.take(message.length);
        let kept = room.is_some_and(|room| waiting.try_send((message, room)).is_ok());
        if !kept {
            context.refused();
            if !dropping {
                tracing::warn!(eventsource = %context.emitter.key, event = context.event(), "messages are dropped: the bus does not keep up");
            }
        }
        dropping = !kept;
    }
}

fn headers(all: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    all.iter()
        .map(|(name, values)| {
            let values = values.iter().map(|value| value.as_str().to_owned());
            (name.to_string(), values.collect())
        })
        .collect()
}
