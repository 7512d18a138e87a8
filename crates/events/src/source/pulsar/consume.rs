//! The brokers of the topics: one connection to each, with a consumer for each topic or partition there.

use std::{collections::BTreeMap, convert::Infallible, time::Duration};

use futures::{StreamExt, future::try_join_all, stream::FuturesUnordered};
use tokio::time::Instant;

use super::{
    Subscription,
    publish::{Published, publish},
};
use crate::{
    pulsar::{
        connection::{Body, Connection, Frame, PING},
        entry::{Received, received},
        error::PulsarError,
        lookup::Place,
        proto::{Ack, Command, Delivered, Flow, MessageId, Subscribe},
    },
    source::{
        backlog::Reservation,
        kind::{SourceContext, SourceError},
        server::Access,
    },
};

/// Messages that a consumer may have before any is acknowledged.
const AT_ONCE: u32 = 256;
/// Brokers that are read, and consumers of an event: each costs memory here and there.
const MOST_BROKERS: usize = 16;
const MOST_CONSUMERS: usize = 256;
/// How often the numbers of partitions are asked for.
const PARTITIONS: Duration = Duration::from_secs(60);
/// The acknowledgement of a message alone.
const INDIVIDUAL: i32 = 0;

/// An entry that came in and is not published yet.
pub(super) struct Arrived {
    pub(super) consumer: u64,
    pub(super) id: MessageId,
    /// Messages, as the broker counts them.
    pub(super) count: u32,
    pub(super) received: Received,
}

impl Arrived {
    fn new(delivered: &Delivered, body: Body) -> Self {
        let (received, count) = received(body);
        Self {
            consumer: delivered.consumer_id,
            id: delivered.message_id,
            count,
            received,
        }
    }

    /// Bytes that it needs until it is published.
    fn size(&self) -> usize {
        match &self.received {
            Received::Entry(entry) => entry.held() + entry.unpacked_size(),
            Received::TooLarge(_) | Received::Unreadable(_) => 0,
        }
    }
}

/// A broker, and the topics there by the number of their consumer.
struct Subscribed {
    address: String,
    connection: Connection,
    topics: Vec<String>,
}

/// Reads the topics until one of their brokers fails, or their partitions become more.
pub(super) async fn follow(
    subscription: &Subscription,
    context: &SourceContext,
) -> Result<(), SourceError> {
    let access = Access {
        egress: context.egress,
        secret: &|field| context.secret(field).cloned(),
    };
    let clean = |error: SourceError| match error {
        SourceError::Server { server, reason } => SourceError::Server {
            server,
            reason: context.excerpt(&reason),
        },
        other => other,
    };
    let parts = parts(subscription, &access).await.map_err(clean)?;
    let places = places(subscription, &access, &parts);
    let mut subscribed = Vec::new();
    for (place, topics) in places.await.map_err(clean)? {
        let opened = subscribe(subscription, context, &access, &place, topics);
        subscribed.push(opened.await.map_err(clean)?);
    }
    context.report(None);
    let reading = subscribed
        .into_iter()
        .map(|broker| read(subscription, context, broker));
    tokio::select! {
        ended = try_join_all(reading) => ended.map(drop).map_err(clean),
        changed = watch(subscription, &access, &parts) => changed.map_err(clean),
    }
}

/// The topics and partitions to read.
async fn parts(
    subscription: &Subscription,
    access: &Access<'_>,
) -> Result<Vec<String>, SourceError> {
    let cluster = &subscription.cluster;
    let mut servers = cluster.open(access).await?;
    let mut parts = Vec::new();
    for topic in &subscription.topics {
        parts.extend(cluster.parts(&mut servers, topic, MOST_CONSUMERS).await?);
    }
    if parts.len() > MOST_CONSUMERS {
        let reason = format!(
            "the topics have {} partitions, and {MOST_CONSUMERS} at most are read by an event",
            parts.len()
        );
        return Err(cluster.failed(&reason));
    }
    Ok(parts)
}

/// The brokers of all topics.
async fn places(
    subscription: &Subscription,
    access: &Access<'_>,
    parts: &[String],
) -> Result<BTreeMap<Place, Vec<String>>, SourceError> {
    let cluster = &subscription.cluster;
    let mut servers = cluster.open(access).await?;
    let mut places: BTreeMap<Place, Vec<String>> = BTreeMap::new();
    for part in parts {
        let place = cluster.find(access, &mut servers, part).await?;
        places.entry(place).or_default().push(part.clone());
    }
    if places.len() > MOST_BROKERS {
        let reason = format!(
            "the topics are at {} brokers, and {MOST_BROKERS} at most are read by an event",
            places.len()
        );
        return Err(cluster.failed(&reason));
    }
    Ok(places)
}

