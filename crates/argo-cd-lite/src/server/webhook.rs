//! `POST /api/webhook`: a push asks for a poll of its repository. Every replica serves it, whether it leads or not.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use parking_lot::RwLock;
use prometheus::IntGauge;
use reconcile_core::{
    credentials::redact_url,
    listen::{self, BindError, Budget, Limits, ListenAddress, Server, TlsMode},
    secret::Secret,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    RefreshRequests,
    payload::{Provider, repositories, verify},
    registry,
};
use crate::repo::{ChartHub, RepoHub};

/// Largest payload; pushes of thousands of commits stay below, and nobody can fill the memory.
const MAX_BODY: usize = 10 * 1024 * 1024;
/// What a person sees who opens the port in a browser.
const INDEX: &str = "argo-cd-lite: the webhook of Git servers and registries.\n\n\
    POST /api/webhook  a push refreshes the Applications of its repository\n\n\
    There is no user interface here: kubectl get applications. Metrics and probes have a port of their own.\n";
/// Requests that may wait. Each is only a few URLs; a sender gets 503 when the queue is full.
const QUEUE: usize = 1000;

/// Values of `webhook.<provider>.secret`.
pub type WebhookSecrets = Arc<RwLock<BTreeMap<String, Secret>>>;

/// The webhook server of a replica.
pub struct WebhookServer {
    /// Where it listens.
    pub listen: ListenAddress,
    /// What clients may take.
    pub budget: Budget,
    /// The secrets of the senders.
    pub secrets: WebhookSecrets,
    /// Requests that wait.
    pub depth: IntGauge,
    /// The repositories of the Applications that this process acts for.
    pub repos: RepoHub,
    /// Their charts and artifacts.
    pub charts: ChartHub,
    /// For the other Applications.
    pub refreshes: RefreshRequests,
    /// Ends the server.
    pub stop: CancellationToken,
}

#[derive(Clone)]
struct Receiver {
    secrets: WebhookSecrets,
    queue: mpsc::Sender<Vec<String>>,
    depth: IntGauge,
}

impl WebhookServer {
    /// Binds the port and gives the future that serves it.
    pub async fn bind(self) -> Result<impl Future<Output = ()> + Send, BindError> {
        let listener = self.listen.bind().await?;
        tracing::info!(bound = ?listener.local_addr().ok(), "serving /api/webhook");
        let (queue, requests) = mpsc::channel(QUEUE);
        let server = Server {
            name: "webhook".to_owned(),
            limits: Limits::default(),
            budget: self.budget.clone(),
            tls: TlsMode::plain(),
            router: router(Receiver {
                secrets: self.secrets.clone(),
                queue,
                depth: self.depth.clone(),
            }),
        };
        let stop = self.stop.clone();
        Ok(async move {
            tokio::select! {
                () = listen::serve(listener, server, stop) => {}
                () = self.hand_on(requests) => {}
            }
        })
    }

    async fn hand_on(&self, mut requests: mpsc::Receiver<Vec<String>>) {
        while let Some(urls) = requests.recv().await {
            self.depth.dec();
            let shown: Vec<String> = urls.iter().map(|url| redact_url(url)).collect();
            let repositories = self.repos.poll_now(&urls) + self.charts.poll_now(&urls);
            let applications = self.refreshes.request(&urls).await;
            tracing::info!(
                repositories,
                applications,
                urls = ?shown,
                "a repository was pushed to: reading its refs or tags, and requesting refreshes of Applications of other processes"
            );
        }
    }
}

fn router(receiver: Receiver) -> Router {
    Router::new()
        .route("/", get(|| async { INDEX }))
        .route("/api/webhook", post(receive))
        .route("/healthz", get(|| async { "ok" }))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(receiver)
}

async fn receive(
    State(receiver): State<Receiver>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let header = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
    let urls = match pushed(&receiver.secrets.read(), header, &body) {
        Ok(urls) => urls,
        Err(answer) => return answer,
    };
    receiver.depth.inc();
    if receiver.queue.try_send(urls).is_ok() {
        return (StatusCode::OK, "ok");
    }
    receiver.depth.dec();
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "Queue is full, discarding webhook payload",
    )
}

/// The URLs of the repository that was pushed to, or the answer to a request that leads to nothing.
fn pushed(
    secrets: &BTreeMap<String, Secret>,
    header: impl Fn(&str) -> Option<String> + Copy,
    body: &[u8],
) -> Result<Vec<String>, (StatusCode, &'static str)> {
    let of_registry = |found: Result<Option<String>, serde_json::Error>| match found {
        Ok(Some(url)) => Ok(vec![url]),
        Ok(None) => Err((StatusCode::OK, "no tag was pushed")),
        Err(_) => Err((StatusCode::BAD_REQUEST, "the payload has another form")),
    };
    if registry::is_harbor(secrets, header) {
        return of_registry(registry::harbor_artifact(body));
    }
    let Some((provider, event)) = Provider::of(header) else {
        return Err((StatusCode::BAD_REQUEST, "Unknown webhook event"));
    };
    if !verify(provider, secrets, header, body) {
        return Err((
            StatusCode::UNAUTHORIZED,
            "the signature does not match the secret",
        ));
    }
    if provider.is_ping(&event) {
        return Err((StatusCode::OK, "pong"));
    }
    if provider == Provider::GitHub && event == registry::PACKAGE {
        return of_registry(registry::github_package(body));
    }
    let Ok(urls) = repositories(body) else {
        return Err((StatusCode::BAD_REQUEST, "the payload is not JSON"));
    };
    if urls.is_empty() {
        return Err((StatusCode::BAD_REQUEST, "the payload names no repository"));
    }
    Ok(urls)
}
