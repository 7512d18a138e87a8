//! Requests to the API server under the name and labels that dashboards of upstream know.

use prometheus::Registry;
use reconcile_core::client::{RequestCount, RequestMetrics, RequestView};

/// The labels of upstream. `name` and `namespace` are empty: a series for every object that was ever requested takes
/// memory without bound.
const LABELS: [&str; 5] = ["kind", "namespace", "name", "verb", "status_code"];

/// Registers the counter. It is read from `sent` at each scrape.
pub(crate) fn register(
    registry: &Registry,
    sent: &RequestMetrics,
) -> Result<(), prometheus::Error> {
    let view = RequestView {
        name: "controller_clientset_k8s_request_total",
        labels: &LABELS,
        values: |count: &RequestCount| {
            let (kind, code) = (&*count.resource, &*count.code);
            vec![kind, "", "", verb(&count.verb), code]
        },
    };
    sent.show_as(registry, view)
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
