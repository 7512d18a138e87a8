//! The Kubernetes client: one connection pool, a deadline on each call, a count of each request, and
//! the fence through which every write must pass.
//!
//! ```text
//!   Client ──► gate: fence ─► send, with a deadline ─► count ─┬─► answer
//!                ▲                                            │
//!                └──────── a pause, when the server is busy ◄─┘
//! ```

mod call;
mod fence;
mod gate;

pub use fence::Fence;
pub use gate::{Fenced, Late};

use kube::{Client, Config, client::ClientBuilder};
use prometheus::{IntCounterVec, Opts, Registry};

use gate::GateLayer;

/// True when the error is a write that the fence refused.
pub fn is_fenced(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Service(inner) if inner.downcast_ref::<Fenced>().is_some())
}

/// Counters of requests to the API server.
#[derive(Clone, Debug)]
pub struct RequestMetrics(IntCounterVec);

impl RequestMetrics {
    /// Registers `kubernetes_client_requests_total{verb,resource,code}`.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = IntCounterVec::new(
            Opts::new(
                "kubernetes_client_requests_total",
                "Requests sent to the Kubernetes API server.",
            ),
            &["verb", "resource", "code"],
        )?;
        registry.register(Box::new(counter.clone()))?;
        Ok(Self(counter))
    }

    fn count(&self, verb: &str, resource: &str, code: &str) {
        self.0.with_label_values(&[verb, resource, code]).inc();
    }
}

/// Builds the client for `config`: fenced, counted, with deadlines.
pub fn connect(
    mut config: Config,
    fence: Fence,
    metrics: RequestMetrics,
) -> Result<Client, kube::Error> {
    // The deadline of calls is ours; a read timeout would cut quiet watches.
    config.read_timeout = None;
    // So are the retries: those of the library lie below the fence, so a write that was held up by a busy server would
    // still be sent after the lease is gone; and they repeat creates that may have happened.
    config.default_retry = false;
    let layer = GateLayer::new(fence, metrics);
    Ok(ClientBuilder::try_from(config)?.with_layer(&layer).build())
}

#[cfg(test)]
mod tests;
