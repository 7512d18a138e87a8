//! Numbers about runs and templates under upstream's names.

use parking_lot::Mutex;
use prometheus::{
    GaugeVec, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use reconcile_core::object::{FieldError, ObjectKey};

use super::{AnalysisIndexes, RunView};
use crate::{
    api::analysis::{AnalysisPhase, AnalysisTemplateSpec},
    pass_metrics::PassMetrics,
};

/// Registers all numbers. Those about objects are taken from the indexes when they are asked for.
pub(super) fn register(
    registry: &Registry,
    shared: &AnalysisIndexes,
) -> Result<PassMetrics, prometheus::Error> {
    let passes = PassMetrics::register(registry, "analysis_run", "an AnalysisRun")?;
    registry.register(Box::new(ObjectNumbers::new(shared)?))?;
    Ok(passes)
}

/// The phases of runs and Experiments that metrics distinguish.
pub(crate) const PHASES: &[&str] = &[
    "Pending",
    "Running",
    "Successful",
    "Failed",
    "Error",
    "Inconclusive",
];

/// Numbers about the objects that exist. The series are made for each scrape and dropped after it: kept,
/// they would outlive their objects and take more memory than the index.
struct ObjectNumbers {
    shared: AnalysisIndexes,
    run_info: GaugeVec,
    run_phase: GaugeVec,
    metric_type: GaugeVec,
    metric_phase: GaugeVec,
    template_info: GaugeVec,
    template_metric_info: GaugeVec,
    scrape: Mutex<()>,
}

impl ObjectNumbers {
    fn new(shared: &AnalysisIndexes) -> Result<Self, prometheus::Error> {
        let gauge =
            |name: &str, help: &str, labels: &[&str]| GaugeVec::new(Opts::new(name, help), labels);
        Ok(Self {
            shared: shared.clone(),
            run_info: gauge(
                "analysis_run_info",
                "AnalysisRuns with their phase.",
                &["namespace", "name", "phase"],
            )?,
            run_phase: gauge(
                "analysis_run_phase",
                "1 for the phase that the AnalysisRun is in.",
                &["namespace", "name", "phase"],
            )?,
            metric_type: gauge(
                "analysis_run_metric_type",
                "Metrics of AnalysisRuns with their provider.",
                &["namespace", "name", "metric", "type"],
            )?,
            metric_phase: gauge(
                "analysis_run_metric_phase",
                "1 for the phase that the metric of an AnalysisRun is in.",
                &["namespace", "name", "metric", "type", "dry_run", "phase"],
            )?,
            template_info: gauge(
                "analysis_template_info",
                "AnalysisTemplates and, without namespace, ClusterAnalysisTemplates.",
                &["namespace", "name"],
            )?,
            template_metric_info: gauge(
                "analysis_template_metric_info",
                "Metrics of templates with their provider.",
                &["namespace", "name", "metric", "type"],
            )?,
            scrape: Mutex::new(()),
        })
    }

    fn all(&self) -> [&GaugeVec; 6] {
        [
            &self.run_info,
            &self.run_phase,
            &self.metric_type,
            &self.metric_phase,
            &self.template_info,
            &self.template_metric_info,
        ]
    }

    fn add_run(&self, run: &RunView) {
        let (namespace, name) = (run.key.namespace.as_str(), run.key.name.as_str());
        let is =
            |phase: &str, current: &AnalysisPhase| f64::from(u8::from(phase == current.as_str()));
        self.run_info
            .with_label_values(&[namespace, name, run.phase.as_str()])
            .set(1.0);
        for phase in PHASES {
            self.run_phase
                .with_label_values(&[namespace, name, phase])
                .set(is(phase, &run.phase));
        }
        for metric in &run.metrics {
            let labels = [namespace, name, metric.name.as_str(), metric.provider];
            self.metric_type.with_label_values(&labels).set(1.0);
            let dry_run = if metric.dry_run { "true" } else { "false" };
            for phase in PHASES {
                let [namespace, name, metric_name, provider] = labels;
                self.metric_phase
                    .with_label_values(&[namespace, name, metric_name, provider, dry_run, phase])
                    .set(is(phase, &metric.phase));
            }
        }
    }
}

impl ObjectNumbers {
    fn add_template(&self, key: &ObjectKey, spec: &Result<AnalysisTemplateSpec, FieldError>) {
        let (namespace, name) = (key.namespace.as_str(), key.name.as_str());
        self.template_info
            .with_label_values(&[namespace, name])
            .set(1.0);
        for metric in spec.iter().flat_map(|spec| &spec.metrics) {
            let provider = metric.provider.label();
            self.template_metric_info
                .with_label_values(&[namespace, name, metric.name.as_str(), provider])
                .set(1.0);
        }
    }
}

impl Collector for ObjectNumbers {
    fn desc(&self) -> Vec<&Desc> {
        self.all().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let _one_at_a_time = self.scrape.lock();
        self.shared.runs.each(|_, run| self.add_run(run));
        let templates = &self.shared.templates;
        templates
            .namespaced
            .each(|key, root| self.add_template(key, &root.parse_spec()));
        templates
            .cluster
            .each(|key, root| self.add_template(key, &root.parse_spec()));
        let mut families: Vec<MetricFamily> = self
            .all()
            .into_iter()
            .flat_map(Collector::collect)
            .collect();
        // The text encoder refuses families without a series.
        families.retain(|family| !family.get_metric().is_empty());
        self.all().into_iter().for_each(GaugeVec::reset);
        families
    }
}
