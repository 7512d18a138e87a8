//! From payload to stored event: filter, envelope, publish, count.

use std::{collections::BTreeSet, sync::Arc};

use async_nats::HeaderMap;
use bytes::Bytes;
use parking_lot::Mutex;
use reconcile_core::{clock::Clock, egress::EgressPolicy, object::ObjectKey};
use serde_json::value::RawValue;
use thiserror::Error;
use tokio::time::Instant;

use super::{EventFilter, filter::FilterError};
use crate::{
    bus::{Bus, BusError, NAMESPACE},
    event::{self, CloudEvent},
    metrics::Metrics,
};

/// Room for the headers of a message: its id, and the framing.
const HEADERS: usize = 256;

/// Takes the name of an event, and why it cannot be published; `None` once it can.
pub type ReportProblem = Arc<dyn Fn(&str, Option<String>) + Send + Sync>;

/// Publishes the events of one EventSource.
pub struct Emitter {
    /// The EventSource.
    pub key: ObjectKey,
    /// The bus.
    pub bus: Arc<Bus>,
    /// The clock.
    pub clock: Clock,
    /// Counters.
    pub metrics: Metrics,
    /// Which addresses may be asked about what comes in.
    pub egress: EgressPolicy,
    /// Called when publishing an event begins to fail, and when it works again.
    pub report: ReportProblem,
    /// Events whose last publish failed.
    pub failing: Mutex<BTreeSet<String>>,
}

/// The event was not stored.
#[derive(Debug, Error)]
pub enum EmitError {
    /// The filter could not be evaluated; upstream drops such events too.
    #[error("filter: {0}")]
    Filter(#[from] FilterError),
    /// No message on the bus may be so large.
    #[error("the event takes {size} bytes on the bus, which accepts at most {limit}")]
    TooLarge {
        /// Bytes of the message.
        size: usize,
        /// Most bytes of a message.
        limit: usize,
    },
    /// The bus did not take it.
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// What became of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emitted {
    /// The bus has it.
    Stored,
    /// The filter did not want it.
    FilteredOut,
}

impl Emitter {
    /// Counts an input that cannot become an event.
    pub fn refused(&self, name: &str) {
        let labels = [self.key.namespace.as_str(), self.key.name.as_str(), name];
        self.metrics
            .processing_failed
            .with_label_values(&labels)
            .inc();
    }

    /// Reports that publishing an event begins to fail, or works again.
    fn remember(&self, name: &str, error: Option<&BusError>) {
        let mut failing = self.failing.lock();
        match error {
            Some(error) => {
                failing.insert(name.to_owned());
                (self.report)(name, Some(error.to_string()));
            }
            None if failing.is_empty() => {}
            None => {
                if failing.remove(name) {
                    (self.report)(name, None);
                }
            }
        }
    }

    /// Publishes `payload` (JSON) as event `name`, unless `filter` refuses it. Returns when the bus has
    /// stored it. Two calls with the same `id` store one event.
    pub async fn emit(
        &self,
        name: &str,
        type_: &str,
        id: String,
        payload: Bytes,
        filter: Option<&EventFilter>,
    ) -> Result<Emitted, EmitError> {
        let labels = [self.key.namespace.as_str(), self.key.name.as_str(), name];
        let started = Instant::now();
        if let Some(filter) = filter {
            match filter.admits(&payload, self.clock.now()) {
                Ok(true) => {}
                Ok(false) => return Ok(Emitted::FilteredOut),
                Err(error) => {
                    self.refused(name);
                    tracing::warn!(eventsource = %self.key, event = name, %error, "event dropped: its filter failed");
                    return Err(EmitError::Filter(error));
                }
            }
        }
        let event = CloudEvent::new(id, &self.key.name, type_, name, self.clock.now(), payload);
        let subject = event::subject(&self.key.name, name);
        let body = event.encode();
        let (size, limit) = (body.len() + HEADERS, self.bus.largest_message());
        if size > limit {
            self.metrics.sent_failed.with_label_values(&labels).inc();
            let error = EmitError::TooLarge { size, limit };
            tracing::warn!(eventsource = %self.key, event = name, %error, "event not stored");
            return Err(error);
        }
        let mut headers = HeaderMap::new();
        headers.insert(NAMESPACE, self.key.namespace.as_str());
        let outcome = self
            .bus
            .publish_with(&subject, &event.id, body, headers)
            .await;
        self.remember(name, outcome.as_ref().err());
        self.metrics.processing.observe(&labels, started.elapsed());
        match outcome {
            Ok(()) => {
                self.metrics.sent.with_label_values(&labels).inc();
                Ok(Emitted::Stored)
            }
            Err(error) => {
                self.metrics.sent_failed.with_label_values(&labels).inc();
                tracing::warn!(eventsource = %self.key, event = name, %error, "event not stored");
                Err(error.into())
            }
        }
    }
}

/// JSON text from a serialisable value, as a payload.
pub(super) fn payload(value: &impl serde::Serialize) -> Bytes {
    serde_json::to_vec(value)
        .expect("payloads have string keys only")
        .into()
}

/// Checks that `text` is one JSON value, and keeps it as it is.
pub(super) fn raw_json(text: &[u8]) -> Result<&RawValue, serde_json::Error> {
    serde_json::from_slice(text)
}
