//! Durable consumers, and messages read from the stream.

use std::{collections::HashMap, fmt::Display, time::Duration};

use async_nats::jetstream::{
    self,
    consumer::{self, AckPolicy, DeliverPolicy, FromConsumer, PullConsumer, pull},
    context::ConsumerInfoErrorKind,
    stream::{RetentionPolicy, Stream},
};
use bytes::Bytes;
use jiff::Timestamp;
use reconcile_core::{kube_types::names::fnv1a_64, object::ObjectKey, redaction::Redactor};

use super::{Bus, BusError, STREAM, durable, error::refused};

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
    /// The namespace that it comes from, where its source says so.
    pub namespace: Option<String>,
    /// The only trigger that it is for, where it is not for all.
    pub only_for: Option<String>,
    /// The body.
    pub body: Bytes,
}

/// The key of a consumer's metadata that says whose it is.
const OWNER: &str = "events.argoproj.io/owner";

/// A consumer that is in place.
pub struct Attached {
    /// Its name.
    pub name: String,
    /// The consumer.
    pub consumer: PullConsumer,
    /// When the stream was created, ns since the epoch.
    pub stream: i128,
}

/// Who a durable consumer belongs to.
#[derive(Clone, Copy, Debug)]
pub struct ConsumerOwner<'o> {
    /// The Sensor.
    pub sensor: &'o ObjectKey,
    /// Name of the trigger.
    pub trigger: &'o str,
    /// Name of the dependency.
    pub dependency: &'o str,
}

impl ConsumerOwner<'_> {
    /// Upstream's name, and the one that is used where that belongs to somebody else.
    ///
    /// Upstream joins names with `-` and leaves out the namespace, so sensor `a` with trigger `b-c` has the
    /// same name as sensor `a-b` with trigger `c`, and so have equal sensors of two namespaces.
    pub(super) fn names(&self) -> [String; 2] {
        let plain = durable(&self.sensor.name, self.trigger, self.dependency);
        let qualified = format!("{plain}-{:016x}", fnv1a_64(self.identity().as_bytes()));
        [plain, qualified]
    }

    /// Kept in the metadata of the consumer: says whose it is, over restarts and for other processes.
    fn identity(&self) -> String {
        let parts = [
            self.sensor.namespace.as_str(),
            self.sensor.name.as_str(),
            self.trigger,
            self.dependency,
        ];
        serde_json::json!(parts).to_string()
    }
}

/// What is known of the time before an attachment, for a consumer that has to be created.
#[derive(Clone, Copy, Debug, Default)]
pub struct Before {
    /// The stream that the trigger was attached to, by its creation in ns since the epoch.
    pub stream: Option<i128>,
    /// The Sensor has been served since this time, by a predecessor of this process.
    pub served_since: Option<Timestamp>,
}

impl Before {
    /// The stream was created while the trigger was there: everything in it is meant for the trigger.
    fn is_newer(&self, created: i128) -> bool {
        self.stream.is_some_and(|stream| stream != created)
            || self
                .served_since
                .is_some_and(|since| since.as_nanosecond() < created)
    }
}

impl Bus {
    /// The durable consumer of a dependency for `subject`, created where it is missing. A new one begins
    /// with the next message, or at the beginning of a stream that is newer than its trigger; one for
    /// another subject is created again.
    pub async fn attach(
        &self,
        owner: &ConsumerOwner<'_>,
        subject: &str,
        before: Before,
    ) -> Result<Attached, BusError> {
        let stream = self.context.get_stream(STREAM).await.map_err(|error| {
            self.check();
            self.refused(format!("stream {STREAM}"), &error)
        })?;
        let created = stream.cached_info().created.unix_timestamp_nanos();
        let work_queue = stream.cached_info().config.retention == RetentionPolicy::WorkQueue;
        let everything = work_queue || before.is_newer(created);
        let wanted = pull::Config {
            // A work queue only admits consumers of everything that waits.
            deliver_policy: if everything {
                DeliverPolicy::All
            } else {
                DeliverPolicy::New
            },
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_deliver: -1,
            max_ack_pending: MAX_HELD,
            filter_subject: subject.to_owned(),
            metadata: HashMap::from([(OWNER.to_owned(), owner.identity())]),
            // Servers before NATS 2.10 keep no metadata.
            description: Some(owner.identity()),
            ..pull::Config::default()
        };
        for name in owner.names() {
            if let Some(consumer) = self.take(&stream, &name, owner, &wanted).await? {
                return Ok(Attached {
                    consumer,
                    name,
                    stream: created,
                });
            }
        }
        Err(BusError::Request {
            what: format!("consumer of {}", owner.identity()),
            reason: "its names belong to other triggers".to_owned(),
        })
    }

