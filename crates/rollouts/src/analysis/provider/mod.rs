//! Where values come from: one file per provider, and the way from a value to a measurement.
//!
//! To add a provider: its typed spec in [`crate::api::analysis`], a file here with a [`Registration`], and a
//! line in [`REGISTRY`].

mod error;
mod http;
mod job;
mod judge;
mod limits;
mod measure;
mod prometheus;
mod redaction;
mod secrets;
mod web;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use expressions::analysis::AnalysisValue;
use futures::future::BoxFuture;
use jiff::Timestamp;

pub(super) use self::{
    error::{ErrorKind, ProviderError},
    measure::{MeasurementRequest, Providers},
};
use self::{http::HttpClients, redaction::Redactor};
use crate::api::analysis::Provider;

/// All providers that this version has.
const REGISTRY: &[Registration] = &[
    prometheus::REGISTRATION,
    web::REGISTRATION,
    job::REGISTRATION,
];

/// How a provider takes part.
pub(super) struct Registration {
    /// Its key under `provider`.
    name: &'static str,
    /// Checks the configuration before anything is measured. Values of Secrets are stand-ins here.
    check: fn(&Provider) -> Result<(), ProviderError>,
    /// How it measures.
    measures: Measures,
}

/// How a provider measures.
enum Measures {
    /// One reading gives the value.
    AtOnce(OpenProvider),
    /// A Job runs until it gives the verdict; the measurement takes several steps.
    WithJob,
}

/// Makes the provider for the configuration of one metric.
type OpenProvider =
    fn(&Environment<'_>, &Provider) -> Result<Box<dyn MetricProvider>, ProviderError>;

/// What providers share.
struct Environment<'a> {
    /// HTTP connections.
    http: &'a HttpClients,
    /// Takes the secrets that a provider learns while it measures, for example tokens.
    redactor: &'a Arc<Redactor>,
    /// Address of Prometheus for metrics that name none.
    prometheus_address: Option<&'a str>,
}

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
trait MetricProvider: Send + Sync {
    /// Reads one value. Must end in time: each call inside has a deadline. Texts may hold secrets; the
    /// caller redacts them.
    fn read(&self, now: Timestamp) -> BoxFuture<'_, Result<Reading, ProviderError>>;

    /// Time that one reading may take.
    fn timeout(&self) -> Duration;

    /// What the status says about the metric, for example the query after substitution.
    fn metadata(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }
}

/// The registration of the provider that a metric names.
fn registration(provider: &Provider) -> Result<&'static Registration, ProviderError> {
    let name = provider.names().first().copied().unwrap_or("(none)");
    let mut all = REGISTRY.iter();
    all.find(|registration| registration.name == name)
        .ok_or_else(|| ProviderError::unsupported(format!("provider {name}")))
}

/// Checks the configuration of a provider before anything is measured.
pub(super) fn check(provider: &Provider) -> Result<(), ProviderError> {
    (registration(provider)?.check)(provider)
}

/// True when a measurement leaves an object behind that must be ended with it.
pub(super) fn is_lasting(provider: &Provider) -> bool {
    registration(provider)
        .is_ok_and(|registration| matches!(registration.measures, Measures::WithJob))
}

#[cfg(test)]
mod tests;
