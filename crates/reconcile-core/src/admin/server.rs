//! The admin server.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use prometheus::{Registry, TextEncoder};
use thiserror::Error;
use tokio::net::TcpListener;

use super::Readiness;

/// What Prometheus calls its text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

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

/// Binds `port` on all addresses and gives the future that serves the endpoints.
pub async fn serve(
    port: u16,
    registry: Registry,
    readiness: Readiness,
) -> Result<(SocketAddr, impl Future<Output = io::Result<()>> + Send), AdminError> {
    let (listener, bound) = bind(port).await?;
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

/// Both families with one socket, as Go listens; only the old one where the machine has no IPv6.
async fn bind(port: u16) -> Result<(TcpListener, SocketAddr), AdminError> {
    let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let old = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let (address, listener) = match TcpListener::bind(both).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            (old, TcpListener::bind(old).await)
        }
        outcome => (both, outcome),
    };
    listener
        .and_then(|listener| {
            let bound = listener.local_addr()?;
            Ok((listener, bound))
        })
        .map_err(|source| AdminError { address, source })
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
    if missing.is_empty() {
        (StatusCode::OK, "ok".to_owned())
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("waiting for: {}", missing.join(", ")),
        )
    }
}
