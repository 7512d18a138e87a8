//! Specs of the providers for monitoring services. Addresses and credentials are in Secrets, except where a
//! field says otherwise.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Datadog query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Datadog {
    /// `v1` (when absent) or `v2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// The query; either this or `queries`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Queries by name; `v2` only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub queries: BTreeMap<String, String>,
    /// Formula over the names of `queries`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formula: Option<String>,
    /// How the points of the interval become one value, for example `last` (when absent) or `avg`; `v2`
    /// only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregator: Option<String>,
    /// Length of the window that ends now, as a Go duration; 5m when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// Time that the query may take as a Go duration; 10s when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_timeout: Option<String>,
    /// The Secret with `address`, `api-key` and `app-key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
}

/// A Secret with credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Name of the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// True for a Secret in the namespace of the run instead of the controller's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub namespaced: bool,
}

/// A New Relic query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewRelic {
    /// The query in NRQL.
    pub query: String,
    /// Name of the Secret in the controller's namespace; `newrelic` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Seconds that the query may take, from 1 to 119; 5 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
}

/// `CloudWatch` metric data queries.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudWatch {
    /// Length of the window that ends now, as a Go duration; 5m when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// The queries.
    pub metric_data_queries: Vec<CloudWatchQuery>,
}

/// A query of `GetMetricData`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudWatchQuery {
    /// Name of the query, unique in the list.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Expression over the ids of other queries; either this or `metricStat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// Label of the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The metric to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric_stat: Option<CloudWatchMetricStat>,
    /// Seconds between points of an expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<IntOrString>,
    /// False for a query that only serves the expression of another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_data: Option<bool>,
}

/// A metric of `CloudWatch` with its statistic.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudWatchMetricStat {
    /// The metric.
    #[serde(default)]
    pub metric: CloudWatchMetric,
    /// Seconds between points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<IntOrString>,
    /// The statistic, for example `Average` or `p99`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stat: String,
    /// Unit of the points to read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
}

/// Names a metric of `CloudWatch`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudWatchMetric {
    /// Dimensions of the metric.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dimensions: Vec<CloudWatchDimension>,
    /// Name of the metric.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub metric_name: String,
    /// Namespace of the metric, for example `AWS/ApplicationELB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A dimension of a metric of `CloudWatch`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct CloudWatchDimension {
    /// Name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Value.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
}

/// A Graphite query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Graphite {
    /// URL of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The query string of `/render`, for example `target=app.errors&from=-5min`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
}

/// An `InfluxDB` query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Influxdb {
    /// Name of the Secret in the controller's namespace with `address`, `authToken` and `org`; `influxdb`
    /// when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The query in Flux.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
}

/// A Wavefront query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Wavefront {
    /// Host of the server; the Secret `wavefront-api-tokens` has the token under this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
}

/// A `SkyWalking` query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct SkyWalking {
    /// URL of the server without `/graphql`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The query in GraphQL; the variable `duration` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Length of the window that ends now, as a Go duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
}

/// A Kayenta analysis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kayenta {
    /// URL of the server.
    pub address: String,
    /// Application that the canary config belongs to.
    pub application: String,
    /// Name of the canary config.
    pub canary_config_name: String,
    /// Account with the configuration.
    pub configuration_account_name: String,
    /// Account with the metrics.
    pub metrics_account_name: String,
    /// Account that stores results.
    pub storage_account_name: String,
    /// True to look at everything since the run started instead of the last interval.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lookback: bool,
    /// What is compared.
    pub scopes: Vec<KayentaScope>,
    /// From which score on the canary is good.
    pub threshold: KayentaThreshold,
}

/// What a Kayenta analysis compares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KayentaScope {
    /// Name of the scope.
    pub name: String,
    /// The version that is trusted.
    pub control_scope: KayentaScopeDetail,
    /// The version that is judged.
    pub experiment_scope: KayentaScopeDetail,
}

/// One side of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct KayentaScopeDetail {
    /// Last moment (RFC 3339); now when absent.
    #[serde(default)]
    pub end: String,
    /// Region.
    pub region: String,
    /// Scope, for example a label of the version.
    pub scope: String,
    /// First moment (RFC 3339); one interval ago when absent.
    #[serde(default)]
    pub start: String,
    /// Seconds between points.
    pub step: i64,
}

/// Scores of a Kayenta analysis, from 0 to 100.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct KayentaThreshold {
    /// From this score on the canary is neither good nor bad.
    pub marginal: i64,
    /// From this score on the canary is good.
    pub pass: i64,
}