    /// Removes the durable consumer of a dependency; an absent one is fine.
    pub async fn detach(&self, owner: &ConsumerOwner<'_>) -> Result<(), BusError> {
        let stream = self
            .context
            .get_stream_no_info(STREAM)
            .await
            .map_err(|error| self.refused(format!("stream {STREAM}"), &error))?;
        for name in owner.names() {
            let Some(found) = consumer_info(&stream, &name, &self.redactor).await? else {
                continue;
            };
            if whose_is(&found.config, owner) == Whose::Foreign {
                continue;
            }
            match stream.delete_consumer(&name).await {
                Ok(_) => {}
                Err(error) if error.to_string().contains("not found") => {}
                Err(error) => return Err(self.refused(format!("delete consumer {name}"), &error)),
            }
        }
        Ok(())
    }

    /// The body of the message with this sequence number; `None` when it is gone.
    pub async fn message(&self, sequence: u64) -> Result<Option<Bytes>, BusError> {
        let failed = |error: &dyn Display| self.refused(format!("message {sequence}"), error);
        let stream = self
            .context
            .get_stream_no_info(STREAM)
            .await
            .map_err(|error| failed(&error))?;
        match stream.get_raw_message(sequence).await {
            Ok(message) => Ok(Some(message.payload)),
            Err(error) if error.to_string().contains("no message found") => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }

    /// The first message of a subject from sequence `first` to `last`; `None` when there is none.
    pub async fn message_between(
        &self,
        subject: &str,
        first: u64,
        last: u64,
    ) -> Result<Option<StoredMessage>, BusError> {
        if first > last {
            return Ok(None);
        }
        let what = format!("message {first} of {subject}");
        let failed = |error: &dyn Display| self.refused(&what, error);
        let stream = self
            .context
            .get_stream_no_info(STREAM)
            .await
            .map_err(|error| failed(&error))?;
        let message = stream
            .raw_message_builder()
            .next_by_subject(subject)
            .sequence(first)
            .send()
            .await;
        match message {
            Ok(message) if message.sequence <= last => Ok(Some(StoredMessage {
                sequence: message.sequence,
                stored: timestamp(message.time.unix_timestamp_nanos()),
                namespace: super::namespace(&message.headers),
                only_for: super::only_for(&message.headers),
                body: message.payload,
            })),
            Ok(_) => Ok(None),
            Err(error) if error.to_string().contains("no message found") => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }

    /// The consumer `name`, created or adopted; `None` when it belongs to another trigger.
    async fn take(
        &self,
        stream: &Stream,
        name: &str,
        owner: &ConsumerOwner<'_>,
        wanted: &pull::Config,
    ) -> Result<Option<PullConsumer>, BusError> {
        let failed = |error: &dyn Display| self.refused(format!("consumer {name}"), error);
        if let Some(found) = consumer_info(stream, name, &self.redactor).await? {
            let whose = whose_is(&found.config, owner);
            if whose == Whose::Foreign {
                return Ok(None);
            }
            if found.config.filter_subject == wanted.filter_subject {
                if whose == Whose::Nobodys {
                    self.adopt(stream, name, &found, wanted).await;
                }
                let consumer = stream.get_consumer(name).await;
                let consumer = consumer.map_err(|error| failed(&error))?;
                return owned(consumer, name, owner);
            }
            stream
                .delete_consumer(name)
                .await
                .map_err(|error| failed(&error))?;
        }
        let config = pull::Config {
            durable_name: Some(name.to_owned()),
            ..wanted.clone()
        };
        match stream.create_consumer_strict(config).await {
            Ok(consumer) => owned(consumer, name, owner),
            // Also where another process has just created it: the next try looks at whose it is.
            Err(error) => Err(failed(&error)),
        }
    }

    /// Notes in the metadata of upstream's consumer whose it is from now on.
    async fn adopt(
        &self,
        stream: &Stream,
        name: &str,
        found: &consumer::Info,
        wanted: &pull::Config,
    ) {
        let Ok(mut config) = pull::Config::try_from_consumer_config(found.config.clone()) else {
            return;
        };
        config.metadata.extend(wanted.metadata.clone());
        config.description.clone_from(&wanted.description);
        if let Err(error) = stream.update_consumer(config).await {
            let error = self.redact(error.to_string());
            tracing::debug!(
                consumer = name,
                error,
                "cannot note the owner of a consumer"
            );
        }
    }
}

#[derive(PartialEq, Eq)]
pub(super) enum Whose {
    Ours,
    /// Made by upstream, which leaves no note.
    Nobodys,
    Foreign,
}

pub(super) fn whose_is(config: &consumer::Config, owner: &ConsumerOwner<'_>) -> Whose {
    let metadata = config.metadata.get(OWNER);
    // A description of somebody's own is no identity, and the consumer is not ours to take.
    let described = config.description.as_ref().filter(|text| !text.is_empty());
    match metadata.or(described) {
        Some(identity) if *identity == owner.identity() => Whose::Ours,
        Some(_) => Whose::Foreign,
        None => Whose::Nobodys,
    }
}

/// The consumer, when the server says that it is the owner's; `None` when it says that it is another one's.
fn owned(
    consumer: PullConsumer,
    name: &str,
    owner: &ConsumerOwner<'_>,
) -> Result<Option<PullConsumer>, BusError> {
    match whose_is(&consumer.cached_info().config, owner) {
        Whose::Ours => Ok(Some(consumer)),
        Whose::Foreign => Ok(None),
        Whose::Nobodys => Err(BusError::Request {
            what: format!("consumer {name}"),
            reason: "the server does not keep whose it is, so another Sensor may get its events; use NATS 2.10 or newer"
                .to_owned(),
        }),
    }
}

/// How a consumer stands; `None` when there is none of this name.
pub(super) async fn consumer_info<I>(
    stream: &Stream<I>,
    name: &str,
    redactor: &Redactor,
) -> Result<Option<consumer::Info>, BusError> {
    match stream.consumer_info(name).await {
        Ok(info) => Ok(Some(info)),
        Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => Ok(None),
        Err(error) => Err(refused(redactor, format!("consumer {name}"), &error)),
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
    /// Messages that the consumer has not delivered yet.
    pub(crate) pending: u64,
}

/// Reads the delivery from a message's reply subject.
pub(crate) fn delivery(message: &jetstream::Message) -> Option<Delivery> {
    let info = message.info().ok()?;
    Some(Delivery {
        sequence: info.stream_sequence,
        consumer_sequence: info.consumer_sequence,
        stored: timestamp(info.published.unix_timestamp_nanos()),
        pending: info.pending,
    })
}

/// A time of the server; one that cannot be parsed is the epoch.
fn timestamp(nanos: i128) -> Timestamp {
    Timestamp::from_nanosecond(nanos).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(sensor: &ObjectKey) -> ConsumerOwner<'_> {
        ConsumerOwner {
            sensor,
            trigger: "t",
            dependency: "d",
        }
    }

    #[test]
    fn a_consumer_belongs_to_whom_its_metadata_or_else_its_description_names() {
        let (sensor, other) = (ObjectKey::new("one", "s"), ObjectKey::new("two", "s"));
        let whose = |metadata: Option<&ObjectKey>, description: Option<&str>| {
            let metadata = metadata.map(|sensor| (OWNER.to_owned(), owner(sensor).identity()));
            let config = consumer::Config {
                metadata: metadata.into_iter().collect(),
                description: description.map(str::to_owned),
                ..consumer::Config::default()
            };
            whose_is(&config, &owner(&sensor))
        };
        let (ours, theirs) = (owner(&sensor).identity(), owner(&other).identity());
        assert!(whose(Some(&sensor), None) == Whose::Ours);
        assert!(whose(Some(&other), Some(&ours)) == Whose::Foreign);
        assert!(whose(None, Some(&ours)) == Whose::Ours);
        assert!(whose(None, Some(&theirs)) == Whose::Foreign);
        assert!(whose(None, None) == Whose::Nobodys);
    }
}
