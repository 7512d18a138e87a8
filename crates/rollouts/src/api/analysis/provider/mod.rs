//! Where the values of metrics come from, as users write it.
//!
//! To add a provider: its spec in a file here, a member of [`Provider`] and a row in [`ROWS`].

mod builtin;
mod login;
mod vendors;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use builtin::{Job, JobMetadata, Prometheus, RangeQuery, Web};
pub use login::{Authentication, BasicAuth, Header, OAuth2, SigV4};
pub use vendors::{
    CloudWatch, CloudWatchDimension, CloudWatchMetric, CloudWatchMetricStat, CloudWatchQuery,
    Datadog, Graphite, Influxdb, Kayenta, KayentaScope, KayentaScopeDetail, KayentaThreshold,
    NewRelic, SecretRef, SkyWalking, Wavefront,
};

/// Where a metric's value comes from; exactly one member is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Provider {
    /// A Prometheus query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<Prometheus>,
    /// A Kubernetes Job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// An HTTP call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web: Option<Web>,
    /// A Wavefront query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wavefront: Option<Wavefront>,
    /// A Kayenta analysis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kayenta: Option<Kayenta>,
    /// A Datadog query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datadog: Option<Datadog>,
    /// A New Relic query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_relic: Option<NewRelic>,
    /// `CloudWatch` metric data queries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_watch: Option<CloudWatch>,
    /// A Graphite query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graphite: Option<Graphite>,
    /// An `InfluxDB` query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub influxdb: Option<Influxdb>,
    /// A `SkyWalking` query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skywalking: Option<SkyWalking>,
    /// A provider plugin by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "open_object")]
    pub plugin: Option<Value>,
}

/// A member of [`Provider`].
struct Row {
    /// Name in a manifest.
    name: &'static str,
    /// Name in upstream's metrics.
    label: &'static str,
    /// Whether the member is set.
    is_set: fn(&Provider) -> bool,
}

const ROWS: &[Row] = &[
    row("prometheus", "Prometheus", |spec| spec.prometheus.is_some()),
    row("job", "Job", |spec| spec.job.is_some()),
    row("web", "WebMetric", |spec| spec.web.is_some()),
    row("wavefront", "Wavefront", |spec| spec.wavefront.is_some()),
    row("kayenta", "Kayenta", |spec| spec.kayenta.is_some()),
    row("datadog", "Datadog", |spec| spec.datadog.is_some()),
    row("newRelic", "NewRelic", |spec| spec.new_relic.is_some()),
    row("cloudWatch", "CloudWatch", |spec| {
        spec.cloud_watch.is_some()
    }),
    row("graphite", "Graphite", |spec| spec.graphite.is_some()),
    row("influxdb", "Influxdb", |spec| spec.influxdb.is_some()),
    row("skywalking", "SkyWalking", |spec| spec.skywalking.is_some()),
    row("plugin", "RPCPlugin", |spec| spec.plugin.is_some()),
];

const fn row(name: &'static str, label: &'static str, is_set: fn(&Provider) -> bool) -> Row {
    Row {
        name,
        label,
        is_set,
    }
}

impl Provider {
    /// The names of the members that are set, as they are spelled in a manifest.
    pub fn names(&self) -> Vec<&'static str> {
        self.rows().map(|row| row.name).collect()
    }

    /// The provider's name in upstream's metrics; empty when there is none.
    pub fn label(&self) -> &'static str {
        self.rows().next().map_or("", |row| row.label)
    }

    /// As [`Provider::label`] of one whose members are set that `is_set` says.
    pub fn label_of(is_set: impl Fn(&str) -> bool) -> &'static str {
        let mut rows = ROWS.iter();
        rows.find(|row| is_set(row.name))
            .map_or("", |row| row.label)
    }

    fn rows(&self) -> impl Iterator<Item = &'static Row> {
        ROWS.iter().filter(|row| (row.is_set)(self))
    }
}

/// Schema of a member that is kept as it was written.
fn open_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
