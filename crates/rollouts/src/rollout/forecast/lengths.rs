//! How long the analyses and Experiments of a simulation take.

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use reconcile_core::kube_types::GoDuration;

use super::cluster::Cluster;
use crate::{
    analysis::build::RunType,
    api::analysis::{Metric, RolloutAnalysis},
    experiment::validate::check_duration,
};

/// Time of a single measurement.
const MEASUREMENT: SignedDuration = SignedDuration::from_secs(1);
/// Time of an analysis of which the files say nothing.
const UNKNOWN_ANALYSIS: SignedDuration = SignedDuration::from_secs(60);

impl Cluster {
    /// How long the analysis takes by its templates; none when it runs until it is terminated.
    pub(super) fn analysis_length(&self, run_type: RunType, fails: bool) -> Option<SignedDuration> {
        let strategy = &self.objects.root["spec"]["strategy"];
        let analysis = match run_type {
            RunType::Step(index) => {
                let index = usize::try_from(index).unwrap_or_default();
                &strategy["canary"]["steps"][index]["analysis"]
            }
            RunType::Background => &strategy["canary"]["analysis"],
            RunType::PrePromotion => &strategy["blueGreen"]["prePromotionAnalysis"],
            RunType::PostPromotion => &strategy["blueGreen"]["postPromotionAnalysis"],
        };
        let analysis: RolloutAnalysis =
            serde_json::from_value(analysis.clone()).unwrap_or_default();
        let templates = &self.objects.indexes.analysis.templates;
        let templates = templates.resolve(&self.objects.key().namespace, &analysis.templates);
        let templates = templates.unwrap_or_default();
        let metrics: Vec<&Metric> = templates.iter().flat_map(|spec| &spec.metrics).collect();
        if metrics.is_empty() {
            return Some(UNKNOWN_ANALYSIS);
        }
        let mut longest = SignedDuration::ZERO;
        for metric in metrics {
            longest = longest.max(length_of(metric, fails)?);
        }
        Some(longest)
    }

    /// How long the Experiment of a step runs: its duration, or the time of an analysis that it waits for.
    pub(super) fn experiment_length(&self, index: i32) -> SignedDuration {
        let index = usize::try_from(index).unwrap_or_default();
        let steps = &self.objects.root["spec"]["strategy"]["canary"]["steps"];
        let step = &steps[index]["experiment"];
        let analyses = step["analyses"].as_array();
        let is_early =
            analyses.is_some_and(|all| all.iter().any(|one| one["requiredForCompletion"] == true));
        let length = check_duration("", step["duration"].as_str()).ok().flatten();
        length.filter(|_| !is_early).unwrap_or(UNKNOWN_ANALYSIS)
    }
}

/// Time that a metric needs for its verdict; none when it is measured until the run is terminated.
fn length_of(metric: &Metric, fails: bool) -> Option<SignedDuration> {
    let duration = |text: Option<&String>| {
        let parsed = text.and_then(|text| text.parse::<GoDuration>().ok());
        parsed.map(GoDuration::to_signed)
    };
    let number = |field: Option<&IntOrString>| match field? {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(text) => text.parse().ok(),
    };
    let interval = duration(metric.interval.as_ref());
    let count = if fails {
        number(metric.failure_limit.as_ref()).unwrap_or(0).max(0) + 1
    } else {
        match (number(metric.count.as_ref()), interval) {
            (Some(count @ 1..), _) => count,
            (_, None) => 1,
            (_, Some(_)) => return None,
        }
    };
    let between = interval.unwrap_or_default().saturating_mul(count - 1);
    let delay = duration(metric.initial_delay.as_ref()).unwrap_or_default();
    Some(delay.saturating_add(between).saturating_add(MEASUREMENT))
}
