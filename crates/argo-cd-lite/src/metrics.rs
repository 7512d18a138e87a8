//! Metrics with upstream's names.

use std::collections::HashMap;

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use reconcile_core::{
    object::{ObjectKey, Root},
    watch::Index,
};

use crate::{
    api::{Application, Phase},
    clusters::Clusters,
};

/// Counters of Git requests.
#[derive(Clone, Debug)]
pub struct GitMetrics {
    requests: IntCounterVec,
    list_failures: IntCounterVec,
    fetch_failures: IntCounterVec,
    threads: IntGaugeVec,
    store_bytes: IntGauge,
    evictions: IntCounter,
}

impl GitMetrics {
    /// Registers the counters.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let threads = IntGaugeVec::new(
            Opts::new(
                "argocd_lite_threads_busy",
                "Threads that talk to Git servers or render, by pool.",
            ),
            &["pool"],
        )?;
        let store_bytes = IntGauge::new(
            "argocd_lite_git_store_bytes",
            "Bytes of all Git stores on disk.",
        )?;
        let evictions = IntCounter::new(
            "argocd_lite_git_store_evictions_total",
            "Git stores that were deleted to keep the disk budget.",
        )?;
        registry.register(Box::new(threads.clone()))?;
        registry.register(Box::new(store_bytes.clone()))?;
        registry.register(Box::new(evictions.clone()))?;
        Ok(Self {
            requests: counter(
                "argocd_git_request_total",
                "Requests to Git servers.",
                &["repo", "request_type"],
            )?,
            list_failures: counter(
                "argocd_git_lsremote_fail_total",
                "Failed lists of refs.",
                &["repo"],
            )?,
            fetch_failures: counter("argocd_git_fetch_fail_total", "Failed fetches.", &["repo"])?,
            threads,
            store_bytes,
            evictions,
        })
    }

    /// The gauge of the busy threads of a pool.
    pub fn threads(&self, pool: &str) -> IntGauge {
        self.threads.with_label_values(&[pool])
    }

    /// All stores have this size.
    pub fn stored(&self, bytes: u64) {
        self.store_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// A store was deleted to keep the disk budget.
    pub fn evicted(&self) {
        self.evictions.inc();
    }

    /// Refs were listed.
    pub fn listed(&self, url: &str, fine: bool) {
        let repo = crate::repo::normalize(url);
        self.requests
            .with_label_values(&[repo.as_str(), "ls-remote"])
            .inc();
        if !fine {
            self.list_failures.with_label_values(&[repo.as_str()]).inc();
        }
    }

    /// A commit was fetched.
    pub fn fetched(&self, url: &str, fine: bool) {
        let repo = crate::repo::normalize(url);
        self.requests
            .with_label_values(&[repo.as_str(), "fetch"])
            .inc();
        if !fine {
            self.fetch_failures
                .with_label_values(&[repo.as_str()])
                .inc();
        }
    }
}

/// The end of a sync.
#[derive(Debug)]
pub struct SyncEnd<'a> {
    /// The Application.
    pub app: &'a ObjectKey,
    /// Its project.
    pub project: &'a str,
    /// URL of its cluster.
    pub server: &'a str,
    /// How it ended.
    pub phase: Phase,
    /// Nothing was to be changed.
    pub dry_run: bool,
}

/// Counters of syncs and passes.
#[derive(Clone, Debug)]
pub struct AppMetrics {
    syncs: IntCounterVec,
    orphans: IntGaugeVec,
    reconcile: HistogramVec,
    webhooks: IntGauge,
}

impl AppMetrics {
    /// Registers the counters.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let syncs = IntCounterVec::new(
            Opts::new("argocd_app_sync_total", "Number of application syncs."),
            &[
                "namespace",
                "name",
                "project",
                "dest_server",
                "phase",
                "dry_run",
            ],
        )?;
        // One series for all applications: a histogram per application would cost more than it is worth.
        let reconcile = HistogramVec::new(
            HistogramOpts::new(
                "argocd_app_reconcile",
                "Seconds per reconciliation of an Application.",
            )
            .buckets(vec![0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0]),
            &["namespace", "dest_server"],
        )?;
        let webhooks = IntGauge::new(
            "argocd_lite_webhook_queue_depth",
            "Webhook requests in the queue.",
        )?;
        let orphans = IntGaugeVec::new(
            Opts::new(
                "argocd_app_orphaned_resources_count",
                "Number of orphaned resources per application.",
            ),
            &["namespace", "name", "project"],
        )?;
        registry.register(Box::new(orphans.clone()))?;
        registry.register(Box::new(syncs.clone()))?;
        registry.register(Box::new(reconcile.clone()))?;
        registry.register(Box::new(webhooks.clone()))?;
        Ok(Self {
            syncs,
            orphans,
            reconcile,
            webhooks,
        })
    }

    /// Counts a sync that has ended.
    pub fn synced(&self, end: &SyncEnd<'_>) {
        let SyncEnd {
            app,
            project,
            server,
            phase,
            dry_run,
        } = end;
        let dry_run = if *dry_run { "true" } else { "false" };
        self.syncs
            .with_label_values(&[
                app.namespace.as_str(),
                app.name.as_str(),
                project,
                server,
                phase.word(),
                dry_run,
            ])
            .inc();
    }

    /// Orphaned objects of an application; `None` when its project does not count them.
    pub fn orphans(&self, app: &ObjectKey, project: &str, count: Option<usize>) {
        let labels = [app.namespace.as_str(), app.name.as_str(), project];
        match count {
            Some(count) => (self.orphans.with_label_values(&labels))
                .set(i64::try_from(count).unwrap_or(i64::MAX)),
            // There is none as a rule.
            None => drop(self.orphans.remove_label_values(&labels)),
        }
    }

    /// The application is gone, and with it its series.
    pub fn forget(&self, app: &ObjectKey) {
        remove_series(&self.syncs, app, |labels| self.syncs.remove(labels));
        remove_series(&self.orphans, app, |labels| self.orphans.remove(labels));
    }

    /// A pass took this long.
    pub fn reconciled(&self, namespace: &str, server: &str, seconds: f64) {
        self.reconcile
            .with_label_values(&[namespace, server])
            .observe(seconds);
    }

    /// Requests that wait.
    pub fn webhooks(&self) -> &IntGauge {
        &self.webhooks
    }
}

