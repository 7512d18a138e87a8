//! Kubernetes clients: a fence through which every write must pass, deadlines, a count of each request.
//!
//! ```text
//!   Client ──► gate: fence ─► send ─► count ─┬─► answer      ─┐ all within the deadline of the request's class;
//!                ▲                           │                │ a write ends with the fence
//!                └─── a pause, server busy ◄─┘               ─┘
//! ```
//!
//! | class | requests | limits |
//! |---|---|---|
//! | unary | everything else | one deadline for all tries and the whole answer |
//! | stream | watch, `log?follow` | a deadline until a watch begins; then the reader sets the pace |
//! | upgrade | exec, attach, port-forward | a deadline until the protocol changes; always a write |
//!
//! [`Connection`] holds the sockets to one API server. Several clients, each with a [`ClientPolicy`] of its own, share
//! it: one for each role that the process holds, and one that needs no lease.

mod call;
mod fence;
mod gate;
mod guarded;
mod proxy;
mod tokens;
mod view;

pub use fence::Fence;
pub use gate::{Fenced, FencedInFlight, Late};
pub use guarded::GuardError;
pub use proxy::{ProxyAddress, ProxyError};
pub use tokens::{TokenError, TokenSource};
pub use view::RequestView;

use std::{sync::Arc, time::Duration};

use kube::{Client, Config, client::ClientBuilder};
use prometheus::{IntCounterVec, Opts, Registry, core::Collector, proto::MetricFamily};
use tower::{Layer, service_fn};

use crate::egress::EgressPolicy;
use gate::GateLayer;

/// True when the error is a write that the fence refused or cut off.
pub fn is_fenced(error: &kube::Error) -> bool {
    let kube::Error::Service(inner) = error else {
        return false;
    };
    inner.downcast_ref::<Fenced>().is_some() || inner.downcast_ref::<FencedInFlight>().is_some()
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

    /// The counts so far.
    pub fn counts(&self) -> Vec<RequestCount> {
        let mut counts = Vec::new();
        for metric in self.0.collect().iter().flat_map(MetricFamily::get_metric) {
            let label = |name: &str| {
                let mut labels = metric.get_label().iter();
                labels
                    .find(|label| label.name() == name)
                    .map_or_else(String::new, |label| label.value().to_owned())
            };
            counts.push(RequestCount {
                verb: label("verb"),
                resource: label("resource"),
                code: label("code"),
                total: whole(metric.get_counter().get_value()),
            });
        }
        counts
    }

    fn count(&self, verb: &str, resource: &str, code: &str) {
        self.0.with_label_values(&[verb, resource, code]).inc();
    }
}

/// The number of requests of one sort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestCount {
    /// Verb in lower case.
    pub verb: String,
    /// Plural of the kind.
    pub resource: String,
    /// HTTP status.
    pub code: String,
    /// Requests so far.
    pub total: u64,
}

/// A counter of whole numbers is read as a float.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are whole and far below 2^53"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

/// How long requests may take, by class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// A call with all its tries and its answer. The API server's own limit is 60 s; a healthy one answers in
    /// milliseconds, and an admission webhook has 30 s at most.
    pub unary: Duration,
    /// Until a watch begins.
    pub stream_start: Duration,
    /// Until the protocol of a connection changes.
    pub upgrade: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            unary: Duration::from_secs(30),
            stream_start: Duration::from_secs(30),
            upgrade: Duration::from_secs(30),
        }
    }
}

/// What the requests of one client must pass.
#[derive(Clone, Debug)]
pub struct ClientPolicy {
    /// Closed while the client may not write.
    pub fence: Fence,
    /// How long requests may take.
    pub deadlines: Deadlines,
    /// Where requests are counted.
    pub metrics: RequestMetrics,
}

/// The sockets to one API server. Cloning shares them.
#[derive(Clone)]
pub struct Connection(Client);

impl Connection {
    /// A connection as `config` says; no request is sent yet.
    pub fn new(mut config: Config) -> Result<Self, kube::Error> {
        // The deadlines are the gate's; a read timeout would cut quiet watches.
        config.read_timeout = None;
        // So are the retries: those of the library lie below the fence, so a write that was held up by a busy server
        // would still be sent after the lease is gone; and they repeat creates that may have happened.
        config.default_retry = false;
        Ok(Self(ClientBuilder::try_from(config)?.build()))
    }

    /// A connection to an API server that a Secret names, through `proxy_url` where `config` has one: addresses that the
    /// policy refuses are not called. No request is sent yet.
    pub fn guarded(config: &Config, egress: EgressPolicy) -> Result<Self, GuardError> {
        guarded::client(config, egress).map(Self)
    }

    /// The same connection, whose requests carry a bearer token that `tokens` gives.
    #[must_use]
    pub fn with_tokens(self, tokens: Arc<dyn TokenSource>) -> Self {
        Self(tokens::client(self.0, tokens))
    }

    /// The connection of an API server in memory.
    #[cfg(any(test, feature = "testkit"))]
    pub fn of_client(client: Client) -> Self {
        Self(client)
    }

    /// A client on this connection.
    pub fn client(&self, policy: ClientPolicy) -> Client {
        let sockets = self.0.clone();
        let send = service_fn(move |request| {
            let sockets = sockets.clone();
            async move { sockets.send(request).await }
        });
        Client::new(
            GateLayer::new(policy).layer(send),
            self.0.default_namespace(),
        )
        .with_valid_until(*self.0.valid_until())
    }
}

/// A client with a connection of its own.
pub fn connect(config: Config, policy: ClientPolicy) -> Result<Client, kube::Error> {
    Ok(Connection::new(config)?.client(policy))
}

#[cfg(test)]
mod tests;
