//! What sources and sensors do with the bus.

use std::time::Duration;

use async_nats::{
    HeaderMap,
    jetstream::{
        self,
        consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
        context::{GetStreamErrorKind, PublishErrorKind},
        kv,
        stream::{Config, DiscardPolicy, RetentionPolicy, StorageType},
    },
};
use bytes::Bytes;
use rand::Rng;
use thiserror::Error;
use tokio::time::Instant;

use super::{Bus, DEAD_LETTERS, STREAM, StreamSettings, connection::REQUEST_DEADLINE};

/// A message that is not acknowledged for this long is delivered again. Shorter than the server's default
/// of 30 s, so that a successor takes over quickly; work in progress is announced well within it.
pub const ACK_WAIT: Duration = Duration::from_secs(10);
/// Messages of one consumer that may be in the hands of this process; bounds memory.
pub const MAX_HELD: i64 = 256;
/// Tries of one publish, as upstream.
const PUBLISH_TRIES: u32 = 5;
/// All tries of one publish together: a caller of a webhook waits for the end of it.
const PUBLISH_DEADLINE: Duration = Duration::from_secs(6);
/// One try.
const PUBLISH_TRY: Duration = Duration::from_secs(2);
/// Pause between tries, with up to as much again at random.
const PUBLISH_PAUSE: Duration = Duration::from_millis(300);
/// Dead letters are kept for a week.
const DEAD_LETTER_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// The bus could not do what it was asked for.
#[derive(Debug, Error)]
pub enum BusError {
    /// Settings that cannot work.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// Certificates that cannot be used.
    #[error("tls: {0}")]
    Tls(String),
    /// The server refused or did not answer.
    #[error("{what}: {reason}")]
    Request {
        /// What was tried.
        what: String,
        /// The server's words.
        reason: String,
    },
    /// The message was not stored.
    #[error("not published: {0}")]
    Publish(String),
    /// Somebody else changed the record.
    #[error("{key}: changed by somebody else")]
    Revision {
        /// The key.
        key: String,
    },
}

fn request(what: impl Into<String>) -> impl FnOnce(&dyn std::fmt::Display) -> BusError {
    let what = what.into();
    move |error| BusError::Request {
        what,
        reason: error.to_string(),
    }
}

/// A message read from the stream.
pub struct StoredMessage {
    /// Sequence number.
    pub sequence: u64,
    /// When the server stored it, seconds since the epoch.
    pub stored: i64,
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
    /// Makes the streams where they are missing; never changes an existing one. Gives the identity of
    /// the stream of events.
    pub(super) async fn set_up(&self) -> Result<i128, BusError> {
        let created = self
            .ensure_stream(stream_config(&self.config.stream))
            .await?;
        self.ensure_stream(dead_letter_config(&self.config.stream))
            .await?;
        Ok(created)
    }

    async fn ensure_stream(&self, config: Config) -> Result<i128, BusError> {
        let what = format!("stream {}", config.name);
        match self.context.get_stream(&config.name).await {
            Ok(stream) => Ok(stream.cached_info().created.unix_timestamp_nanos()),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(inner) if inner.code() == 404 => {
                    let name = config.name.clone();
                    let stream = self
                        .context
                        .create_stream(config)
                        .await
                        .map_err(|error| request(what)(&error))?;
                    tracing::info!(stream = name, "stream created");
                    Ok(stream.cached_info().created.unix_timestamp_nanos())
                }
                _ => Err(request(what)(&error)),
            },
        }
    }

    /// Publishes and waits until the server has stored the message. Tries again with the same id, so the
    /// server drops what it has already.
    pub async fn publish(&self, subject: &str, id: &str, body: Bytes) -> Result<(), BusError> {
        self.publish_with(subject, id, body, HeaderMap::new()).await
    }

    /// As [`Bus::publish`], with headers.
    pub async fn publish_with(
        &self,
        subject: &str,
        id: &str,
        body: Bytes,
        mut headers: HeaderMap,
    ) -> Result<(), BusError> {
        headers.insert(async_nats::header::NATS_MESSAGE_ID, id);
        let deadline = Instant::now() + PUBLISH_DEADLINE;
        let mut last = String::from("the bus is away");
        for attempt in 0..PUBLISH_TRIES {
            if tokio::time::timeout_at(deadline, self.ready())
                .await
                .is_err()
            {
                break;
            }
            match self
                .publish_once(subject, headers.clone(), body.clone())
                .await
            {
                Ok(()) => return Ok(()),
                Err(Failed { reason, hopeless }) => {
                    last = reason;
                    if hopeless {
                        break;
                    }
                }
            }
            if attempt + 1 < PUBLISH_TRIES {
                let pause = PUBLISH_PAUSE.mul_f64(1.0 + rand::rng().random::<f64>());
                if Instant::now() + pause >= deadline {
                    break;
                }
                tokio::time::sleep(pause).await;
            }
        }
        Err(BusError::Publish(last))
    }

    async fn publish_once(
        &self,
        subject: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<(), Failed> {
        let sent = self
            .context
            .publish_with_headers(subject.to_owned(), headers, body);
        let acknowledged = async { sent.await?.await };
        match tokio::time::timeout(PUBLISH_TRY, acknowledged).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                if error.kind() == PublishErrorKind::StreamNotFound {
                    self.check();
                }
                let hopeless = error.kind() == PublishErrorKind::MaxPayloadExceeded;
                Err(Failed {
                    reason: error.to_string(),
                    hopeless,
                })
            }
            Err(_) => Err(Failed {
                reason: "no answer in time".into(),
                hopeless: false,
            }),
        }
    }

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
                        stored: message.time.unix_timestamp(),
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

    /// The KV bucket `name`, made where it is missing.
    pub async fn bucket(&self, name: &str) -> Result<kv::Store, BusError> {
        if let Ok(store) = self.context.get_key_value(name).await {
            return Ok(store);
        }
        self.context
            .create_key_value(kv::Config {
                bucket: name.to_owned(),
                history: 1,
                storage: StorageType::File,
                num_replicas: self.config.stream.replicas,
                ..kv::Config::default()
            })
            .await
            .map_err(|error| request(format!("bucket {name}"))(&error))
    }

    /// Removes a bucket; an absent one is fine.
    pub async fn drop_bucket(&self, name: &str) -> Result<(), BusError> {
        match self.context.delete_stream(format!("KV_{name}")).await {
            Ok(_) => Ok(()),
            Err(error) if error.to_string().contains("not found") => Ok(()),
            Err(error) => Err(request(format!("delete bucket {name}"))(&error)),
        }
    }
}

