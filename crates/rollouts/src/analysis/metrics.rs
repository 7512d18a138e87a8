//! Numbers about runs and templates under upstream's names.

use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use reconcile_core::watch::Index;

use super::{RunView, Shared, Templates};

/// Upper bounds of the buckets for the time of a pass, in seconds.
const PASS_SECONDS: &[f64] = &[0.01, 0.15, 0.25, 0.5, 1.0];

/// What the driver counts.
pub(super) struct PassNumbers {
    /// Seconds per pass.
    pub(super) seconds: HistogramVec,
    /// Failed passes.
    pub(super) errors: IntCounterVec,
}

/// Registers all numbers. Those about objects are taken from the indexes when they are asked for.
pub(super) fn register(registry: &Registry, shared: &Shared) -> Result<PassNumbers, prometheus::Error> {
    let labels = ["namespace", "name"];
    let options = HistogramOpts::new("analysis_run_reconcile", "Seconds that a pass over an AnalysisRun took.")
        .buckets(PASS_SECONDS.to_vec());
    let seconds = HistogramVec::new(options, &labels)?;
    let options = Opts::new("analysis_run_reconcile_error", "Passes over an AnalysisRun that failed.");
    let errors = IntCounterVec::new(options, &labels)?;
    registry.register(Box::new(seconds.clone()))?;
    registry.register(Box::new(errors.clone()))?;
    registry.register(Box::new(RunNumbers { runs: shared.runs.clone() }))?;
    registry.register(Box::new(TemplateNumbers { templates: shared.templates.clone() }))?;
    Ok(PassNumbers { seconds, errors })
}

struct RunNumbers {
    runs: Index<RunView>,
}

fn gauge(name: &str, help: &str, labels: &[&str]) -> Option<GaugeVec> {
    // Only an invalid name fails, and all names here are constants.
    GaugeVec::new(Opts::new(name, help), labels).ok()
}

impl RunNumbers {
    fn gauges() -> Option<[GaugeVec; 4]> {
        let phase_help = "1 for the phase that the AnalysisRun is in.";
        Some([
            gauge("analysis_run_info", "AnalysisRuns with their phase.", &["namespace", "name", "phase"])?,
            gauge("analysis_run_phase", phase_help, &["namespace", "name", "phase"])?,
            gauge(
                "analysis_run_metric_type",
                "Metrics of AnalysisRuns with their provider.",
                &["namespace", "name", "metric", "type"],
            )?,
            gauge(
                "analysis_run_metric_phase",
                "1 for the phase that the metric of an AnalysisRun is in.",
                &["namespace", "name", "metric", "type", "phase"],
            )?,
        ])
    }
}

impl Collector for RunNumbers {
    fn desc(&self) -> Vec<&Desc> {
        // Unchecked: the families are made anew for each scrape.
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some([info, phases, types, metric_phases]) = Self::gauges() else { return Vec::new() };
        self.runs.each(|key, run| {
            let (namespace, name) = (key.namespace.as_str(), key.name.as_str());
            info.with_label_values(&[namespace, name, run.phase.as_str()]).set(1.0);
            for phase in PHASES {
                let now = f64::from(u8::from(*phase == run.phase.as_str()));
                phases.with_label_values(&[namespace, name, phase]).set(now);
            }
            for metric in &run.metrics {
                types.with_label_values(&[namespace, name, &metric.name, metric.provider]).set(1.0);
                for phase in PHASES {
                    let now = f64::from(u8::from(*phase == metric.phase.as_str()));
                    metric_phases
                        .with_label_values(&[namespace, name, &metric.name, metric.provider, phase])
                        .set(now);
                }
            }
        });
        [info, phases, types, metric_phases].iter().flat_map(Collector::collect).filter(filled).collect()
    }
}

/// The phases that are told apart.
const PHASES: &[&str] = &["Pending", "Running", "Successful", "Failed", "Error", "Inconclusive"];

struct TemplateNumbers {
    templates: Templates,
}

impl Collector for TemplateNumbers {
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let help = "AnalysisTemplates and ClusterAnalysisTemplates.";
        let Some(info) = gauge("analysis_template_info", help, &["namespace", "name"]) else {
            return Vec::new();
        };
        self.templates.namespaced.each(|key, _| {
            info.with_label_values(&[key.namespace.as_str(), key.name.as_str()]).set(1.0);
        });
        self.templates.cluster.each(|key, _| {
            info.with_label_values(&["", key.name.as_str()]).set(1.0);
        });
        info.collect().into_iter().filter(filled).collect()
    }
}

fn filled(family: &MetricFamily) -> bool {
    !family.get_metric().is_empty()
}
