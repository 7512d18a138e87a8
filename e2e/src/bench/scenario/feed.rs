//! Events that are put on the bus in one order, as a source would, without a source.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use async_nats::HeaderMap;
use async_nats::jetstream;
use async_nats::jetstream::context::PublishAckFuture;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::sink::Sink;
use super::stream::{ANSWER, outcome, payload};
use super::{Outcome, Session};
use crate::stack::Which;

/// Messages under way to the bus.
const UNDER_WAY: usize = 256;

/// A connection to the bus, and where the events should arrive.
pub(super) struct Feed {
    bus: jetstream::Context,
    sink: Arc<Sink>,
}

impl Feed {
    /// Connects to the bus of the bed.
    pub(super) async fn connect(session: &Session<'_>, sink: Arc<Sink>) -> Result<Self> {
        let client = async_nats::connect(&session.bed.nats()?.url).await?;
        Ok(Self {
            bus: jetstream::new(client),
            sink,
        })
    }

    /// As fast as the bus stores them, until everything has arrived at the target: of every index one event of each name, in
    /// this order. The id that arrives is that of the last name.
    pub(super) async fn deliver(&self, count: usize, names: &[&str]) -> Result<Outcome> {
        let load = names.join("-");
        self.sink.begin(&load, count);
        let start = Instant::now();
        self.store(&load, count, names).await?;
        Ok(outcome(&self.sink, start, start.elapsed()).await)
    }

    /// Returns when the bus has stored all.
    async fn store(&self, load: &str, count: usize, names: &[&str]) -> Result<()> {
        let mut under_way = VecDeque::with_capacity(UNDER_WAY);
        for index in 0..count {
            self.sink.sending(index);
            for (place, name) in names.iter().enumerate() {
                if under_way.len() >= UNDER_WAY
                    && let Some((index, stored)) = under_way.pop_front()
                {
                    self.stored(index, stored).await?;
                }
                let last = place + 1 == names.len();
                let body = cloud_event(&format!("{load}-{name}-{index}"), name, load, index);
                let mut headers = HeaderMap::new();
                headers.insert("Argo-Events-Namespace", Which::Events.namespace());
                let subject = format!("default.bench.{name}");
                let publish = self.bus.publish_with_headers(subject, headers, body.into());
                under_way.push_back((last.then_some(index), publish.await?));
            }
        }
        for (index, stored) in under_way {
            self.stored(index, stored).await?;
        }
        Ok(())
    }

    /// Waits until a message is stored; the last one of an index counts as the event.
    async fn stored(&self, index: Option<usize>, stored: PublishAckFuture) -> Result<()> {
        let answer = timeout(ANSWER, stored.into_future()).await;
        answer.context("the bus did not answer")??;
        if let Some(index) = index {
            self.sink.accepted(index);
        }
        Ok(())
    }
}

/// A webhook's event as it is on the bus.
fn cloud_event(id: &str, name: &str, load: &str, index: usize) -> String {
    let body: Value = serde_json::from_str(&payload(load, index)).unwrap_or_default();
    let data = json!({"header": {"Content-Type": ["application/json"]}, "body": body});
    json!({
        "specversion": "1.0", "id": id, "source": "bench", "type": "webhook", "subject": name,
        "datacontenttype": "application/json", "time": "2026-01-01T00:00:00Z",
        "data_base64": STANDARD.encode(data.to_string()),
    })
    .to_string()
}
