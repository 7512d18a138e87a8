//! Where values come from: one file a provider, and the way from a value to a measurement.
//!
//! To add a provider: its spec with a row in [`crate::api::analysis`], a file here that implements
//! [`MetricProvider`], and a line in [`registry::ALL`]; `docs/style.md` has all steps.

mod checks;
mod cloudwatch;
mod credentials;
mod datadog;
mod error;
mod graphite;
mod http;
mod influxdb;
mod job;
mod judge;
mod kayenta;
mod limits;
mod measure;
mod newrelic;
mod numbers;
mod prometheus;
mod registry;
mod secrets;
mod skywalking;
mod wavefront;
mod web;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use expressions::analysis::AnalysisValue;
use futures::future::BoxFuture;
use jiff::Timestamp;
use kube::Client;
use reconcile_core::{aws::Environment, clock::Clock, object::FieldError, redaction};

pub(super) use self::{checks::SECRET_STAND_IN, measure::Providers, registry::check};
use self::{error::ProviderError, http::Http, redaction::Redactor};
use crate::api::analysis::{AnalysisPhase, Argument, Measurement, Metric, Provider};

/// Time that a provider may take where it says nothing else.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(60);

/// The value in the body of an answer of Prometheus; the error is the message that the measurement would have.
pub fn prometheus_value(body: &[u8]) -> Result<AnalysisValue, String> {
    prometheus::value(body).map_err(|error| error.message)
}

/// Settings of the process for all providers.
#[derive(Clone, Debug, Default)]
pub struct ProviderConfig {
    /// Address of Prometheus for metrics that name none.
    pub prometheus_address: Option<String>,
    /// The controller's own namespace, with the Secrets of monitoring services.
    pub namespace: String,
    /// Whether metrics may call link-local and instance metadata addresses.
    pub allow_link_local: bool,
}

/// A measurement to take, or the next step of one.
#[derive(Clone, Debug, Default)]
pub(super) struct MeasurementRequest {
    /// Namespace of the run, whose Secrets arguments may refer to.
    pub(super) namespace: String,
    pub(super) run_name: String,
    pub(super) run_uid: String,
    /// When the run started.
    pub(super) run_started: Option<Timestamp>,
    /// The metric before substitution.
    pub(super) metric: Metric,
    /// The run's arguments.
    pub(super) arguments: Vec<Argument>,
    /// Number of the measurement within the metric, from 1.
    pub(super) number: i32,
    /// Measurements of the metric that are kept.
    pub(super) retention: usize,
    /// The measurement to continue.
    pub(super) open: Option<Measurement>,
    /// End the open measurement instead of continuing it.
    pub(super) terminate: bool,
    /// There is no run in the cluster that what is created could belong to.
    pub(super) is_detached: bool,
}

/// A value with what is shown of it.
#[derive(Clone, Debug, PartialEq)]
struct Reading {
    /// The value with the type that conditions see.
    value: AnalysisValue,
    /// The value as the status shows it.
    text: String,
    /// Details of this measurement, by name, for its `metadata`.
    metadata: BTreeMap<String, String>,
}

impl Reading {
    fn new(value: AnalysisValue, text: impl Into<String>) -> Self {
        Self {
            value,
            text: text.into(),
            metadata: BTreeMap::new(),
        }
    }
}

/// Phase of a measurement after a step.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// There is a value; the conditions of the metric judge it.
    Read(Reading),
    /// The provider judges by itself.
    Judged {
        /// The verdict.
        phase: AnalysisPhase,
        /// The value as the status shows it.
        text: String,
        /// Why, when there is something to say.
        message: String,
    },
    /// The measurement continues later.
    Wait {
        /// When to look again.
        resume_at: Timestamp,
        /// What the provider needs to know then, added to what it knows already.
        metadata: BTreeMap<String, String>,
    },
}

/// What a provider works with during one step.
struct Task<'a> {
    /// The measurement.
    request: &'a MeasurementRequest,
    /// The metric with all arguments filled in.
    metric: &'a Metric,
    /// Time of the step.
    now: Timestamp,
    /// Connections and settings.
    tools: &'a Tools,
    /// Takes every credential that the provider reads, so that no text shows it.
    redactor: &'a Redactor,
}

impl Task<'_> {
    /// The member of the metric's provider that `get` selects.
    fn spec<T>(&self, get: impl Fn(&Provider) -> Option<&T>) -> Result<&T, ProviderError> {
        get(&self.metric.provider).ok_or_else(|| ProviderError::invalid("no provider specified"))
    }
}

/// Connections and settings that all providers share. Cloning is cheap.
#[derive(Clone)]
struct Tools {
    client: Client,
    clock: Clock,
    http: Http,
    config: Arc<ProviderConfig>,
    environment: Environment,
}

/// A kind of source for values. Providers keep no state of their own; what a measurement needs later is in
/// its metadata.
trait MetricProvider: Send + Sync {
    /// The member of `spec.metrics[].provider` that configures it.
    fn name(&self) -> &'static str;

    /// Finds what is wrong with the configuration without asking anybody. Paths start below `provider`.
    /// Values from Secrets are [`SECRET_STAND_IN`] here.
    fn check(&self, spec: &Provider) -> Result<(), FieldError>;

    /// True when a measurement leaves something behind that must be ended.
    fn is_lasting(&self) -> bool {
        false
    }

    /// Time that one step may take.
    fn deadline(&self, _spec: &Provider) -> Duration {
        DEFAULT_DEADLINE
    }

    /// What the status says about the metric, for example the query after substitution.
    fn metadata(&self, _spec: &Provider) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// Starts a measurement.
    fn run<'a>(&'a self, task: &'a Task<'a>) -> BoxFuture<'a, Result<Step, ProviderError>>;

    /// Continues a measurement that waits. Providers that never wait start over, after a server asked for
    /// fewer requests.
    fn resume<'a>(
        &'a self,
        task: &'a Task<'a>,
        _open: &'a Measurement,
    ) -> BoxFuture<'a, Result<Step, ProviderError>> {
        self.run(task)
    }

    /// Ends what an open measurement left behind.
    fn terminate<'a>(
        &'a self,
        _task: &'a Task<'a>,
        _open: &'a Measurement,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Removes what measurements left behind that are no longer kept.
    fn collect_garbage<'a>(&'a self, _task: &'a Task<'a>) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}

#[cfg(test)]
mod tests;
