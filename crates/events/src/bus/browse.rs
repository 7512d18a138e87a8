//! A look at a bus from outside: reads and publishes, and leaves streams and consumers as they are.

use std::time::Duration;

use async_nats::{
    HeaderMap,
    jetstream::{
        self,
        consumer::{self, AckPolicy, DeliverPolicy, pull},
        stream::Stream,
    },
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use jiff::Timestamp;
use reconcile_core::{object::ObjectKey, redaction::Redactor};

use super::{
    BusConfig, BusError, ConsumerOwner,
    consumers::{Whose, consumer_info, delivery, whose_is},
    error::refused,
    options::{REQUEST_DEADLINE, options},
    records,
};

/// The server forgets a reader that is gone after this time.
const FORGOTTEN: Duration = Duration::from_secs(60);
/// Messages that one look reads at most.
const MOST_MESSAGES: usize = 100_000;

/// A message of a stream.
#[derive(Clone, Debug)]
pub struct Message {
    /// Sequence number in the stream.
    pub sequence: u64,
    /// When the server stored it.
    pub stored: Timestamp,
    /// The subject.
    pub subject: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Message {
    /// The text of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(async_nats::HeaderValue::as_str)
    }
}

/// Where to begin to read.
#[derive(Clone, Copy, Debug)]
pub enum From {
    /// The first message that there is.
    Beginning,
    /// The first message that the server stored at this time or later.
    Time(Timestamp),
    /// The next message.
    Now,
}

/// How far a durable consumer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerProgress {
    /// Its name.
    pub name: String,
    /// Everything up to this sequence is answered.
    pub answered: u64,
    /// The last sequence that was handed out.
    pub delivered: u64,
    /// Messages in somebody's hands.
    pub in_hand: usize,
    /// Messages that wait.
    pub pending: u64,
    /// Requests for messages that wait; without one nobody listens.
    pub listeners: usize,
}

/// A connection that changes nothing but what it is asked to.
pub struct Browser {
    context: jetstream::Context,
    redactor: Redactor,
}

impl Browser {
    /// Connects.
    pub async fn connect(config: &BusConfig) -> Result<Self, BusError> {
        let redactor = config.auth.redactor();
        let client = options("events command", config)?
            .connect(config.urls.clone())
            .await
            .map_err(|error| BusError::Connect(redactor.redact(error.to_string())))?;
        let mut context = jetstream::new(client);
        context.set_timeout(REQUEST_DEADLINE);
        Ok(Self { context, redactor })
    }

    fn failed(&self, what: &str, error: &dyn std::fmt::Display) -> BusError {
        refused(&self.redactor, what, error)
    }

    async fn stream(&self, name: &str) -> Result<Stream, BusError> {
        let found = self.context.get_stream(name).await;
        found.map_err(|error| self.failed(&format!("stream {name}"), &error))
    }

    /// Stores a message; gives its sequence.
    pub async fn publish(
        &self,
        subject: &str,
        id: &str,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<u64, BusError> {
        headers.insert(async_nats::header::NATS_MESSAGE_ID, id);
        let what = format!("publish to {subject}");
        let sent = self
            .context
            .publish_with_headers(subject.to_owned(), headers, body)
            .await
            .map_err(|error| self.failed(&what, &error))?;
        let stored = sent.await.map_err(|error| self.failed(&what, &error))?;
        if stored.duplicate {
            return Err(self.failed(&what, &format!("the bus has an event with id {id} already")));
        }
        Ok(stored.sequence)
    }

    /// The messages of a subject that are there now, oldest first.
    pub async fn read(
        &self,
        stream: &str,
        subject: &str,
        from: From,
    ) -> Result<Vec<Message>, BusError> {
        let (waiting, messages) = self.begin(stream, subject, from).await?;
        let count = usize::try_from(waiting).unwrap_or(usize::MAX);
        if count > MOST_MESSAGES {
            let reason =
                format!("{count} messages are more than {MOST_MESSAGES}; ask for a shorter time");
            return Err(self.failed(subject, &reason));
        }
        messages.take(count).try_collect().await
    }

    /// The messages of a subject, and those that come.
    pub async fn follow(
        &self,
        stream: &str,
        subject: &str,
        from: From,
    ) -> Result<BoxStream<'_, Result<Message, BusError>>, BusError> {
        Ok(self.begin(stream, subject, from).await?.1)
    }

