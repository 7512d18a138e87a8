//! What most tests of sensors begin with.

use std::sync::Arc;

use events::{
    bus::{Bus, DEAD_LETTERS},
    worker::DataPlane,
};
use futures::StreamExt;
use serde_json::Value;

use super::{Nats, PATIENCE, Receiver, attached, plane, publish, sensor, spec, until};

/// A server, a receiver, and a data plane on its own connection to the server.
pub(crate) struct Stage {
    pub(crate) nats: Nats,
    pub(crate) bus: Arc<Bus>,
    pub(crate) receiver: Receiver,
    pub(crate) plane: DataPlane,
}

impl Stage {
    /// Sets everything up; `None`, said loudly, where there is no server.
    pub(crate) async fn start() -> Option<Self> {
        let nats = Nats::start().await?;
        Some(Self {
            bus: nats.bus().await,
            nats,
            receiver: Receiver::start().await,
            plane: plane(),
        })
    }

    /// Runs the sensor `s` with this spec, or changes it.
    pub(crate) fn ensure(&self, spec: &Value) {
        self.plane.ensure_sensor(&sensor("s", spec), &self.bus);
    }

    /// As [`Stage::ensure`], and waits until its events arrive.
    pub(crate) async fn run(&self, spec: &Value) {
        self.ensure(spec);
        attached(&self.plane, "s").await;
    }

    /// See [`spec`], with the receiver.
    pub(crate) fn spec(&self, dependencies: &[&str]) -> Value {
        spec(&self.receiver.url, dependencies)
    }

    /// Publishes event `name` with number `n`.
    pub(crate) async fn publish(&self, name: &str, n: u64) {
        publish(&self.bus, name, n).await;
    }

    /// The server as another program sees it.
    pub(crate) async fn jetstream(&self) -> async_nats::jetstream::Context {
        let client = async_nats::connect(self.nats.config().urls[0].as_str())
            .await
            .expect("connected");
        async_nats::jetstream::new(client)
    }

    /// Waits until the stream of events has so many consumers.
    pub(crate) async fn consumers(&self, count: usize) {
        let context = self.jetstream().await;
        until(&format!("{count} consumers"), || async {
            let stream = context.get_stream("default").await.expect("a stream");
            stream.cached_info().state.consumer_count == count
        })
        .await;
    }

    /// The first dead letter.
    pub(crate) async fn letter(&self) -> async_nats::jetstream::Message {
        let stream = self.jetstream().await.get_stream(DEAD_LETTERS).await;
        let consumer = stream
            .expect("a stream")
            .create_consumer(async_nats::jetstream::consumer::pull::Config::default())
            .await
            .expect("a consumer");
        let mut letters = consumer.messages().await.expect("messages");
        tokio::time::timeout(PATIENCE, letters.next())
            .await
            .expect("in time")
            .expect("one")
            .expect("good")
    }
}
