//! Numbers about queues, under the names that client-go gives them.

use std::sync::Arc;

use parking_lot::Mutex;
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts,
    Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::Queue;

/// Upper bounds of the buckets in seconds: powers of ten from 10 ns, as client-go has them.
const SECONDS: [f64; 10] = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0];

/// Numbers about the queues of a process, each known by its name. Cloning shares them.
#[derive(Clone)]
pub struct QueueMetrics {
    adds: IntCounterVec,
    retries: IntCounterVec,
    waited: HistogramVec,
    worked: HistogramVec,
    queues: Arc<Mutex<Vec<(&'static str, Queue)>>>,
}

impl QueueMetrics {
    /// Registers `workqueue_*`.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| {
            let made = IntCounterVec::new(Opts::new(name, help), &["name"])?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let histogram = |name: &str, help: &str| {
            let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
            let made = HistogramVec::new(options, &["name"])?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let metrics = Self {
            adds: counter("workqueue_adds_total", "Objects that were queued.")?,
            retries: counter(
                "workqueue_retries_total",
                "Passes that are repeated after a failure.",
            )?,
            waited: histogram(
                "workqueue_queue_duration_seconds",
                "Seconds that objects waited in the queue.",
            )?,
            worked: histogram(
                "workqueue_work_duration_seconds",
                "Seconds that passes took.",
            )?,
            queues: Arc::default(),
        };
        registry.register(Box::new(Levels::new(metrics.queues.clone())?))?;
        Ok(metrics)
    }

    /// Measures `queue` under `name` from now on. A queue is measured once; a second name has no effect.
    pub fn measure(&self, name: &'static str, queue: &Queue) {
        let numbers = QueueNumbers {
            adds: self.adds.with_label_values(&[name]),
            retries: self.retries.with_label_values(&[name]),
            waited: self.waited.with_label_values(&[name]),
            worked: self.worked.with_label_values(&[name]),
        };
        if queue.measure(numbers) {
            self.queues.lock().push((name, queue.clone()));
        }
    }
}

/// What one queue counts.
#[derive(Debug)]
pub(super) struct QueueNumbers {
    pub(super) adds: IntCounter,
    pub(super) retries: IntCounter,
    pub(super) waited: Histogram,
    pub(super) worked: Histogram,
}

/// What a queue holds at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Level {
    /// Objects that wait.
    pub(super) ready: usize,
    /// Seconds that all passes in work have taken so far.
    pub(super) unfinished: f64,
    /// Seconds that the longest of them has taken.
    pub(super) longest: f64,
}

/// Reads the queues for each scrape.
struct Levels {
    queues: Arc<Mutex<Vec<(&'static str, Queue)>>>,
    depth: IntGaugeVec,
    unfinished: GaugeVec,
    longest: GaugeVec,
}

impl Levels {
    fn new(queues: Arc<Mutex<Vec<(&'static str, Queue)>>>) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| GaugeVec::new(Opts::new(name, help), &["name"]);
        let depth = Opts::new("workqueue_depth", "Objects that wait in the queue.");
        Ok(Self {
            queues,
            depth: IntGaugeVec::new(depth, &["name"])?,
            unfinished: gauge(
                "workqueue_unfinished_work_seconds",
                "Seconds that all passes in work have taken so far.",
            )?,
            longest: gauge(
                "workqueue_longest_running_processor_seconds",
                "Seconds that the longest pass in work has taken so far.",
            )?,
        })
    }
}

impl Collector for Levels {
    fn desc(&self) -> Vec<&Desc> {
        [
            self.depth.desc(),
            self.unfinished.desc(),
            self.longest.desc(),
        ]
        .concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        for (name, queue) in self.queues.lock().iter() {
            let level = queue.level();
            let ready = i64::try_from(level.ready).unwrap_or(i64::MAX);
            self.depth.with_label_values(&[name]).set(ready);
            self.unfinished
                .with_label_values(&[name])
                .set(level.unfinished);
            self.longest.with_label_values(&[name]).set(level.longest);
        }
        let mut families = [
            self.depth.collect(),
            self.unfinished.collect(),
            self.longest.collect(),
        ]
        .concat();
        // The text encoder refuses families without a series.
        families.retain(|family| !family.get_metric().is_empty());
        families
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus::TextEncoder;

    use super::*;
    use crate::object::ObjectKey;

    #[tokio::test(start_paused = true)]
    async fn a_queue_is_counted_under_the_names_of_client_go() {
        let (registry, queue) = (Registry::new(), Queue::new());
        let metrics = QueueMetrics::register(&registry).expect("fresh names");
        metrics.measure("Rollouts", &queue);
        let text = || {
            TextEncoder::new()
                .encode_to_string(&registry.gather())
                .expect("text")
        };
        let key = ObjectKey::new("ns", "a");
        queue.add(key.clone());
        queue.add(key.clone());
        queue.add(ObjectKey::new("ns", "b"));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(queue.next().await, key);
        queue.add(key.clone());
        tokio::time::advance(Duration::from_secs(3)).await;
        for line in [
            r#"workqueue_adds_total{name="Rollouts"} 3"#,
            r#"workqueue_depth{name="Rollouts"} 1"#,
            r#"workqueue_queue_duration_seconds_sum{name="Rollouts"} 2"#,
            r#"workqueue_unfinished_work_seconds{name="Rollouts"} 3"#,
            r#"workqueue_longest_running_processor_seconds{name="Rollouts"} 3"#,
        ] {
            assert!(text().contains(line), "{line} is missing:\n{}", text());
        }
        queue.finish(&key);
        queue.retry_after(key, Duration::from_secs(1));
        for line in [
            r#"workqueue_work_duration_seconds_sum{name="Rollouts"} 3"#,
            r#"workqueue_retries_total{name="Rollouts"} 1"#,
            r#"workqueue_unfinished_work_seconds{name="Rollouts"} 0"#,
        ] {
            assert!(text().contains(line), "{line} is missing:\n{}", text());
        }
    }
}