/// Removes the series of an application.
fn remove_series(
    metric: &impl Collector,
    app: &ObjectKey,
    remove: impl Fn(&HashMap<&str, &str>) -> Result<(), prometheus::Error>,
) {
    for family in metric.collect() {
        for metric in family.get_metric() {
            let labels: HashMap<&str, &str> = metric
                .get_label()
                .iter()
                .map(|label| (label.name(), label.value()))
                .collect();
            let of = |name: &str| labels.get(name).copied();
            if of("namespace") == Some(&app.namespace) && of("name") == Some(&app.name) {
                // It was just listed; gone is gone.
                drop(remove(&labels));
            }
        }
    }
}

const INFO_LABELS: &[&str] = &[
    "namespace",
    "name",
    "project",
    "autosync_enabled",
    "repo",
    "dest_server",
    "dest_namespace",
    "sync_status",
    "health_status",
    "operation",
];

/// `argocd_app_info`, read from the Applications at each scrape.
pub struct AppInfo {
    roots: Index<Root<Application>>,
    clusters: Clusters,
    desc: Desc,
}

impl AppInfo {
    /// A collector over `roots`.
    pub fn new(
        roots: Index<Root<Application>>,
        clusters: Clusters,
    ) -> Result<Self, prometheus::Error> {
        let labels = INFO_LABELS.iter().map(ToString::to_string).collect();
        let desc = Desc::new(
            "argocd_app_info".to_owned(),
            "Information about application.".to_owned(),
            labels,
            HashMap::new(),
        )?;
        Ok(Self {
            roots,
            clusters,
            desc,
        })
    }
}

impl Collector for AppInfo {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Ok(gauge) = prometheus::IntGaugeVec::new(
            Opts::new("argocd_app_info", "Information about application."),
            INFO_LABELS,
        ) else {
            return Vec::new();
        };
        self.roots.each(|key, root| {
            let spec = root.parse_spec().unwrap_or_default();
            let status = root.parse_status().unwrap_or_default();
            let sync = status
                .sync
                .map_or_else(|| "Unknown".to_owned(), |sync| sync.status);
            let health = status
                .health
                .map_or_else(|| "Unknown".to_owned(), |health| health.status);
            let operation = match (root.is_deleting(), root.request.is_some()) {
                (true, _) => "delete",
                (_, true) => "sync",
                _ => "",
            };
            let repo = spec
                .sources()
                .first()
                .map(|source| crate::repo::normalize(&source.repo_url))
                .unwrap_or_default();
            let server = self.clusters.server_of(&spec.destination);
            let auto = if spec.automated().is_some() {
                "true"
            } else {
                "false"
            };
            gauge
                .with_label_values(&[
                    key.namespace.as_str(),
                    key.name.as_str(),
                    spec.project_name(),
                    auto,
                    repo.as_str(),
                    server.as_str(),
                    spec.destination.namespace.as_str(),
                    sync.as_str(),
                    health.as_str(),
                    operation,
                ])
                .set(1);
        });
        gauge.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_of_an_application_go_with_it() {
        let registry = Registry::new();
        let metrics = AppMetrics::register(&registry).expect("metrics");
        let (gone, stays) = (ObjectKey::new("argocd", "a"), ObjectKey::new("argocd", "b"));
        for app in [&gone, &stays] {
            for (phase, dry_run) in [(Phase::Succeeded, false), (Phase::Failed, true)] {
                metrics.synced(&SyncEnd {
                    app,
                    project: "default",
                    server: "https://kubernetes.default.svc",
                    phase,
                    dry_run,
                });
            }
        }
        metrics.forget(&gone);
        let families = registry.gather();
        let syncs = families
            .iter()
            .find(|family| family.name() == "argocd_app_sync_total")
            .expect("the counter");
        let names: Vec<&str> = syncs
            .get_metric()
            .iter()
            .flat_map(prometheus::proto::Metric::get_label)
            .filter(|label| label.name() == "name")
            .map(prometheus::proto::LabelPair::value)
            .collect();
        assert_eq!(names, ["b", "b"]);
    }
}
