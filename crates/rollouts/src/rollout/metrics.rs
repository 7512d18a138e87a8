//! Numbers about Rollouts under upstream's names.

use k8s_openapi::api::core::v1::ObjectReference;
use prometheus::{
    GaugeVec, IntCounterVec, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use reconcile_core::{
    conditions::Condition,
    event::EventNote,
    object::{Kind, ObjectKey},
    watch::Index,
};
use serde::Deserialize;

use super::{
    Sources,
    duration_metrics::DurationMetrics,
    plan::conditions::{kind, reason},
};
use crate::{
    api::rollout::{Rollout, RolloutKind},
    pass_metrics::PassMetrics,
};

/// The phases of the old number `rollout_phase`, which are not those of `status.phase`.
const OLD_PHASES: [&str; 7] = [
    "Completed",
    "Progressing",
    "Paused",
    "Timeout",
    "Error",
    "InvalidSpec",
    "Abort",
];

/// Operating system and processor.
const PLATFORM: &str = if cfg!(target_arch = "aarch64") {
    "linux/arm64"
} else {
    "linux/amd64"
};

/// What is counted while the controller works.
pub(super) struct RolloutCounters {
    pub(super) passes: PassMetrics,
    pub(super) events: EventMetrics,
}

/// Events about each Rollout by type and reason. Cloning shares them.
#[derive(Clone)]
pub(super) struct EventMetrics(IntCounterVec);

impl EventMetrics {
    /// Counts an Event, when it is about a Rollout.
    pub(super) fn count(&self, about: &ObjectReference, event: &EventNote) {
        if about.kind.as_deref() != Some(RolloutKind::KIND) {
            return;
        }
        let [namespace, name] =
            [&about.namespace, &about.name].map(|part| part.as_deref().unwrap_or_default());
        self.0
            .with_label_values(&[namespace, name, event.type_.name(), &event.reason])
            .inc();
    }

    /// Drops the numbers of a Rollout that is gone; kept, they would grow with every name ever used.
    pub(super) fn forget(&self, key: &ObjectKey) {
        for family in self.0.collect() {
            for metric in family.get_metric() {
                let label = |name: &str| {
                    let mut labels = metric.get_label().iter();
                    labels
                        .find(|label| label.name() == name)
                        .map_or("", |label| label.value())
                };
                let labels = ["namespace", "name", "type", "reason"].map(label);
                if labels[..2] == [key.namespace.as_str(), key.name.as_str()] {
                    // It was there a moment ago; gone is what is wanted.
                    drop(self.0.remove_label_values(&labels));
                }
            }
        }
    }
}

/// Registers all numbers. Those about objects are read from the index when they are asked for.
pub(super) fn register(
    registry: &Registry,
    sources: &Sources,
) -> Result<RolloutCounters, prometheus::Error> {
    let passes = PassMetrics::register(registry, "rollout", "a Rollout")?;
    registry.register(Box::new(RolloutMetrics {
        roots: sources.roots.clone(),
    }))?;
    let options = Opts::new("rollout_events_total", "Events about Rollouts.");
    let events = IntCounterVec::new(options, &["namespace", "name", "type", "reason"])?;
    registry.register(Box::new(events.clone()))?;
    let about = Opts::new("argo_rollouts_controller_info", "The running controller.")
        .const_label("version", env!("CARGO_PKG_VERSION"));
    let info = prometheus::Gauge::with_opts(about)?;
    info.set(1.0);
    registry.register(Box::new(info))?;
    let build = Opts::new("build_info", "What the process was built from.")
        .const_label("version", env!("CARGO_PKG_VERSION"))
        .const_label("platform", PLATFORM);
    let build = prometheus::Gauge::with_opts(build)?;
    build.set(1.0);
    registry.register(Box::new(build))?;
    let durations = DurationMetrics::register(registry)?;
    sources
        .roots
        .on_change(move |change| durations.observe(&change));
    Ok(RolloutCounters {
        passes,
        events: EventMetrics(events),
    })
}

struct RolloutMetrics {
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
    canary: Option<CanaryNumbers>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CanaryNumbers {
    traffic_routing: Option<Routers>,
}

/// The routers that upstream's label has names for.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Routers {
    alb: Option<serde::de::IgnoredAny>,
    ambassador: Option<serde::de::IgnoredAny>,
    istio: Option<serde::de::IgnoredAny>,
    nginx: Option<serde::de::IgnoredAny>,
    smi: Option<serde::de::IgnoredAny>,
}

impl Routers {
    /// The first router as upstream's label names it; empty for those that it has no name for.
    fn label(&self) -> &'static str {
        let known = [
            (&self.alb, "ALB"),
            (&self.ambassador, "Ambassador"),
            (&self.istio, "Istio"),
            (&self.nginx, "Nginx"),
            (&self.smi, "SMI"),
        ];
        let mut given = known.into_iter().filter(|(given, _)| given.is_some());
        given.next().map_or("", |(_, label)| label)
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct StatusNumbers {
    available_replicas: i32,
    updated_replicas: i32,
    conditions: Vec<Condition>,
}

impl StatusNumbers {
    /// The phase as clients of upstream's oldest number know it.
    fn old_phase(&self) -> &'static str {
        let find = |kind: &str| self.conditions.iter().find(|known| known.kind == kind);
        if find(kind::INVALID_SPEC).is_some() {
            return "InvalidSpec";
        }
        match find(kind::PROGRESSING).map(|progressing| progressing.reason.as_str()) {
            Some(reason::NEW_AVAILABLE) => "Completed",
            Some(reason::PAUSED) => "Paused",
            Some(reason::CREATE_ERROR) => "Error",
            Some(reason::TIMED_OUT) => "Timeout",
            Some(reason::ABORTED) => "Abort",
            _ => "Progressing",
        }
    }
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
                "1 for the phase that the Rollout is in; rollout_info has it as a label.",
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
        let strategy = match (&spec.strategy.blue_green, &spec.strategy.canary) {
            (Some(_), _) => "blueGreen",
            (None, Some(_)) => "canary",
            (None, None) => "none",
        };
        let desired = spec.replicas.unwrap_or(1);
        let old_phase = status.old_phase();
        let routers = spec
            .strategy
            .canary
            .and_then(|canary| canary.traffic_routing);
        let router = routers.as_ref().map_or("", Routers::label);
        self.info
            .with_label_values(&[labels[0], labels[1], strategy, router, old_phase])
            .set(1.0);
        for each in OLD_PHASES {
            let now = f64::from(u8::from(each == old_phase));
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

impl Collector for RolloutMetrics {
    fn desc(&self) -> Vec<&Desc> {
        // Unchecked: the families are built for each scrape.
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
