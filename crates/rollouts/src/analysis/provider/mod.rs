//! Where values come from: one file per provider, and the way from a value to a measurement.
//!
//! To add a provider: its typed spec in [`crate::api::analysis`], a file here that implements
//! [`MetricProvider`], and an arm in [`unsupported`] and [`Providers::read`].

mod http;
mod job;
mod judge;
mod prometheus;
mod secrets;
mod web;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use expressions::analysis::AnalysisValue;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use reconcile_core::clock::Clock;
use tokio::sync::Semaphore;

use self::{
    http::HttpClients,
    prometheus::PrometheusProvider,
    secrets::{Resolved, SecretError},
    web::WebProvider,
};
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
struct Reading {
    /// The value with the type that conditions see.
    value: AnalysisValue,
    /// The value as the status shows it.
    text: String,
    /// What the provider says about this measurement.
    metadata: BTreeMap<String, String>,
}

/// A source of values.
trait MetricProvider {
    /// Reads one value; the error is a sentence for the measurement's message. Must end in time: each
    /// call inside has a deadline.
    fn read(&self, now: Timestamp) -> impl Future<Output = Result<Reading, String>> + Send;

    /// Time that one reading may take.
    fn timeout(&self) -> Duration;

    /// What the status says about the metric, for example the query after substitution.
    fn metadata(&self) -> BTreeMap<String, String>;
}

/// What a provider asks for that this version does not do; `None` when it can be measured.
pub(super) fn unsupported(provider: &Provider) -> Option<String> {
    if let Some(prometheus) = &provider.prometheus {
        return prometheus::unsupported(prometheus).map(str::to_owned);
    }
    if let Some(web) = &provider.web {
        let sigv4 = web.authentication.as_ref().is_some_and(|how| {
            how.sigv4
                .as_ref()
                .is_some_and(|sigv4| sigv4.region.is_some())
        });
        return sigv4.then(|| "web authentication with sigv4".to_owned());
    }
    if provider.job.is_some() {
        return None;
    }
    provider
        .names()
        .first()
        .map(|name| format!("provider {name}"))
}

/// A measurement to take.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    /// Namespace of the run, whose Secrets arguments may refer to.
    pub(super) namespace: String,
    /// Name of the run.
    pub(super) run_name: String,
    /// Uid of the run.
    pub(super) run_uid: String,
    /// The metric before substitution.
    pub(super) metric: Metric,
    /// The run's arguments.
    pub(super) arguments: Vec<Argument>,
    /// The how manieth measurement of the metric it is, from 1.
    pub(super) number: i32,
    /// Measurements of the metric that are kept.
    pub(super) retention: usize,
    /// The measurement to go on with.
    pub(super) open: Option<Measurement>,
    /// End the open measurement instead of going on.
    pub(super) terminate: bool,
}

/// Takes measurements. Cloning shares connections and the limit.
#[derive(Clone)]
pub(super) struct Providers {
    client: Client,
    clock: Clock,
    http: Arc<HttpClients>,
    prometheus_address: Option<Arc<str>>,
    permits: Arc<Semaphore>,
}

