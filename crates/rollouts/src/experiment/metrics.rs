//! Numbers about Experiments under upstream's names.

use parking_lot::Mutex;
use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use reconcile_core::watch::Index;

use super::ExperimentView;

/// Upper bounds of the buckets for the time of a pass, in seconds.
const PASS_SECONDS: &[f64] = &[0.01, 0.15, 0.25, 0.5, 1.0];

/// The phases that metrics distinguish.
const PHASES: &[&str] = &[
    "Pending",
    "Running",
    "Successful",
    "Failed",
    "Error",
    "Inconclusive",
];

/// What the driver counts.
pub(super) struct PassMetrics {
    /// Seconds per pass.
    pub(super) seconds: HistogramVec,
    /// Failed passes.
    pub(super) errors: IntCounterVec,
}

/// Registers all numbers. Those about objects are taken from the index when they are asked for.
pub(super) fn register(
    registry: &Registry,
    experiments: &Index<ExperimentView>,
) -> Result<PassMetrics, prometheus::Error> {
    let labels = ["namespace", "name"];
    let help = "Seconds that a pass over an Experiment took.";
    let options = HistogramOpts::new("experiment_reconcile", help).buckets(PASS_SECONDS.to_vec());
    let seconds = HistogramVec::new(options, &labels)?;
    let help = "Passes over an Experiment that failed.";
    let errors = IntCounterVec::new(Opts::new("experiment_reconcile_error", help), &labels)?;
    registry.register(Box::new(seconds.clone()))?;
    registry.register(Box::new(errors.clone()))?;
    let gauge = |name: &str, help: &str| {
        GaugeVec::new(Opts::new(name, help), &["namespace", "name", "phase"])
    };
    registry.register(Box::new(ObjectNumbers {
        experiments: experiments.clone(),
        info: gauge("experiment_info", "Experiments with their phase.")?,
        phase: gauge(
            "experiment_phase",
            "1 for the phase that the Experiment is in.",
        )?,
        scrape: Mutex::new(()),
    }))?;
    Ok(PassMetrics { seconds, errors })
}

/// Numbers about the Experiments that exist, made for each scrape and dropped after it.
struct ObjectNumbers {
    experiments: Index<ExperimentView>,
    info: GaugeVec,
    phase: GaugeVec,
    scrape: Mutex<()>,
}

impl Collector for ObjectNumbers {
    fn desc(&self) -> Vec<&Desc> {
        [self.info.desc(), self.phase.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let _one_at_a_time = self.scrape.lock();
        self.experiments.each(|key, view| {
            let (namespace, name) = (key.namespace.as_str(), key.name.as_str());
            let current = view.phase.as_str();
            self.info
                .with_label_values(&[namespace, name, current])
                .set(1.0);
            for phase in PHASES {
                let is = f64::from(u8::from(*phase == current));
                self.phase
                    .with_label_values(&[namespace, name, phase])
                    .set(is);
            }
        });
        let mut families = [self.info.collect(), self.phase.collect()].concat();
        // The text encoder refuses families without a series.
        families.retain(|family| !family.get_metric().is_empty());
        self.info.reset();
        self.phase.reset();
        families
    }
}
