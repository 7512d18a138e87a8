//! Metrics under upstream's names. Upstream has a process per object and a constant `namespace` label;
//! here one process serves many, so `namespace` is an ordinary label.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use prometheus::{
    IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    core::{Collector, Desc},
    proto,
};

const SOURCE: &[&str] = &["namespace", "eventsource_name", "event_name"];
const TRIGGER: &[&str] = &["namespace", "sensor_name", "trigger_name"];
const DISCARDED: &[&str] = &["namespace", "sensor_name", "trigger_name", "filter"];
/// What refuses events.
const FILTERS: [&str; 10] = [
    "payload",
    "data",
    "expr",
    "context",
    "script",
    "time",
    "or",
    "transform",
    "namespace",
    "replay",
];

/// The metrics of the data plane. Cloning shares them.
#[derive(Clone)]
pub struct Metrics {
    /// Events that an event source serves.
    pub running: IntGaugeVec,
    /// Events stored by the bus.
    pub sent: IntCounterVec,
    /// Events that the bus did not take.
    pub sent_failed: IntCounterVec,
    /// Inputs that did not become an event.
    pub processing_failed: IntCounterVec,
    /// Time from input to stored event.
    pub processing: SummaryVec,
    /// Actions that were successful.
    pub triggered: IntCounterVec,
    /// Actions that failed after all tries.
    pub failed: IntCounterVec,
    /// Actions of which a try failed.
    pub retries_failed: IntCounterVec,
    /// Time that an action took.
    pub action: SummaryVec,
    /// Events that do not count for a trigger, by what refuses them.
    pub discarded: IntCounterVec,
    /// Events that were put with the dead letters.
    pub dead_lettered: IntCounterVec,
    /// Bytes of messages that triggers have taken from the bus and not answered yet.
    pub held: IntGauge,
}

/// The gauges of running events and of held bytes.
fn gauges(registry: &Registry) -> Result<(IntGaugeVec, IntGauge), prometheus::Error> {
    let running = IntGaugeVec::new(
        Opts::new(
            "argo_events_event_service_running_total",
            "Events that an event source serves at present.",
        ),
        &["namespace", "eventsource_name"],
    )?;
    registry.register(Box::new(running.clone()))?;
    let held = IntGauge::new(
        "argo_events_held_message_bytes",
        "Bytes of messages that triggers have taken from the bus and not answered yet.",
    )?;
    registry.register(Box::new(held.clone()))?;
    Ok((running, held))
}

