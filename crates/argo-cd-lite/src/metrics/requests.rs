//! Requests to the API server under upstream's name.

use prometheus::Registry;
use reconcile_core::client::{RequestCount, RequestMetrics, RequestView};

/// Upstream's labels. Those of the Application are empty: a series for each Application, kind and namespace takes memory
/// without bound.
const LABELS: [&str; 9] = [
    "namespace",
    "name",
    "project",
    "server",
    "response_code",
    "verb",
    "resource_kind",
    "resource_namespace",
    "dry_run",
];

/// Registers `argocd_app_k8s_request_total`.
pub fn register(registry: &Registry, sent: &RequestMetrics) -> Result<(), prometheus::Error> {
    let view = RequestView {
        name: "argocd_app_k8s_request_total",
        labels: &LABELS,
        values: |count: &RequestCount| {
            let (code, verb, kind) = (&*count.code, &*count.verb, &*count.resource);
            vec!["", "", "", "", code, verb, kind, "", "false"]
        },
    };
    sent.show_as(registry, view)
}
