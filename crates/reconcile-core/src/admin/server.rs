//! The admin server.

use std::{io, net::SocketAddr};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use prometheus::{Registry, TextEncoder};
use thiserror::Error;
use tokio::net::TcpListener;

use super::Readiness;

/// The admin server could not be started.
#[derive(Debug, Error)]
#[error("cannot listen on {address} for probes and metrics: {source}")]
pub struct AdminError {
    /// The address that was asked for.
    pub address: SocketAddr,
    /// Why it failed.
    #[source]
    pub source: io::Error,
}

#[derive(Clone)]
struct Endpoints {
    registry: Registry,
    readiness: Readiness,
}

/// Binds `address` and gives the future that serves the endpoints.
pub async fn serve(
    address: SocketAddr,
    registry: Registry,
    readiness: Readiness,
) -> Result<(SocketAddr, impl Future<Output = io::Result<()>> + Send), AdminError> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| AdminError { address, source })?;
    let bound = listener
        .local_addr()
        .map_err(|source| AdminError { address, source })?;
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .with_state(Endpoints {
            registry,
            readiness,
        });
    Ok((bound, async move { axum::serve(listener, router).await }))
}

async fn metrics(State(endpoints): State<Endpoints>) -> (StatusCode, String) {
    match TextEncoder::new().encode_to_string(&endpoints.registry.gather()) {
        Ok(text) => (StatusCode::OK, text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

async fn ready(State(endpoints): State<Endpoints>) -> (StatusCode, String) {
    let missing = endpoints.readiness.missing();
    if missing.is_empty() {
        (StatusCode::OK, "ok".to_owned())
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("waiting for: {}", missing.join(", ")),
        )
    }
}
