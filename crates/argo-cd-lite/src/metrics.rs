//! Metrics with upstream's names.

mod applications;
mod info;
mod own;
mod requests;

pub use applications::AppDetails;
pub use info::AppInfo;
pub use own::OwnApplications;
pub use requests::register as register_requests;

use std::{collections::HashMap, time::Duration};

use prometheus::{
    CounterVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, core::Collector,
};
use reconcile_core::object::ObjectKey;

use crate::api::Phase;

/// Upper bounds in seconds of passes: those of upstream, and smaller ones, because most passes take milliseconds.
const PASS_SECONDS: [f64; 13] = [
    0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0,
];
/// Upper bounds in seconds of conversations with Git servers: those of upstream, and smaller ones.
const GIT_SECONDS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0];

/// Counters of Git requests.
#[derive(Clone, Debug)]
pub struct GitMetrics {
    requests: IntCounterVec,
    durations: HistogramVec,
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
        let durations = HistogramVec::new(
            HistogramOpts::new(
                "argocd_git_request_duration_seconds",
                "Seconds that requests to Git servers took.",
            )
            .buckets(GIT_SECONDS.to_vec()),
            &["repo", "request_type"],
        )?;
        registry.register(Box::new(durations.clone()))?;
        registry.register(Box::new(threads.clone()))?;
        registry.register(Box::new(store_bytes.clone()))?;
        registry.register(Box::new(evictions.clone()))?;
        Ok(Self {
            requests: counter(
                "argocd_git_request_total",
                "Requests to Git servers.",
                &["repo", "request_type"],
            )?,
            durations,
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
    pub fn listed(&self, url: &str, end: RequestEnd) {
        let repo = crate::repo::normalize(url);
        self.requested(&repo, "ls-remote", end.took);
        if !end.fine {
            self.list_failures.with_label_values(&[repo.as_str()]).inc();
        }
    }

    /// A commit was fetched.
    pub fn fetched(&self, url: &str, end: RequestEnd) {
        let repo = crate::repo::normalize(url);
        self.requested(&repo, "fetch", end.took);
        if !end.fine {
            self.fetch_failures
                .with_label_values(&[repo.as_str()])
                .inc();
        }
    }

    fn requested(&self, repo: &str, request: &str, took: Duration) {
        self.requests.with_label_values(&[repo, request]).inc();
        self.durations
            .with_label_values(&[repo, request])
            .observe(took.as_secs_f64());
    }
}

/// The end of a request to a Git server.
#[derive(Clone, Copy, Debug)]
pub struct RequestEnd {
    /// It had an answer.
    pub fine: bool,
    /// How long it took.
    pub took: Duration,
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
    /// Seconds since its begin.
    pub seconds: f64,
}

/// Counters of syncs and passes.
#[derive(Clone, Debug)]
pub struct AppMetrics {
    syncs: IntCounterVec,
    orphans: IntGaugeVec,
    sync_seconds: CounterVec,
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
        let sync_seconds = CounterVec::new(
            Opts::new(
                "argocd_app_sync_duration_seconds_total",
                "Seconds that application syncs took.",
            ),
            &["namespace", "name", "project", "dest_server"],
        )?;
        // One series for all applications: a histogram per application would cost more than it is worth.
        let reconcile = HistogramVec::new(
            HistogramOpts::new(
                "argocd_app_reconcile",
                "Seconds per reconciliation of an Application.",
            )
            .buckets(PASS_SECONDS.to_vec()),
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
        registry.register(Box::new(sync_seconds.clone()))?;
        registry.register(Box::new(reconcile.clone()))?;
        registry.register(Box::new(webhooks.clone()))?;
        Ok(Self {
            syncs,
            orphans,
            sync_seconds,
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
            seconds,
        } = end;
        self.sync_seconds
            .with_label_values(&[app.namespace.as_str(), app.name.as_str(), project, server])
            .inc_by(seconds.max(0.0));
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
        remove_series(&self.sync_seconds, app, |labels| {
            self.sync_seconds.remove(labels)
        });
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
                    seconds: 1.5,
                });
            }
        }
        metrics.forget(&gone);
        let families = registry.gather();
        let family = |name: &str| {
            let found = families.iter().find(|family| family.name() == name);
            found.expect("the counter")
        };
        let names = |name: &str| {
            let labels = family(name).get_metric().iter();
            labels
                .flat_map(prometheus::proto::Metric::get_label)
                .filter(|label| label.name() == "name")
                .map(|label| label.value().to_owned())
                .collect::<Vec<String>>()
        };
        assert_eq!(names("argocd_app_sync_total"), ["b", "b"]);
        assert_eq!(names("argocd_app_sync_duration_seconds_total"), ["b"]);
        let seconds = &family("argocd_app_sync_duration_seconds_total").get_metric()[0];
        assert!((seconds.get_counter().get_value() - 3.0).abs() < 1e-9);
    }
}
