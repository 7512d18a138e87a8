//! Publishes the records of a batch.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, stream::FuturesOrdered};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

use super::config::Subscription;
use crate::{
    kafka::records::{Batch, Item, Record},
    source::{body::Body, calendar::go_time, kind::SourceContext},
};

/// Publishes at the same time.
const AT_ONCE: usize = 32;

#[derive(Serialize)]
struct Payload<'p> {
    topic: &'p str,
    key: String,
    partition: i32,
    body: Body<'p>,
    timestamp: String,
    headers: BTreeMap<&'p str, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'p BTreeMap<String, String>,
}

/// Keeps events apart by a time, over all partitions.
#[derive(Default)]
pub(super) struct Pace(Mutex<Option<Instant>>);

impl Pace {
    async fn wait(&self, apart: Duration) {
        let mut next = self.0.lock().await;
        let now = Instant::now();
        let turn = next.unwrap_or(now).max(now);
        *next = Some(turn + apart);
        drop(next);
        sleep_until(turn).await;
    }
}

/// Where records are published.
pub(super) struct Publisher<'p> {
    pub(super) subscription: &'p Subscription,
    pub(super) context: &'p SourceContext,
    pub(super) pace: &'p Pace,
}

impl Publisher<'_> {
    /// Publishes the records of a batch from the offset `from` on; returns when the bus has stored them.
    pub(super) async fn batch(&self, batch: &Batch, partition: i32, from: i64) {
        let mut publishing = FuturesOrdered::new();
        let mut records = match batch.records(self.context.largest_message()) {
            Ok(records) => records,
            Err(error) => return self.unreadable(partition, batch.base, &error),
        };
        loop {
            let record = match records.next() {
                Ok(None) => break,
                // The broker sends whole batches.
                Ok(Some(Item::Record(record))) if record.offset < from => continue,
                Ok(Some(Item::Record(record))) => record,
                Ok(Some(Item::TooLarge(size))) => {
                    self.context.too_large(size);
                    continue;
                }
                Err(error) => {
                    self.unreadable(partition, batch.base, &error);
                    break;
                }
            };
            if let Some(apart) = self.subscription.pace {
                self.pace.wait(apart).await;
            }
            if publishing.len() >= AT_ONCE {
                publishing.next().await;
            }
            publishing.push_back(self.record(record, partition));
        }
        while publishing.next().await.is_some() {}
    }

    /// Counts a batch whose rest cannot be read.
    fn unreadable(&self, partition: i32, offset: i64, error: &std::io::Error) {
        self.context.refused();
        tracing::warn!(
            eventsource = %self.context.emitter.key, event = self.context.event(), partition, offset, %error,
            "rest of a batch dropped: its records cannot be read"
        );
    }

    /// Publishes a record, however long that takes.
    async fn record(&self, record: Record, partition: i32) {
        let (context, subscription) = (self.context, self.subscription);
        if record.value.len() > context.largest_message() {
            return context.too_large(record.value.len());
        }
        let Some(body) = Body::bytes(context, &record.value, subscription.json) else {
            return;
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let time = Timestamp::from_millisecond(record.timestamp).unwrap_or_default();
        let headers = record.headers.iter();
        let payload = Payload {
            topic: &subscription.topic,
            key: text(record.key.as_deref().unwrap_or_default()),
            partition,
            body,
            timestamp: go_time(&time.to_zoned(TimeZone::UTC)),
            headers: headers
                .map(|(name, value)| (name.as_str(), text(value)))
                .collect(),
            metadata: context.metadata(),
        };
        let (server, topic) = (subscription.cluster.name(), &subscription.topic);
        let id = context.id(&format!("{server}/{topic}/{partition}/{}", record.offset));
        context.emit_for_sure(id, &payload).await;
    }
}