struct Failed {
    reason: String,
    /// Trying again cannot help.
    hopeless: bool,
}

fn stream_config(settings: &StreamSettings) -> Config {
    Config {
        name: STREAM.to_owned(),
        subjects: vec![format!("{STREAM}.*.*")],
        storage: StorageType::File,
        max_messages: settings.max_msgs,
        max_bytes: settings.max_bytes,
        max_age: nanos(settings.max_age),
        num_replicas: settings.replicas,
        duplicate_window: nanos(settings.duplicates),
        retention: match settings.retention {
            1 => RetentionPolicy::Interest,
            2 => RetentionPolicy::WorkQueue,
            _ => RetentionPolicy::Limits,
        },
        discard: if settings.discard == 1 {
            DiscardPolicy::New
        } else {
            DiscardPolicy::Old
        },
        ..Config::default()
    }
}

fn dead_letter_config(settings: &StreamSettings) -> Config {
    Config {
        name: DEAD_LETTERS.to_owned(),
        subjects: vec![format!("{DEAD_LETTERS}.>")],
        storage: StorageType::File,
        max_age: DEAD_LETTER_AGE,
        num_replicas: settings.replicas,
        duplicate_window: nanos(settings.duplicates),
        description: Some("events whose triggers spent their tries".to_owned()),
        ..Config::default()
    }
}

fn nanos(span: i64) -> Duration {
    Duration::from_nanos(u64::try_from(span).unwrap_or(0))
}

/// Reads a key: value and revision.
pub(crate) async fn read(store: &kv::Store, key: &str) -> Result<Option<(Bytes, u64)>, BusError> {
    let entry = tokio::time::timeout(REQUEST_DEADLINE, store.entry(key))
        .await
        .map_err(|late| request(format!("read {key}"))(&late))?
        .map_err(|error| request(format!("read {key}"))(&error))?;
    Ok(entry
        .filter(|entry| entry.operation == kv::Operation::Put)
        .map(|entry| (entry.value, entry.revision)))
}

/// Writes a key if its revision is still `revision` (0: absent); gives the new one.
pub(crate) async fn write(
    store: &kv::Store,
    key: &str,
    value: Bytes,
    revision: u64,
) -> Result<u64, BusError> {
    let outcome = tokio::time::timeout(REQUEST_DEADLINE, async {
        if revision == 0 {
            store.create(key, value).await.map_err(|error| {
                let taken = error.kind() == kv::CreateErrorKind::AlreadyExists;
                (taken, error.to_string())
            })
        } else {
            store.update(key, value, revision).await.map_err(|error| {
                let taken = error.kind() == kv::UpdateErrorKind::WrongLastRevision;
                (taken, error.to_string())
            })
        }
    })
    .await
    .map_err(|late| request(format!("write {key}"))(&late))?;
    outcome.map_err(|(taken, reason)| {
        if taken {
            BusError::Revision {
                key: key.to_owned(),
            }
        } else {
            BusError::Request {
                what: format!("write {key}"),
                reason,
            }
        }
    })
}

/// Deletes a key whatever its revision.
pub(crate) async fn erase(store: &kv::Store, key: &str) -> Result<(), BusError> {
    tokio::time::timeout(REQUEST_DEADLINE, store.delete(key))
        .await
        .map_err(|late| request(format!("delete {key}"))(&late))?
        .map_err(|error| request(format!("delete {key}"))(&error))
}

/// The delivery of a message: its place and the number of times it was handed out.
pub(crate) struct Delivery {
    /// Sequence number in the stream.
    pub(crate) sequence: u64,
    /// Sequence number of the delivery.
    pub(crate) consumer_sequence: u64,
    /// 1 for the first delivery.
    pub(crate) count: u32,
    /// When the server stored it, seconds since the epoch.
    pub(crate) stored: i64,
}

/// Reads the delivery from a message's reply subject.
pub(crate) fn delivery(message: &jetstream::Message) -> Option<Delivery> {
    let info = message.info().ok()?;
    Some(Delivery {
        sequence: info.stream_sequence,
        consumer_sequence: info.consumer_sequence,
        count: u32::try_from(info.delivered).unwrap_or(1).max(1),
        stored: info.published.unix_timestamp(),
    })
}
