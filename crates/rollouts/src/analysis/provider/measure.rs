//! From a metric to a measurement: arguments, limits, the provider, conditions, redaction.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use reconcile_core::clock::Clock;

use super::{
    Environment, Measures, OpenProvider, ProviderError, Reading,
    http::HttpClients,
    job, judge,
    limits::Limits,
    redaction::Redactor,
    registration,
    secrets::{self, ResolvedArguments, SecretError},
};
use crate::{
    analysis::{plan::MeasureOutcome, validate::fill_in},
    api::analysis::{AnalysisPhase, Argument, Measurement, Metric, Provider},
};

/// A measurement that takes longer than its provider's own deadline and this is given up.
const GRACE: Duration = Duration::from_secs(15);
/// Characters of a measurement's message that are kept; a server may answer a bad query with a book.
const LONGEST_MESSAGE: usize = 1024;
/// Characters of a measurement's value that are kept. A run holds ten measurements per metric, and an
/// object may have 1.5 MiB; the verdict is made from the whole value.
const LONGEST_VALUE: usize = 8192;

/// A measurement to take.
#[derive(Clone, Debug, Default)]
pub(in crate::analysis) struct MeasurementRequest {
    /// Namespace of the run, whose Secrets arguments may refer to.
    pub(in crate::analysis) namespace: String,
    /// Name of the run.
    pub(in crate::analysis) run_name: String,
    /// Uid of the run.
    pub(in crate::analysis) run_uid: String,
    /// The metric before substitution.
    pub(in crate::analysis) metric: Metric,
    /// The run's arguments.
    pub(in crate::analysis) arguments: Vec<Argument>,
    /// Number of the measurement within its metric, from 1.
    pub(in crate::analysis) number: i32,
    /// Measurements of the metric that are kept.
    pub(in crate::analysis) retention: usize,
    /// The open measurement to continue.
    pub(in crate::analysis) open: Option<Measurement>,
    /// End the open measurement instead of continuing it.
    pub(in crate::analysis) terminate: bool,
}

/// Takes measurements. Cloning shares connections and limits.
#[derive(Clone)]
pub(in crate::analysis) struct Providers {
    client: Client,
    clock: Clock,
    http: Arc<HttpClients>,
    prometheus_address: Option<Arc<str>>,
    limits: Limits,
}

/// What a reading gave: its result, and what the provider says about the metric.
type Read = (Result<Reading, ProviderError>, BTreeMap<String, String>);

impl Providers {
    /// `prometheus_address` is used by metrics that name none.
    pub(in crate::analysis) fn new(
        client: Client,
        clock: Clock,
        prometheus_address: Option<String>,
    ) -> Self {
        Self {
            client,
            clock,
            http: Arc::default(),
            prometheus_address: prometheus_address.map(Into::into),
            limits: Limits::default(),
        }
    }

    /// Takes a measurement, or the next step of one.
    pub(in crate::analysis) async fn measure(
        &self,
        request: &MeasurementRequest,
    ) -> MeasureOutcome {
        let names = request.metric.provider.names();
        let provider = names.first().copied().unwrap_or_default();
        // Waiting for a permit is not part of the measurement: its clock starts after.
        let _permit = self.limits.acquire(provider, &request.namespace).await;
        let started = self.clock.now();
        if let Some(open) = &request.open {
            return taken(
                self.next_step(request, open, started).await,
                BTreeMap::new(),
            );
        }
        let begun = Measurement {
            started_at: Some(Time(started)),
            ..Measurement::default()
        };
        let redactor = Arc::new(Redactor::default());
        let resolved = match self.resolve(request, &redactor).await {
            Ok(resolved) => resolved,
            Err(SecretError::Missing(reason)) => return MeasureOutcome::Unresolved(reason),
            Err(SecretError::Unavailable(reason)) => {
                return taken(self.failed(begun, reason), BTreeMap::new());
            }
        };
        let metric = match fill_in(&request.metric, resolved.expose()) {
            Ok(metric) => metric,
            Err(reason) => {
                return MeasureOutcome::Unresolved(shortened(
                    redactor.redact(reason),
                    LONGEST_MESSAGE,
                ));
            }
        };
        add_logins(&metric.provider, &redactor);
        self.first_step(request, &metric, &redactor, begun).await
    }

    async fn resolve(
        &self,
        request: &MeasurementRequest,
        redactor: &Redactor,
    ) -> Result<ResolvedArguments, SecretError> {
        let (namespace, arguments) = (&request.namespace, &request.arguments);
        secrets::resolve(&self.client, namespace, arguments, redactor).await
    }

