//! Metrics of clusters, with upstream's names, read at each scrape.

use std::collections::HashMap;

use prometheus::{
    IntCounterVec, IntGaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::{Clusters, ConnectionState};

/// A gauge: name, help, labels.
type Gauge = (&'static str, &'static str, &'static [&'static str]);

const INFO: Gauge = (
    "argocd_cluster_info",
    "Information about cluster.",
    &["server", "k8s_version", "name"],
);
const CONNECTION: Gauge = (
    "argocd_cluster_connection_status",
    "The k8s cluster current connection status.",
    &["server", "k8s_version"],
);
const KINDS: Gauge = (
    "argocd_cluster_api_resources",
    "Number of monitored Kubernetes API resources.",
    &["server"],
);
const AGE: Gauge = (
    "argocd_cluster_cache_age_seconds",
    "Seconds since the watches of the cluster began.",
    &["server"],
);
const EVENTS: Gauge = (
    "argocd_cluster_events_total",
    "Changes of live objects that watches reported.",
    &["server", "group", "kind"],
);
const OBJECTS: Gauge = (
    "argocd_cluster_api_resource_objects",
    "Number of k8s resource objects in the cache.",
    &["server"],
);

/// The collector.
pub struct ClusterMetrics {
    clusters: Clusters,
    descriptions: Vec<Desc>,
}

impl ClusterMetrics {
    /// Over all clusters.
    pub fn new(clusters: Clusters) -> Result<Self, prometheus::Error> {
        let mut descriptions = Vec::new();
        for (name, help, labels) in [INFO, CONNECTION, KINDS, OBJECTS, AGE, EVENTS] {
            let labels = labels.iter().map(ToString::to_string).collect();
            let (name, help) = (name.to_owned(), help.to_owned());
            descriptions.push(Desc::new(name, help, labels, HashMap::new())?);
        }
        Ok(Self {
            clusters,
            descriptions,
        })
    }
}

impl Collector for ClusterMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let gauge = |(name, help, labels): Gauge| IntGaugeVec::new(Opts::new(name, help), labels);
        let (Ok(info), Ok(connection), Ok(kinds), Ok(objects), Ok(age)) = (
            gauge(INFO),
            gauge(CONNECTION),
            gauge(KINDS),
            gauge(OBJECTS),
            gauge(AGE),
        ) else {
            return Vec::new();
        };
        let Ok(events) = IntCounterVec::new(Opts::new(EVENTS.0, EVENTS.1), EVENTS.2) else {
            return Vec::new();
        };
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for report in self.clusters.reports() {
            let server = &*report.destination.server;
            let state = report.connection.as_ref();
            let version = state.map_or("", ConnectionState::version);
            let connected = matches!(state, Some(ConnectionState::Connected { .. }));
            let name = &*report.destination.name;
            info.with_label_values(&[server, version, name]).set(1);
            connection
                .with_label_values(&[server, version])
                .set(i64::from(connected));
            kinds.with_label_values(&[server]).set(number(report.kinds));
            objects
                .with_label_values(&[server])
                .set(number(report.objects));
            if let Some(seconds) = report.age {
                let seconds = i64::try_from(seconds.as_secs()).unwrap_or(i64::MAX);
                age.with_label_values(&[server]).set(seconds);
            }
            for (kind, count) in &report.events {
                let labels = [server, &*kind.group, &*kind.kind];
                events.with_label_values(&labels).inc_by(*count);
            }
        }
        let gauges = [info, connection, kinds, objects, age];
        let mut families: Vec<MetricFamily> = gauges.iter().flat_map(Collector::collect).collect();
        families.extend(events.collect());
        // The text encoder refuses families without a series.
        families.retain(|family| !family.get_metric().is_empty());
        families
    }
}