/// Ends when a topic has other partitions than before.
async fn watch(
    subscription: &Subscription,
    access: &Access<'_>,
    before: &[String],
) -> Result<(), SourceError> {
    loop {
        tokio::time::sleep(PARTITIONS).await;
        // Who cannot be asked now is asked again: messages still come in.
        match parts(subscription, access).await {
            Ok(now) if now != before => return Ok(()),
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "partitions of Pulsar not asked for"),
        }
    }
}

async fn subscribe(
    subscription: &Subscription,
    context: &SourceContext,
    access: &Access<'_>,
    place: &Place,
    topics: Vec<String>,
) -> Result<Subscribed, SourceError> {
    let address = place.address.clone();
    let mut connection = subscription.cluster.reach(access, place).await?;
    for (consumer_id, topic) in (0..).zip(&topics) {
        let asked = connection.ask(
            |request_id| {
                Command::Subscribe(Subscribe {
                    topic: topic.clone(),
                    subscription: context.event().to_owned(),
                    kind: subscription.kind,
                    consumer_id,
                    request_id,
                })
            },
            |command, number| match command {
                Command::Success(success) if success.request_id == number => Some(()),
                _ => None,
            },
        );
        asked
            .await
            .map_err(|error| failed(&address, topic, &error))?;
    }
    for (consumer_id, _) in (0..).zip(&topics) {
        connection.queue(Command::Flow(Flow {
            consumer_id,
            permits: AT_ONCE,
        }));
    }
    Ok(Subscribed {
        address,
        connection,
        topics,
    })
}

fn failed(address: &str, topic: &str, error: &PulsarError) -> SourceError {
    let hint = match error {
        PulsarError::Refused { code: 5, .. } => {
            "; the subscription has another consumer, and one of them is exclusive"
        }
        _ => "",
    };
    SourceError::Server {
        server: address.to_owned(),
        reason: format!("{topic}: {error}{hint}"),
    }
}

/// Reads a broker until that fails.
async fn read(
    subscription: &Subscription,
    context: &SourceContext,
    broker: Subscribed,
) -> Result<Infallible, SourceError> {
    let Subscribed {
        address,
        mut connection,
        topics,
    } = broker;
    let failed = |error: PulsarError| SourceError::Server {
        server: address.clone(),
        reason: error.to_string(),
    };
    let mut arrived: Option<Arrived> = None;
    let mut publishing = FuturesUnordered::new();
    let mut ping = tokio::time::interval_at(Instant::now() + PING, PING);
    loop {
        connection.flush().await.map_err(failed)?;
        tokio::select! {
            frame = connection.next(), if arrived.is_none() => match frame.map_err(failed)? {
                Frame::Entry(delivered, body) => arrived = Some(Arrived::new(&delivered, body)),
                Frame::Command(Command::CloseConsumer(_)) => return Err(failed(PulsarError::Closed)),
                Frame::Command(Command::Error(refusal)) => {
                    return Err(failed(refusal.into()));
                }
                Frame::Command(_) | Frame::Other => {}
            },
            // Who finds no room does not read on: what follows stays at the broker.
            room = room(context, arrived.as_ref()), if arrived.is_some() => {
                let entry = arrived.take().expect("it waits for room");
                let topic = usize::try_from(entry.consumer).ok().and_then(|at| topics.get(at));
                let topic = topic.ok_or_else(|| failed(PulsarError::Protocol))?;
                publishing.push(publish(subscription, context, topic, entry, room));
            }
            Some(published) = publishing.next(), if !publishing.is_empty() => {
                acknowledge(&mut connection, &published);
            }
            _ = ping.tick() => connection.ping(),
        }
    }
}

async fn room(context: &SourceContext, arrived: Option<&Arrived>) -> Reservation {
    context.share.wait(arrived.map_or(0, Arrived::size)).await
}

/// The broker may forget the entry, and send as many messages as it had.
fn acknowledge(connection: &mut Connection, published: &Published) {
    connection.queue(Command::Ack(Ack {
        consumer_id: published.consumer,
        kind: INDIVIDUAL,
        message_id: vec![published.id],
    }));
    connection.queue(Command::Flow(Flow {
        consumer_id: published.consumer,
        permits: published.count,
    }));
}