    /// Continues or ends the Job of an open measurement.
    async fn next_step(
        &self,
        request: &MeasurementRequest,
        open: &Measurement,
        now: Timestamp,
    ) -> Measurement {
        let next = if request.terminate {
            job::end(&self.client, request, open, now).await
        } else {
            job::look(&self.client, request, open, now).await
        };
        let mut next = next.unwrap_or_else(|error| Measurement {
            message: error.message,
            ..self.failed(open.clone(), String::new())
        });
        if !next.message.is_empty() && secrets::has_secrets(&request.arguments) {
            let redactor = Redactor::default();
            next.message = match self.resolve(request, &redactor).await {
                Ok(_) => redactor.redact(next.message),
                // Without the secrets nobody can tell whether the message holds one.
                Err(_) => "message withheld: cannot read the Secrets of the arguments".to_owned(),
            };
        }
        next.message = shortened(next.message, LONGEST_MESSAGE);
        next
    }

    async fn first_step(
        &self,
        request: &MeasurementRequest,
        metric: &Metric,
        redactor: &Arc<Redactor>,
        begun: Measurement,
    ) -> MeasureOutcome {
        let measured = match registration(&metric.provider).map(|found| &found.measures) {
            Err(error) => (Err(error), BTreeMap::new()),
            Ok(Measures::AtOnce(open)) => self.read(*open, &metric.provider, redactor).await,
            Ok(Measures::WithJob) => {
                let made = job::begin(&self.client, request, metric, begun.clone()).await;
                let measurement =
                    made.unwrap_or_else(|error| self.failed(begun, redactor.redact(error.message)));
                return taken(measurement, BTreeMap::new());
            }
        };
        let (result, metadata) = measured;
        let judged = result.map_err(|error| error.message).and_then(|reading| {
            let phase = judge::judge(&reading.value, metric, self.clock.now());
            // The value is worth showing although the condition could not be applied to it.
            let phase = phase.map_err(|reason| format!("{reason} (value {})", reading.text))?;
            Ok((phase, reading))
        });
        let measurement = match judged {
            Err(reason) => self.failed(begun, redactor.redact(reason)),
            Ok((phase, reading)) => Measurement {
                phase,
                value: shortened(redactor.redact(reading.text), LONGEST_VALUE),
                metadata: redacted(reading.metadata, redactor),
                finished_at: Some(Time(self.clock.now())),
                ..begun
            },
        };
        taken(measurement, redacted(metadata, redactor))
    }

    async fn read(&self, open: OpenProvider, spec: &Provider, redactor: &Arc<Redactor>) -> Read {
        let environment = Environment {
            http: &self.http,
            redactor,
            prometheus_address: self.prometheus_address.as_deref(),
        };
        let provider = match open(&environment, spec) {
            Ok(provider) => provider,
            Err(error) => return (Err(error), BTreeMap::new()),
        };
        let deadline = provider.timeout() + GRACE;
        let read = tokio::time::timeout(deadline, provider.read(self.clock.now())).await;
        let read = read.unwrap_or_else(|_| {
            let message = format!("no answer within {} s", deadline.as_secs());
            Err(ProviderError::unavailable(message))
        });
        (read, provider.metadata())
    }

    /// What is recorded when this program itself failed to measure.
    pub(in crate::analysis) fn broken(&self, request: &MeasurementRequest) -> MeasureOutcome {
        let now = Time(self.clock.now());
        let begun = Measurement {
            started_at: Some(now),
            ..Measurement::default()
        };
        let open = request.open.clone().unwrap_or(begun);
        let reason = "internal error of the controller; see its log";
        taken(self.failed(open, reason.to_owned()), BTreeMap::new())
    }

    fn failed(&self, measurement: Measurement, reason: String) -> Measurement {
        Measurement {
            phase: AnalysisPhase::Error,
            message: shortened(on_one_line(&reason), LONGEST_MESSAGE),
            finished_at: Some(Time(self.clock.now())),
            resume_at: None,
            ..measurement
        }
    }
}

/// Credentials that stand in the metric itself are no Secrets, but nobody wants to read them in an Event.
fn add_logins(provider: &Provider, redactor: &Redactor) {
    let web = provider
        .web
        .as_ref()
        .and_then(|web| web.authentication.as_ref());
    let prometheus = provider.prometheus.as_ref();
    let prometheus = prometheus.and_then(|prometheus| prometheus.authentication.as_ref());
    for how in [web, prometheus].into_iter().flatten() {
        if let Some(basic) = &how.basic_auth {
            let name = basic.username.as_deref().unwrap_or_default();
            redactor.add_login(name, basic.password.as_deref().unwrap_or_default());
        }
        if let Some(oauth2) = &how.oauth2 {
            let id = oauth2.client_id.as_deref().unwrap_or_default();
            redactor.add_login(id, oauth2.client_secret.as_deref().unwrap_or_default());
        }
    }
}

fn redacted(metadata: BTreeMap<String, String>, redactor: &Redactor) -> BTreeMap<String, String> {
    metadata
        .into_iter()
        .map(|(key, text)| (key, shortened(redactor.redact(text), LONGEST_VALUE)))
        .collect()
}

fn taken(measurement: Measurement, metadata: BTreeMap<String, String>) -> MeasureOutcome {
    MeasureOutcome::Taken {
        measurement,
        metadata,
    }
}

fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn shortened(text: String, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        None => text,
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}
