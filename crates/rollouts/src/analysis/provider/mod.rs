//! Where values come from: one file per provider, and the way from a value to a measurement.

mod judge;
mod prometheus;
mod secrets;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use expressions::analysis::AnalysisValue;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use reconcile_core::clock::Clock;
use tokio::sync::Semaphore;

use self::{prometheus::PrometheusServers, secrets::SecretError};
use super::{plan::MeasureOutcome, validate::fill_in};
use crate::api::analysis::{AnalysisPhase, Argument, Measurement, Metric, Provider};

/// Measurements at the same time: far more than a healthy metric server needs, and few enough that one
/// that hangs costs little memory.
const AT_ONCE: usize = 64;
/// A measurement that takes longer than its provider's own deadline and this is given up.
const GRACE: Duration = Duration::from_secs(15);

/// Characters of a measurement's message that are kept; a server may answer a bad query with a book.
const LONGEST_MESSAGE: usize = 1024;
/// Characters of a measurement's value that are kept. A run holds ten measurements per metric, and an
/// object may have 1.5 MiB; the verdict is made from the whole value.
const LONGEST_VALUE: usize = 8192;

/// What a provider found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reading {
    /// The value with the type that conditions see.
    pub(super) value: AnalysisValue,
    /// The value as the status shows it.
    pub(super) text: String,
    /// What the provider says about this measurement.
    pub(super) metadata: BTreeMap<String, String>,
}

/// A source of values. A new provider implements this and gets an arm in [`Providers::read`].
pub(super) trait MetricProvider {
    /// Reads one value; the error is a sentence for the measurement's message. Must end in time: each
    /// call inside has a deadline.
    fn read(&self, now: Timestamp) -> impl Future<Output = Result<Reading, String>> + Send;

    /// What the status says about the metric, for example the query after substitution.
    fn metadata(&self) -> BTreeMap<String, String>;
}

/// What a provider asks for that this version does not do; `None` when it can be measured.
pub(super) fn unsupported(provider: &Provider) -> Option<String> {
    match &provider.prometheus {
        Some(prometheus) => prometheus::unsupported(prometheus).map(str::to_owned),
        None => provider
            .names()
            .first()
            .map(|name| format!("provider {name}")),
    }
}

/// A measurement to take.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// Namespace of the run, whose Secrets arguments may refer to.
    pub(super) namespace: String,
    /// The metric before substitution.
    pub(super) metric: Metric,
    /// The run's arguments.
    pub(super) arguments: Vec<Argument>,
}

/// Takes measurements. Cloning shares connections and the limit.
#[derive(Clone)]
pub(super) struct Providers {
    client: Client,
    clock: Clock,
    servers: Arc<PrometheusServers>,
    permits: Arc<Semaphore>,
}

impl Providers {
    /// `prometheus_address` is used by metrics that name none.
    pub(super) fn new(client: Client, clock: Clock, prometheus_address: Option<String>) -> Self {
        Self {
            client,
            clock,
            servers: Arc::new(PrometheusServers::new(prometheus_address)),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Takes a measurement.
    pub(super) async fn measure(&self, order: &Order) -> MeasureOutcome {
        // Waiting for a permit is not part of the measurement: its clock starts after.
        let _permit = self.permits.acquire().await;
        let started = self.clock.now();
        let resolved = match secrets::resolve(&self.client, order).await {
            Ok(resolved) => resolved,
            Err(SecretError::Missing(reason)) => return MeasureOutcome::Unresolved(reason),
            Err(SecretError::Unavailable(reason)) => {
                return self.taken(started, Err(reason), BTreeMap::new());
            }
        };
        let metric = match fill_in(&order.metric, &resolved.arguments) {
            Ok(metric) => metric,
            Err(reason) => return MeasureOutcome::Unresolved(resolved.redact(reason)),
        };
        let (result, metadata) = self.read(&metric).await;
        let judged = result.and_then(|reading| {
            let phase = judge::judge(&reading.value, &metric, self.clock.now());
            // The value is worth showing although the condition could not be applied to it.
            let phase = phase.map_err(|reason| format!("{reason} (value {})", reading.text))?;
            Ok((phase, reading.text, reading.metadata))
        });
        let judged = judged.map_err(|reason| resolved.redact(reason));
        let metadata = metadata
            .into_iter()
            .map(|(key, text)| (key, resolved.redact(text)))
            .collect();
        self.taken(started, judged, metadata)
    }

    async fn read(&self, metric: &Metric) -> (Result<Reading, String>, BTreeMap<String, String>) {
        let Some(spec) = &metric.provider.prometheus else {
            let name = metric.provider.names().first().copied().unwrap_or("(none)");
            return (
                Err(format!("provider {name} is not supported yet")),
                BTreeMap::new(),
            );
        };
        let provider = match self.servers.provider(spec) {
            Ok(provider) => provider,
            Err(reason) => return (Err(reason), BTreeMap::new()),
        };
        let deadline = provider.timeout() + GRACE;
        let read = tokio::time::timeout(deadline, provider.read(self.clock.now())).await;
        let read =
            read.unwrap_or_else(|_| Err(format!("no answer within {} s", deadline.as_secs())));
        (read, provider.metadata())
    }

    fn taken(
        &self,
        started: Timestamp,
        judged: Result<(AnalysisPhase, String, BTreeMap<String, String>), String>,
        metadata: BTreeMap<String, String>,
    ) -> MeasureOutcome {
        let mut measurement = Measurement {
            started_at: Some(Time(started)),
            finished_at: Some(Time(self.clock.now())),
            ..Measurement::default()
        };
        match judged {
            Ok((phase, value, about)) => {
                measurement.phase = phase;
                measurement.value = shortened(value, LONGEST_VALUE);
                measurement.metadata = about;
            }
            Err(reason) => {
                measurement.phase = AnalysisPhase::Error;
                measurement.message = shortened(reason, LONGEST_MESSAGE);
            }
        }
        MeasureOutcome::Taken {
            measurement,
            metadata,
        }
    }
}

fn shortened(text: String, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        None => text,
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

#[cfg(test)]
mod tests;
