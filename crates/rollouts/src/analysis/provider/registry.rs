//! All providers.

use reconcile_core::object::FieldError;

use super::{
    MetricProvider, cloudwatch::CloudWatchProvider, datadog::DatadogProvider,
    graphite::GraphiteProvider, influxdb::InfluxdbProvider, job::JobProvider,
    kayenta::KayentaProvider, newrelic::NewRelicProvider, prometheus::PrometheusProvider,
    skywalking::SkyWalkingProvider, wavefront::WavefrontProvider, web::WebProvider,
};
use crate::api::analysis::Provider;

/// Every provider, in the order of upstream's documentation.
static ALL: &[&dyn MetricProvider] = &[
    &PrometheusProvider,
    &JobProvider,
    &WebProvider,
    &DatadogProvider,
    &NewRelicProvider,
    &CloudWatchProvider,
    &GraphiteProvider,
    &InfluxdbProvider,
    &WavefrontProvider,
    &KayentaProvider,
    &SkyWalkingProvider,
];

/// Facts about the provider of a metric that its rules need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::analysis) struct ProviderFacts {
    /// See [`MetricProvider::is_lasting`].
    pub(in crate::analysis) is_lasting: bool,
}

/// The provider that `spec` configures; `None` when it names none, several or one that is not built in.
pub(super) fn find(spec: &Provider) -> Option<&'static dyn MetricProvider> {
    match spec.names().as_slice() {
        [name] => ALL.iter().copied().find(|entry| entry.name() == *name),
        _ => None,
    }
}

/// Checks the configuration of a provider. Paths start with `provider`.
pub(in crate::analysis) fn check(spec: &Provider) -> Result<ProviderFacts, FieldError> {
    let at_provider = |message: &str| FieldError::new("provider", message);
    match spec.names().as_slice() {
        [] => return Err(at_provider("no provider specified")),
        [_] => {}
        _ => return Err(at_provider("multiple providers specified")),
    }
    let Some(found) = find(spec) else {
        return Err(FieldError::new(
            "provider.plugin",
            "provider plugins are not supported; use one of the built-in providers or a job",
        ));
    };
    found
        .check(spec)
        .map_err(|error| FieldError::new(format!("provider.{}", error.path), error.message))?;
    Ok(ProviderFacts {
        is_lasting: found.is_lasting(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_provider_is_in_the_table_once_under_a_name_of_the_schema() {
        let names: HashSet<&str> = ALL.iter().map(|provider| provider.name()).collect();
        assert_eq!(names.len(), ALL.len());
        let schema = schemars::schema_for!(Provider);
        let members = schema.as_value()["properties"]
            .as_object()
            .expect("members");
        for name in &names {
            assert!(members.contains_key(*name), "{name}");
        }
        // The plugin is the only member without a provider.
        assert_eq!(members.len(), names.len() + 1);
    }
}
