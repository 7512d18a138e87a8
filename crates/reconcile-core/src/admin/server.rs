//! The admin server.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use prometheus::{Registry, TextEncoder};
use tokio_util::sync::CancellationToken;

use super::Readiness;
use crate::listen::{self, BindError, Budget, Limits, Server, TlsMode};

/// What Prometheus calls its text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Connections at a time, on all admin ports; a kubelet and a few Prometheus servers need less. They are not taken
/// from the budget of the other listeners, so that probes are answered whatever happens there.
const CONNECTIONS: usize = 64;
/// What a person sees who opens the port in a browser.
const INDEX: &str = "Metrics and probes of this operator.\n\n\
    /metrics  numbers for Prometheus\n\
    /healthz  200 while the process lives\n\
    /readyz   200 when it is ready, else the reason\n";
/// No endpoint reads a body.
const BYTES: usize = 64 * 1024;

/// Serves metrics and probes.
#[derive(Clone)]
pub struct AdminServer {
    endpoints: Endpoints,
    budget: Budget,
}

#[derive(Clone)]
struct Endpoints {
    registry: Registry,
    readiness: Readiness,
}

impl AdminServer {
    /// A server that listens nowhere yet.
    pub fn new(registry: Registry, readiness: Readiness) -> Self {
        Self {
            endpoints: Endpoints {
                registry,
                readiness,
            },
            budget: Budget::new(CONNECTIONS, BYTES),
        }
    }

    /// Binds `port` of `address`, or of all addresses without one, and gives the future that serves the endpoints.
    pub async fn serve(
        &self,
        address: Option<IpAddr>,
        port: u16,
    ) -> Result<(SocketAddr, impl Future<Output = ()> + Send + use<>), BindError> {
        let listener = listen::bind(address, port).await?;
        let bound = listener.local_addr().map_err(|source| BindError {
            address: SocketAddr::new(address.unwrap_or([0, 0, 0, 0].into()), port),
            source,
        })?;
        let router = Router::new()
            .route("/", get(|| async { INDEX }))
            .route("/metrics", get(metrics))
            .route("/healthz", get(|| async { "ok" }))
            .route("/readyz", get(ready))
            .with_state(self.endpoints.clone());
        let server = Server {
            name: "admin".to_owned(),
            limits: Limits {
                connections: CONNECTIONS,
                bytes: BYTES,
                body: Duration::from_secs(5),
                ..Limits::default()
            },
            budget: self.budget.clone(),
            tls: TlsMode::plain(),
            router,
        };
        // Served until the process ends.
        let served = listen::serve(listener, server, CancellationToken::new());
        Ok((bound, served))
    }
}

async fn metrics(State(endpoints): State<Endpoints>) -> impl IntoResponse {
    match TextEncoder::new().encode_to_string(&endpoints.registry.gather()) {
        Ok(text) => (StatusCode::OK, [(CONTENT_TYPE, TEXT_FORMAT)], text),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [(CONTENT_TYPE, "text/plain; charset=utf-8")],
            error.to_string(),
        ),
    }
}

async fn ready(State(endpoints): State<Endpoints>) -> (StatusCode, String) {
    let missing = endpoints.readiness.missing();
    let holds = endpoints.readiness.holds();
    if !missing.is_empty() {
        let text = format!("waiting for: {}", missing.join(", "));
        (StatusCode::SERVICE_UNAVAILABLE, text)
    } else if !holds.is_empty() {
        (StatusCode::SERVICE_UNAVAILABLE, holds.join("\n"))
    } else {
        (StatusCode::OK, "ok".to_owned())
    }
}
