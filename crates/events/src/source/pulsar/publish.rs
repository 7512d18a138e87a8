//! Publishes the messages of an entry.

use std::collections::BTreeMap;

use futures::{StreamExt, stream::FuturesOrdered};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use super::{Subscription, consume::Arrived};
use crate::{
    pulsar::{
        entry::{Entry, Message, Received, Unreadable},
        proto::MessageId,
    },
    source::{backlog::Reservation, body::Body, calendar::go_time, kind::SourceContext},
};

/// Publishes of a batch at the same time.
const AT_ONCE: usize = 32;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'p> {
    key: &'p str,
    publish_time: &'p str,
    body: Body<'p>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'p BTreeMap<String, String>,
}

/// An entry whose messages the bus has stored, or that can be no events.
pub(super) struct Published {
    pub(super) consumer: u64,
    pub(super) id: MessageId,
    pub(super) count: u32,
}

/// Where the messages of an entry go, and what they have in common.
struct Publisher<'p> {
    subscription: &'p Subscription,
    context: &'p SourceContext,
    topic: &'p str,
    id: MessageId,
    time: String,
}

/// Publishes an entry, however long that takes.
pub(super) async fn publish(
    subscription: &Subscription,
    context: &SourceContext,
    topic: &str,
    arrived: Arrived,
    _room: Reservation,
) -> Published {
    let published = Published {
        consumer: arrived.consumer,
        id: arrived.id,
        count: arrived.count,
    };
    match arrived.received {
        Received::Entry(entry) => {
            let milliseconds = i64::try_from(entry.metadata.publish_time).unwrap_or_default();
            let time = Timestamp::from_millisecond(milliseconds).unwrap_or_default();
            let publisher = Publisher {
                subscription,
                context,
                topic,
                id: arrived.id,
                time: go_time(&time.to_zoned(TimeZone::UTC)),
            };
            if let Err(error) = publisher.entry(entry).await {
                unreadable(context, topic, arrived.id, &error);
            }
        }
        Received::TooLarge(size) => context.too_large(size),
        Received::Unreadable(error) => unreadable(context, topic, arrived.id, &error),
    }
    published
}

/// Counts an entry that cannot be read, or whose rest cannot.
fn unreadable(context: &SourceContext, topic: &str, id: MessageId, error: &Unreadable) {
    context.refused();
    tracing::warn!(
        eventsource = %context.emitter.key, event = context.event(), topic, ledger = id.ledger, entry = id.entry, %error,
        "entry dropped: it cannot be read"
    );
}

impl Publisher<'_> {
    async fn entry(&self, entry: Entry) -> Result<(), Unreadable> {
        let mut messages = entry.messages()?;
        let mut publishing = FuturesOrdered::new();
        let read = loop {
            let message = match messages.next() {
                Ok(Some(message)) => message,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            if publishing.len() >= AT_ONCE {
                publishing.next().await;
            }
            publishing.push_back(self.message(message));
        };
        while publishing.next().await.is_some() {}
        read
    }

    async fn message(&self, message: Message) {
        let (context, MessageId { ledger, entry }) = (self.context, self.id);
        if message.payload.len() > context.largest_message() {
            return context.too_large(message.payload.len());
        }
        let Some(body) = Body::bytes(context, &message.payload, self.subscription.json) else {
            return;
        };
        let payload = Payload {
            key: &message.key,
            publish_time: &self.time,
            body,
            metadata: context.metadata(),
        };
        let (cluster, topic) = (self.subscription.cluster.name(), self.topic);
        let place = format!("{cluster}/{topic}/{ledger}:{entry}");
        let position = match message.index {
            Some(index) => format!("{place}:{index}"),
            None => place,
        };
        context.emit_for_sure(context.id(&position), &payload).await;
    }
}