impl Providers {
    /// `prometheus_address` is used by metrics that name none.
    pub(super) fn new(client: Client, clock: Clock, prometheus_address: Option<String>) -> Self {
        Self {
            client,
            clock,
            http: Arc::default(),
            prometheus_address: prometheus_address.map(Into::into),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Takes a measurement, or the next step of one.
    pub(super) async fn measure(&self, order: &Order) -> MeasureOutcome {
        // Waiting for a permit is not part of the measurement: its clock starts after.
        let _permit = self.permits.acquire().await;
        let started = self.clock.now();
        if let Some(open) = &order.open {
            let next = if order.terminate {
                job::end(&self.client, order, open, started).await
            } else {
                job::look(&self.client, order, open, started).await
            };
            let measurement = next.unwrap_or_else(|reason| self.failed(open.clone(), reason));
            return taken(measurement, BTreeMap::new());
        }
        let begun = Measurement {
            started_at: Some(Time(started)),
            ..Measurement::default()
        };
        let resolved = match secrets::resolve(&self.client, order).await {
            Ok(resolved) => resolved,
            Err(SecretError::Missing(reason)) => return MeasureOutcome::Unresolved(reason),
            Err(SecretError::Unavailable(reason)) => {
                return taken(self.failed(begun, reason), BTreeMap::new());
            }
        };
        let metric = match fill_in(&order.metric, &resolved.arguments) {
            Ok(metric) => metric,
            Err(reason) => return MeasureOutcome::Unresolved(resolved.redact(reason)),
        };
        self.first_step(order, &metric, &resolved, begun).await
    }

    async fn first_step(
        &self,
        order: &Order,
        metric: &Metric,
        resolved: &Resolved,
        begun: Measurement,
    ) -> MeasureOutcome {
        if let Some(job) = &metric.provider.job {
            let now = begun
                .started_at
                .as_ref()
                .map_or_else(|| self.clock.now(), |time| time.0);
            let made = job::begin(&self.client, order, &metric.name, job, now).await;
            let measurement =
                made.unwrap_or_else(|reason| self.failed(begun, resolved.redact(reason)));
            return taken(measurement, BTreeMap::new());
        }
        let (result, metadata) = self.read(&metric.provider).await;
        let judged = result.and_then(|reading| {
            let phase = judge::judge(&reading.value, metric, self.clock.now());
            // The value is worth showing although the condition could not be applied to it.
            let phase = phase.map_err(|reason| {
                format!(
                    "{reason} (value {})",
                    shortened(reading.text.clone(), LONGEST_MESSAGE)
                )
            })?;
            Ok((phase, reading))
        });
        let measurement = match judged {
            Err(reason) => self.failed(begun, resolved.redact(reason)),
            Ok((phase, reading)) => Measurement {
                phase,
                value: shortened(reading.text, LONGEST_VALUE),
                metadata: reading.metadata,
                finished_at: Some(Time(self.clock.now())),
                ..begun
            },
        };
        let metadata = metadata
            .into_iter()
            .map(|(key, text)| (key, resolved.redact(text)))
            .collect();
        taken(measurement, metadata)
    }

    async fn read(&self, spec: &Provider) -> (Result<Reading, String>, BTreeMap<String, String>) {
        if let Some(prometheus) = &spec.prometheus {
            let address = self.prometheus_address.as_deref();
            self.read_from(PrometheusProvider::new(&self.http, prometheus, address))
                .await
        } else if let Some(web) = &spec.web {
            self.read_from(WebProvider::new(&self.http, web)).await
        } else {
            let name = spec.names().first().copied().unwrap_or("(none)");
            (
                Err(format!("provider {name} is not supported yet")),
                BTreeMap::new(),
            )
        }
    }

    async fn read_from(
        &self,
        provider: Result<impl MetricProvider, String>,
    ) -> (Result<Reading, String>, BTreeMap<String, String>) {
        let provider = match provider {
            Ok(provider) => provider,
            Err(reason) => return (Err(reason), BTreeMap::new()),
        };
        let deadline = provider.timeout() + GRACE;
        let read = tokio::time::timeout(deadline, provider.read(self.clock.now())).await;
        let read =
            read.unwrap_or_else(|_| Err(format!("no answer within {} s", deadline.as_secs())));
        (read, provider.metadata())
    }

    /// What is recorded when this program itself failed to measure.
    pub(super) fn broken(&self, order: &Order) -> MeasureOutcome {
        let now = Time(self.clock.now());
        let begun = Measurement {
            started_at: Some(now),
            ..Measurement::default()
        };
        let open = order.open.clone().unwrap_or(begun);
        let reason = "the measurement ended in a fault of the controller; its log says more";
        taken(self.failed(open, reason.to_owned()), BTreeMap::new())
    }

    fn failed(&self, measurement: Measurement, reason: String) -> Measurement {
        Measurement {
            phase: AnalysisPhase::Error,
            message: shortened(reason, LONGEST_MESSAGE),
            finished_at: Some(Time(self.clock.now())),
            resume_at: None,
            ..measurement
        }
    }
}

fn taken(measurement: Measurement, metadata: BTreeMap<String, String>) -> MeasureOutcome {
    MeasureOutcome::Taken {
        measurement,
        metadata,
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
