//! What the task of a trigger needs of the bus beside its messages: records, messages of the stream, dead
//! letters and acknowledgements. Traits, so that tests see every write and every answer in its order.

use std::sync::Arc;

use async_nats::{
    HeaderMap,
    jetstream::{AckKind, consumer::pull, message},
};
use bytes::Bytes;
use futures::future::BoxFuture;
use reconcile_core::object::ObjectKey;

use crate::bus::{Bucket, Bus, BusError, STREAM};

pub(in crate::worker) trait TriggerBus: Send + Sync {
    /// The records of a Sensor, made where they are missing.
    fn records<'b>(
        &'b self,
        sensor: &'b ObjectKey,
    ) -> BoxFuture<'b, Result<Arc<dyn Records>, BusError>>;

    /// The body of the message with this sequence number; `None` when it is gone.
    fn message(&self, sequence: u64) -> BoxFuture<'_, Result<Option<Bytes>, BusError>>;

    /// Publishes a dead letter; returns when it is stored.
    fn dead_letter<'b>(&'b self, letter: &'b DeadLetter) -> BoxFuture<'b, Result<(), BusError>>;

    /// The largest message in bytes, headers included.
    fn largest_message(&self) -> usize;

    /// How far a consumer is; `None` when the server does not say.
    fn progress<'b>(&'b self, consumer: &'b str) -> BoxFuture<'b, Option<Progress>>;
}

/// An event that could not be acted on.
#[derive(Clone, Debug)]
pub(in crate::worker) struct DeadLetter {
    pub(super) subject: String,
    /// The same for every try, so that it is stored once.
    pub(super) id: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// How far a consumer is.
#[derive(Clone, Copy, Debug)]
pub(in crate::worker) struct Progress {
    /// Sequence of the last message that it delivered.
    pub(super) delivered: u64,
    /// Messages that it has not delivered yet.
    pub(super) pending: u64,
}

/// Records with revisions: the KV bucket of a Sensor.
pub(in crate::worker) trait Records: Send + Sync {
    /// Value and revision.
    fn read<'r>(&'r self, key: &'r str) -> BoxFuture<'r, Result<Option<(Bytes, u64)>, BusError>>;

    /// Writes if the revision is still `revision` (0: absent); gives the new one.
    fn write<'r>(
        &'r self,
        key: &'r str,
        value: Bytes,
        revision: u64,
    ) -> BoxFuture<'r, Result<u64, BusError>>;

    /// Deletes whatever the revision.
    fn erase<'r>(&'r self, key: &'r str) -> BoxFuture<'r, Result<(), BusError>>;
}

/// Answers one delivery.
pub(in crate::worker) trait Acknowledge: Send + Sync {
    /// A lost answer only leads to another delivery, which is recognised.
    fn acknowledge(&self, kind: AckKind) -> BoxFuture<'_, ()>;
}

impl TriggerBus for Bus {
    fn records<'b>(
        &'b self,
        sensor: &'b ObjectKey,
    ) -> BoxFuture<'b, Result<Arc<dyn Records>, BusError>> {
        Box::pin(async {
            let store: Arc<dyn Records> = Arc::new(self.sensor_bucket(sensor).await?);
            Ok(store)
        })
    }

    fn message(&self, sequence: u64) -> BoxFuture<'_, Result<Option<Bytes>, BusError>> {
        Box::pin(Bus::message(self, sequence))
    }

    fn dead_letter<'b>(&'b self, letter: &'b DeadLetter) -> BoxFuture<'b, Result<(), BusError>> {
        let (body, headers) = (letter.body.clone(), letter.headers.clone());
        Box::pin(self.publish_with(&letter.subject, &letter.id, body, headers))
    }

    fn largest_message(&self) -> usize {
        Bus::largest_message(self)
    }

    fn progress<'b>(&'b self, consumer: &'b str) -> BoxFuture<'b, Option<Progress>> {
        Box::pin(async move {
            let found = self
                .context
                .get_consumer_from_stream::<pull::Config, _, _>(consumer, STREAM)
                .await
                .ok()?;
            let info = found.cached_info();
            Some(Progress {
                delivered: info.delivered.stream_sequence,
                pending: info.num_pending,
            })
        })
    }
}

impl Records for Bucket {
    fn read<'r>(&'r self, key: &'r str) -> BoxFuture<'r, Result<Option<(Bytes, u64)>, BusError>> {
        Box::pin(Bucket::read(self, key))
    }

    fn write<'r>(
        &'r self,
        key: &'r str,
        value: Bytes,
        revision: u64,
    ) -> BoxFuture<'r, Result<u64, BusError>> {
        Box::pin(Bucket::write(self, key, value, revision))
    }

    fn erase<'r>(&'r self, key: &'r str) -> BoxFuture<'r, Result<(), BusError>> {
        Box::pin(Bucket::erase(self, key))
    }
}

impl Acknowledge for message::Acker {
    fn acknowledge(&self, kind: AckKind) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Err(error) = self.ack_with(kind).await {
                tracing::debug!(%error, "cannot answer a message");
            }
        })
    }
}
