//! Requests to the API server under the name and labels that dashboards of upstream know.

use parking_lot::Mutex;
use prometheus::{
    IntCounterVec, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use reconcile_core::client::RequestMetrics;

const NAME: &str = "controller_clientset_k8s_request_total";
/// The labels of upstream. `name` and `namespace` are empty: a series for every object that was ever requested takes
/// memory without bound.
const LABELS: [&str; 5] = ["kind", "namespace", "name", "verb", "status_code"];

/// Registers the counter. It is read from `sent` at each scrape.
pub(crate) fn register(registry: &Registry, sent: RequestMetrics) -> Result<(), prometheus::Error> {
    let options = Opts::new(NAME, "Requests sent to the Kubernetes API server.");
    let counter = IntCounterVec::new(options, &LABELS)?;
    registry.register(Box::new(Requests {
        sent,
        counter,
        scrape: Mutex::new(()),
    }))
}

struct Requests {
    sent: RequestMetrics,
    counter: IntCounterVec,
    scrape: Mutex<()>,
}

impl Collector for Requests {
    fn desc(&self) -> Vec<&Desc> {
        self.counter.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let _one_at_a_time = self.scrape.lock();
        for count in self.sent.counts() {
            let labels = [&*count.resource, "", "", verb(&count.verb), &*count.code];
            let series = self.counter.with_label_values(&labels);
            series.inc_by(count.total.saturating_sub(series.get()));
        }
        let mut families = self.counter.collect();
        // The text encoder refuses families without a series.
        families.retain(|family| !family.get_metric().is_empty());
        families
    }
}

/// The verb in upstream's spelling.
fn verb(verb: &str) -> &'static str {
    match verb {
        "get" => "Get",
        "list" => "List",
        "watch" => "Watch",
        "create" => "Create",
        "update" => "Update",
        "patch" => "Patch",
        "delete" => "Delete",
        _ => "Unknown",
    }
}
