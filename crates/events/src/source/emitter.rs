//! From payload to stored event: filter, envelope, publish, count.

use std::sync::Arc;

use bytes::Bytes;
use reconcile_core::{clock::Clock, object::ObjectKey};
use serde_json::value::RawValue;
use thiserror::Error;
use tokio::time::Instant;

use super::EventFilter;
use crate::{
    bus::{Bus, BusError},
    event::{self, CloudEvent},
    metrics::Metrics,
};

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
}

/// The event was not stored.
#[derive(Debug, Error)]
pub enum EmitError {
    /// The filter could not be evaluated; upstream drops such events too.
    #[error("filter: {0}")]
    Filter(String),
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
                Err(reason) => {
                    self.refused(name);
                    tracing::warn!(eventsource = %self.key, event = name, reason, "event dropped: its filter failed");
                    return Err(EmitError::Filter(reason));
                }
            }
        }
        let event = CloudEvent::new(id, &self.key.name, type_, name, self.clock.now(), payload);
        let subject = event::subject(&self.key.name, name);
        let outcome = self.bus.publish(&subject, &event.id, event.encode()).await;
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
