//! Numbers about Experiments under upstream's names.

use parking_lot::Mutex;
use prometheus::{
    GaugeVec, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use reconcile_core::watch::Index;

use super::view::ExperimentView;
use crate::{analysis::PHASES, pass_metrics::PassMetrics};

/// Registers all numbers. Those about objects are taken from the index when they are asked for.
pub(super) fn register(
    registry: &Registry,
    experiments: &Index<ExperimentView>,
) -> Result<PassMetrics, prometheus::Error> {
    let passes = PassMetrics::register(registry, "experiment", "an Experiment")?;
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
    Ok(passes)
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