impl Metrics {
    /// Registers all metrics.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter =
                IntCounterVec::new(Opts::new(format!("argo_events_{name}"), help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let summary = |name: &str, help: &str, labels: &[&'static str]| {
            let summary = SummaryVec::new(&format!("argo_events_{name}"), help, labels)?;
            registry.register(Box::new(summary.clone()))?;
            Ok::<_, prometheus::Error>(summary)
        };
        let (running, held) = gauges(registry)?;
        build_info(registry)?;
        Ok(Self {
            running,
            held,
            sent: counter("events_sent_total", "Events stored by the bus.", SOURCE)?,
            sent_failed: counter(
                "events_sent_failed_total",
                "Events that the bus did not take.",
                SOURCE,
            )?,
            processing_failed: counter(
                "events_processing_failed_total",
                "Inputs that did not become an event.",
                SOURCE,
            )?,
            processing: summary(
                "event_processing_duration_milliseconds",
                "Time from input to stored event.",
                SOURCE,
            )?,
            triggered: counter(
                "action_triggered_total",
                "Actions that were successful.",
                TRIGGER,
            )?,
            failed: counter("action_failed_total", "Actions that failed.", TRIGGER)?,
            retries_failed: counter(
                "action_retries_failed_total",
                "Actions that failed after all tries.",
                TRIGGER,
            )?,
            discarded: counter(
                "events_discarded_total",
                "Events that do not count for a trigger, by the filter that refuses them.",
                DISCARDED,
            )?,
            dead_lettered: counter(
                "events_dead_lettered_total",
                "Dead letters of a trigger.",
                TRIGGER,
            )?,
            action: summary(
                "action_duration_milliseconds",
                "Time that an action took.",
                TRIGGER,
            )?,
        })
    }

    /// Creates the series of an event at 0, as upstream does.
    pub fn source_at_zero(&self, labels: &[&str; 3]) {
        for counter in [&self.sent, &self.sent_failed, &self.processing_failed] {
            drop(counter.with_label_values(labels));
        }
    }

    fn of_triggers(&self) -> [&IntCounterVec; 4] {
        [
            &self.triggered,
            &self.failed,
            &self.retries_failed,
            &self.dead_lettered,
        ]
    }

    /// Creates the series of a trigger at 0, as upstream does.
    pub fn trigger_at_zero(&self, labels: &[&str; 3]) {
        for counter in self.of_triggers() {
            drop(counter.with_label_values(labels));
        }
    }

    /// Drops the series of an event. Absent ones are fine.
    pub fn drop_source(&self, labels: &[&str; 3]) {
        for counter in [&self.sent, &self.sent_failed, &self.processing_failed] {
            drop(counter.remove_label_values(labels));
        }
        self.processing.remove(labels);
    }

    /// Drops the series of a trigger. Absent ones are fine.
    pub fn drop_trigger(&self, labels: &[&str; 3]) {
        for counter in self.of_triggers() {
            drop(counter.remove_label_values(labels));
        }
        for filter in FILTERS {
            let labels = [labels[0], labels[1], labels[2], filter];
            drop(self.discarded.remove_label_values(&labels));
        }
        self.action.remove(labels);
    }
}

fn build_info(registry: &Registry) -> Result<(), prometheus::Error> {
    let info = IntGaugeVec::new(
        Opts::new("build_info", "The version of this program."),
        &["version"],
    )?;
    info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    registry.register(Box::new(info))
}

/// Sum and count by label values.
type Sums = BTreeMap<Vec<String>, (u64, u64)>;

/// A summary without quantiles: whole milliseconds, sum and count. The metrics library has no summaries.
#[derive(Clone)]
pub struct SummaryVec {
    desc: Desc,
    labels: Arc<[&'static str]>,
    values: Arc<Mutex<Sums>>,
}

impl SummaryVec {
    fn new(name: &str, help: &str, labels: &[&'static str]) -> Result<Self, prometheus::Error> {
        let names = labels.iter().map(|label| (*label).to_owned()).collect();
        Ok(Self {
            desc: Desc::new(
                name.to_owned(),
                help.to_owned(),
                names,
                std::collections::HashMap::new(),
            )?,
            labels: labels.into(),
            values: Arc::default(),
        })
    }

    /// Adds one duration.
    pub fn observe(&self, labels: &[&str], took: Duration) {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let mut values = self.values.lock();
        let key: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        let (sum, count) = values.entry(key).or_default();
        *sum = sum.saturating_add(millis);
        *count += 1;
    }

    fn remove(&self, labels: &[&str]) {
        self.values
            .lock()
            .retain(|key, _| key.iter().zip(labels).any(|(a, b)| a != b));
    }
}

impl Collector for SummaryVec {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "sums of milliseconds stay far below 2^53"
    )]
    fn collect(&self) -> Vec<proto::MetricFamily> {
        let values = self.values.lock();
        if values.is_empty() {
            return Vec::new();
        }
        let metrics = values
            .iter()
            .map(|(key, (sum, count))| {
                let mut pairs: Vec<proto::LabelPair> = self
                    .labels
                    .iter()
                    .zip(key)
                    .map(|(name, value)| {
                        let mut pair = proto::LabelPair::default();
                        pair.set_name((*name).to_owned());
                        pair.set_value(value.clone());
                        pair
                    })
                    .collect();
                pairs.sort_by(|a, b| a.name().cmp(b.name()));
                let mut summary = proto::Summary::default();
                summary.set_sample_sum(*sum as f64);
                summary.set_sample_count(*count);
                let mut metric = proto::Metric::from_label(pairs);
                metric.set_summary(summary);
                metric
            })
            .collect();
        let mut family = proto::MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(proto::MetricType::SUMMARY);
        family.set_metric(metrics);
        vec![family]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_prints_sum_and_count() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).expect("fresh registry");
        metrics
            .action
            .observe(&["ns", "sensor", "trigger"], Duration::from_micros(3999));
        metrics
            .action
            .observe(&["ns", "sensor", "trigger"], Duration::from_millis(4));
        metrics.trigger_at_zero(&["ns", "sensor", "trigger"]);
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&registry.gather())
            .expect("text");
        let labels = r#"{namespace="ns",sensor_name="sensor",trigger_name="trigger"}"#;
        assert!(
            text.contains(&format!(
                "argo_events_action_duration_milliseconds_sum{labels} 7"
            )),
            "{text}"
        );
        assert!(text.contains(&format!(
            "argo_events_action_duration_milliseconds_count{labels} 2"
        )));
        assert!(text.contains(&format!("argo_events_action_failed_total{labels} 0")));
    }
}
