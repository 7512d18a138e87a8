//! Durable consumers, and messages read from the stream.

use std::time::Duration;

use async_nats::jetstream::{
    self,
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
    stream::RetentionPolicy,
};
use bytes::Bytes;
use jiff::Timestamp;

use super::{Bus, BusError, STREAM, error::request};

/// A message that is not acknowledged for this long is delivered again. Shorter than the server's default
/// of 30 s, so that a successor takes over quickly; work in progress is announced well within it.
pub const ACK_WAIT: Duration = Duration::from_secs(10);
/// Messages of one consumer that may be in the hands of this process; bounds memory.
pub const MAX_HELD: i64 = 256;

/// A message read from the stream.
pub struct StoredMessage {
    /// Sequence number.
    pub sequence: u64,
    /// When the server stored it.
    pub stored: Timestamp,
    /// The body.
    pub body: Bytes,
}

/// A consumer that is in place.
pub struct Attached {
    /// The consumer.
    pub consumer: PullConsumer,
    /// When the stream was created, ns since the epoch.
    pub stream: i128,
}

impl Bus {
    /// The durable consumer `name` for `subject`, made where it is missing. A new one begins with the
    /// next message; one for another subject is made anew.
    pub async fn attach(&self, name: &str, subject: &str) -> Result<Attached, BusError> {
        let what = || request(format!("consumer {name}"));
        let stream = self.context.get_stream(STREAM).await.map_err(|error| {
            self.check();
            request(format!("stream {STREAM}"))(&error)
        })?;
        let created = stream.cached_info().created.unix_timestamp_nanos();
        let work_queue = stream.cached_info().config.retention == RetentionPolicy::WorkQueue;
        let wanted = pull::Config {
            durable_name: Some(name.to_owned()),
            // A work queue only admits consumers of everything that waits.
            deliver_policy: if work_queue {
                DeliverPolicy::All
            } else {
                DeliverPolicy::New
            },
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_deliver: -1,
            max_ack_pending: MAX_HELD,
            filter_subject: subject.to_owned(),
            ..pull::Config::default()
        };
        let consumer: PullConsumer = stream
            .get_or_create_consumer(name, wanted.clone())
            .await
            .map_err(|error| what()(&error))?;
        if consumer.cached_info().config.filter_subject == subject {
            return Ok(Attached {
                consumer,
                stream: created,
            });
        }
        stream
            .delete_consumer(name)
            .await
            .map_err(|error| what()(&error))?;
        let consumer = stream
            .create_consumer(wanted)
            .await
            .map_err(|error| what()(&error))?;
        Ok(Attached {
            consumer,
            stream: created,
        })
    }

    /// Removes a durable consumer; an absent one is fine.
    pub async fn detach(&self, name: &str) -> Result<(), BusError> {
        let what = || request(format!("delete consumer {name}"));
        let stream = self
            .context
            .get_stream_no_info(STREAM)
            .await
            .map_err(|error| what()(&error))?;
        match stream.delete_consumer(name).await {
            Ok(_) => Ok(()),
            Err(error) if error.to_string().contains("not found") => Ok(()),
            Err(error) => Err(what()(&error)),
        }
    }

    /// The body of the message with this sequence number; `None` when it is gone.
    pub async fn message(&self, sequence: u64) -> Result<Option<Bytes>, BusError> {
        let what = || request(format!("message {sequence}"));
        let stream = self
            .context
            .get_stream_no_info(STREAM)
            .await
            .map_err(|error| what()(&error))?;
        match stream.get_raw_message(sequence).await {
            Ok(message) => Ok(Some(message.payload)),
            Err(error) if error.to_string().contains("no message found") => Ok(None),
            Err(error) => Err(what()(&error)),
        }
    }

    /// The messages of a subject from sequence `first` to `last`, in order.
    pub async fn messages_between(
        &self,
        subject: &str,
        first: u64,
        last: u64,
    ) -> Result<Vec<StoredMessage>, BusError> {
        let what = || request(format!("messages {first} to {last} of {subject}"));
        let stream = self
            .context
            .get_stream_no_info(STREAM)
            .await
            .map_err(|error| what()(&error))?;
        let mut found = Vec::new();
        let mut next = first;
        while next <= last {
            let message = stream
                .raw_message_builder()
                .next_by_subject(subject)
                .sequence(next)
                .send()
                .await;
            match message {
                Ok(message) if message.sequence <= last => {
                    next = message.sequence + 1;
                    found.push(StoredMessage {
                        sequence: message.sequence,
                        stored: timestamp(message.time.unix_timestamp_nanos()),
                        body: message.payload,
                    });
                }
                Ok(_) => break,
                Err(error) if error.to_string().contains("no message found") => break,
                Err(error) => return Err(what()(&error)),
            }
        }
        Ok(found)
    }
}

/// The delivery of a message: its place in the stream and among the deliveries.
pub(crate) struct Delivery {
    /// Sequence number in the stream.
    pub(crate) sequence: u64,
    /// Sequence number of the delivery.
    pub(crate) consumer_sequence: u64,
    /// When the server stored it.
    pub(crate) stored: Timestamp,
}

/// Reads the delivery from a message's reply subject.
pub(crate) fn delivery(message: &jetstream::Message) -> Option<Delivery> {
    let info = message.info().ok()?;
    Some(Delivery {
        sequence: info.stream_sequence,
        consumer_sequence: info.consumer_sequence,
        stored: timestamp(info.published.unix_timestamp_nanos()),
    })
}

/// A time of the server; one that cannot be told is the epoch.
fn timestamp(nanos: i128) -> Timestamp {
    Timestamp::from_nanosecond(nanos).unwrap_or_default()
}
