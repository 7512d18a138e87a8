//! Counts of requests under another name, for dashboards of upstream.

use parking_lot::Mutex;
use prometheus::{
    IntCounterVec, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::{RequestCount, RequestMetrics};

/// A counter that shows the requests under another name.
#[derive(Clone, Copy, Debug)]
pub struct RequestView {
    /// Its name.
    pub name: &'static str,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// The values of the labels, in their order.
    pub values: fn(&RequestCount) -> Vec<&str>,
}

impl RequestMetrics {
    /// Registers the counter of `view`; it is read at each scrape.
    pub fn show_as(&self, registry: &Registry, view: RequestView) -> Result<(), prometheus::Error> {
        let options = Opts::new(view.name, "Requests sent to the Kubernetes API server.");
        let counter = IntCounterVec::new(options, view.labels)?;
        registry.register(Box::new(Shown {
            sent: self.clone(),
            counter,
            values: view.values,
            scrape: Mutex::new(()),
        }))
    }
}

struct Shown {
    sent: RequestMetrics,
    counter: IntCounterVec,
    values: fn(&RequestCount) -> Vec<&str>,
    scrape: Mutex<()>,
}

impl Collector for Shown {
    fn desc(&self) -> Vec<&Desc> {
        self.counter.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let _one_at_a_time = self.scrape.lock();
        for count in self.sent.counts() {
            let series = self.counter.with_label_values(&(self.values)(&count));
            series.inc_by(count.total.saturating_sub(series.get()));
        }
        let mut families = self.counter.collect();
        // The text encoder refuses families without a series.
        families.retain(|family| !family.get_metric().is_empty());
        families
    }
}
