//! Numbers about Rollouts under upstream's names.

use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use reconcile_core::watch::Index;
use serde::Deserialize;

use super::Sources;
use crate::api::rollout::Rollout;

/// Upper bounds of the buckets for the time of a pass, in seconds.
const PASS_SECONDS: &[f64] = &[0.01, 0.15, 0.25, 0.5, 1.0];
const PHASES: [&str; 4] = ["Healthy", "Degraded", "Progressing", "Paused"];

/// What the driver counts.
pub(super) struct PassNumbers {
    /// Seconds per pass.
    pub(super) seconds: HistogramVec,
    /// Failed passes.
    pub(super) errors: IntCounterVec,
    /// Events by type and reason.
    pub(super) events: IntCounterVec,
}

/// Registers all numbers. Those about objects are read from the index when they are asked for.
pub(super) fn register(
    registry: &Registry,
    sources: &Sources,
) -> Result<PassNumbers, prometheus::Error> {
    let labels = ["namespace", "name"];
    let options = HistogramOpts::new(
        "rollout_reconcile",
        "Seconds that a pass over a Rollout took.",
    )
    .buckets(PASS_SECONDS.to_vec());
    let seconds = HistogramVec::new(options, &labels)?;
    let options = Opts::new(
        "rollout_reconcile_error",
        "Passes over a Rollout that failed.",
    );
    let errors = IntCounterVec::new(options, &labels)?;
    registry.register(Box::new(seconds.clone()))?;
    registry.register(Box::new(errors.clone()))?;
    registry.register(Box::new(RolloutNumbers {
        roots: sources.roots.clone(),
    }))?;
    let options = Opts::new(
        "rollout_events_total",
        "Events about Rollouts and AnalysisRuns.",
    );
    let events = IntCounterVec::new(options, &["type", "reason"])?;
    registry.register(Box::new(events.clone()))?;
    let about = Opts::new("argo_rollouts_controller_info", "The running controller.")
        .const_label("version", env!("CARGO_PKG_VERSION"));
    let info = prometheus::Gauge::with_opts(about)?;
    info.set(1.0);
    registry.register(Box::new(info))?;
    Ok(PassNumbers {
        seconds,
        errors,
        events,
    })
}

struct RolloutNumbers {
    roots: Index<Rollout>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SpecNumbers {
    replicas: Option<i32>,
    strategy: StrategyNumbers,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct StrategyNumbers {
    blue_green: Option<serde::de::IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct StatusNumbers {
    phase: String,
    available_replicas: i32,
    updated_replicas: i32,
}

struct Gauges {
    info: GaugeVec,
    phase: GaugeVec,
    available: GaugeVec,
    unavailable: GaugeVec,
    desired: GaugeVec,
    updated: GaugeVec,
}

fn gauge(name: &str, help: &str, labels: &[&str]) -> Option<GaugeVec> {
    // Only an invalid name fails, and all names here are constants.
    GaugeVec::new(Opts::new(name, help), labels).ok()
}

impl Gauges {
    fn new() -> Option<Self> {
        let key = ["name", "namespace"];
        let replicas = |what: &str| {
            gauge(
                &format!("rollout_info_replicas_{what}"),
                &format!("Pods of the Rollout that are {what}."),
                &key,
            )
        };
        let info = ["name", "namespace", "strategy", "traffic_router", "phase"];
        Some(Self {
            info: gauge(
                "rollout_info",
                "Rollouts with their strategy and phase.",
                &info,
            )?,
            phase: gauge(
                "rollout_phase",
                "1 for the phase that the Rollout is in.",
                &["name", "namespace", "strategy", "phase"],
            )?,
            available: replicas("available")?,
            unavailable: replicas("unavailable")?,
            desired: replicas("desired")?,
            updated: replicas("updated")?,
        })
    }

    fn add(&self, root: &Rollout) {
        let key = root.key();
        let labels = [key.name.as_str(), key.namespace.as_str()];
        let spec: SpecNumbers = parsed(root.spec.as_deref());
        let status: StatusNumbers = parsed(root.status.as_deref());
        let strategy = if spec.strategy.blue_green.is_some() {
            "blueGreen"
        } else {
            "canary"
        };
        let desired = spec.replicas.unwrap_or(1);
        let phase = if status.phase.is_empty() {
            "Progressing"
        } else {
            status.phase.as_str()
        };
        self.info
            .with_label_values(&[labels[0], labels[1], strategy, "", phase])
            .set(1.0);
        for each in PHASES {
            let now = f64::from(u8::from(each == phase));
            self.phase
                .with_label_values(&[labels[0], labels[1], strategy, each])
                .set(now);
        }
        self.available
            .with_label_values(&labels)
            .set(f64::from(status.available_replicas));
        let missing = desired - status.available_replicas;
        self.unavailable
            .with_label_values(&labels)
            .set(f64::from(missing));
        self.desired
            .with_label_values(&labels)
            .set(f64::from(desired));
        self.updated
            .with_label_values(&labels)
            .set(f64::from(status.updated_replicas));
    }
}

fn parsed<T: Default + for<'de> Deserialize<'de>>(raw: Option<&serde_json::value::RawValue>) -> T {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default()
}

impl Collector for RolloutNumbers {
    fn desc(&self) -> Vec<&Desc> {
        // Unchecked: the families are made anew for each scrape.
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(gauges) = Gauges::new() else {
            return Vec::new();
        };
        self.roots.each(|_, root| gauges.add(root));
        let Gauges {
            info,
            phase,
            available,
            unavailable,
            desired,
            updated,
        } = gauges;
        [info, phase, available, unavailable, desired, updated]
            .iter()
            .flat_map(Collector::collect)
            .collect()
    }
}