    /// How many messages there are, and the messages.
    async fn begin(
        &self,
        stream: &str,
        subject: &str,
        from: From,
    ) -> Result<(u64, BoxStream<'_, Result<Message, BusError>>), BusError> {
        let what = format!("read {subject}");
        let consumer = self
            .stream(stream)
            .await?
            .create_consumer(pull::Config {
                deliver_policy: start(from),
                ack_policy: AckPolicy::None,
                filter_subject: subject.to_owned(),
                inactive_threshold: FORGOTTEN,
                ..pull::Config::default()
            })
            .await
            .map_err(|error| self.failed(&what, &error))?;
        let waiting = consumer.cached_info().num_pending;
        let messages = consumer.messages().await;
        let messages = messages.map_err(|error| self.failed(&what, &error))?;
        let messages = messages.filter_map(move |message| {
            let message = match message {
                Ok(message) => delivery(&message).map(|place| {
                    let (message, _) = message.split();
                    Ok(Message {
                        sequence: place.sequence,
                        stored: place.stored,
                        subject: message.subject.to_string(),
                        headers: message.headers.unwrap_or_default(),
                        body: message.payload,
                    })
                }),
                Err(error) => Some(Err(self.failed(&what, &error))),
            };
            async { message }
        });
        Ok((waiting, messages.boxed()))
    }

    /// Deletes a message; false when there is none with this sequence.
    pub async fn delete(&self, stream: &str, sequence: u64) -> Result<bool, BusError> {
        let what = format!("delete message {sequence} of {stream}");
        match self.stream(stream).await?.delete_message(sequence).await {
            Ok(deleted) => Ok(deleted),
            Err(error) if error.to_string().contains("no message found") => Ok(false),
            Err(error) => Err(self.failed(&what, &error)),
        }
    }

    /// How far the consumer of a dependency is; `None` when there is none.
    pub async fn consumer(
        &self,
        stream: &str,
        owner: &ConsumerOwner<'_>,
    ) -> Result<Option<ConsumerProgress>, BusError> {
        let stream = self.stream(stream).await?;
        let info = self.named_consumer(&stream, owner).await?;
        Ok(info.map(|info| ConsumerProgress {
            name: info.name,
            answered: info.ack_floor.stream_sequence,
            delivered: info.delivered.stream_sequence,
            in_hand: info.num_ack_pending,
            pending: info.num_pending,
            listeners: info.num_waiting,
        }))
    }

    /// A record of a Sensor; `None` when there is no such record or no bucket.
    pub async fn record(
        &self,
        sensor: &ObjectKey,
        names: &[&str],
    ) -> Result<Option<Bytes>, BusError> {
        let bucket = records::existing_bucket(&self.context, sensor, &self.redactor).await?;
        let Some(bucket) = bucket else {
            return Ok(None);
        };
        let found = bucket.read(&records::key(names)).await?;
        Ok(found.map(|(value, _)| value))
    }

    /// The consumer of a dependency as it stands; `None` when there is none.
    async fn named_consumer<I>(
        &self,
        stream: &Stream<I>,
        owner: &ConsumerOwner<'_>,
    ) -> Result<Option<consumer::Info>, BusError> {
        for name in owner.names() {
            if let Some(found) = consumer_info(stream, &name, &self.redactor).await?
                && whose_is(&found.config, owner) != Whose::Foreign
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

fn start(from: From) -> DeliverPolicy {
    match from {
        From::Beginning => DeliverPolicy::All,
        From::Now => DeliverPolicy::New,
        From::Time(time) => {
            let time = async_nats::datetime::from_nanos(time.as_nanosecond());
            time.map_or(DeliverPolicy::All, |start_time| {
                DeliverPolicy::ByStartTime { start_time }
            })
        }
    }
}
