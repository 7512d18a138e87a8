//! `POST /api/webhook`: a push asks for a poll of its repository.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use parking_lot::RwLock;
use prometheus::IntGauge;
use tokio::{net::TcpListener, sync::mpsc};

use super::payload::{Provider, repositories, verify};
use crate::repo::RepoHub;

/// Largest payload; pushes of thousands of commits stay below, and nobody can fill the memory.
const MAX_BODY: usize = 10 * 1024 * 1024;
/// Requests that may wait. Each is only a few URLs; a sender is told to come back when they are full.
const QUEUE: usize = 1000;

/// Values of `webhook.<provider>.secret`.
pub type WebhookSecrets = Arc<RwLock<BTreeMap<String, String>>>;

#[derive(Clone)]
struct Shared {
    secrets: WebhookSecrets,
    queue: mpsc::Sender<Vec<String>>,
    depth: IntGauge,
}

/// Binds `port` and gives the future that serves it.
pub async fn serve(
    port: u16,
    repos: RepoHub,
    secrets: WebhookSecrets,
    depth: IntGauge,
) -> std::io::Result<impl Future<Output = ()> + Send> {
    let listener = TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], port))).await?;
    tracing::info!(bound = %listener.local_addr()?, "serving /api/webhook");
    let (queue, requests) = mpsc::channel(QUEUE);
    let router = router(Shared {
        secrets,
        queue,
        depth: depth.clone(),
    });
    Ok(async move {
        let served = async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the webhook server ended");
            }
        };
        tokio::select! {
            () = served => {}
            () = work(requests, repos, depth) => {}
        }
    })
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/api/webhook", post(receive))
        .route("/healthz", get(|| async { "ok" }))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(shared)
}

async fn work(mut requests: mpsc::Receiver<Vec<String>>, repos: RepoHub, depth: IntGauge) {
    while let Some(urls) = requests.recv().await {
        depth.dec();
        let found = repos.poll_now(&urls);
        tracing::info!(repositories = found, ?urls, "a push was announced");
    }
}

async fn receive(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let header = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
    let Some((provider, event)) = Provider::of(header) else {
        return (StatusCode::BAD_REQUEST, "Unknown webhook event");
    };
    if !verify(provider, &shared.secrets.read(), header, &body) {
        return (
            StatusCode::UNAUTHORIZED,
            "the signature does not match the secret",
        );
    }
    if event == "ping" {
        return (StatusCode::OK, "pong");
    }
    let Ok(payload) = serde_json::from_slice::<serde_json::Value>(&body) else {
        return (StatusCode::BAD_REQUEST, "the payload is not JSON");
    };
    let urls = repositories(&payload);
    if urls.is_empty() {
        return (StatusCode::BAD_REQUEST, "the payload names no repository");
    }
    shared.depth.inc();
    if shared.queue.try_send(urls).is_ok() {
        return (StatusCode::OK, "ok");
    }
    shared.depth.dec();
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "Queue is full, discarding webhook payload",
    )
}
