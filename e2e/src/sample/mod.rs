//! The sample application: one small HTTP server that answers for every simulated pod. It listens on all addresses
//! and tells pods apart by the local address of the connection.
//!
//! * `/` names the version (also in the header `x-version`). A version whose tag contains `bad` answers half of the
//!   requests with 500 and all of them late; one that contains `slow` is only late. A pod's annotations
//!   `bed/error-rate` (0 to 1) and `bed/latency` (milliseconds) override this.
//! * `/metrics` shows this pod's `http_requests_total` by version and code and the histogram
//!   `http_request_duration_seconds`.
//! * `/healthz` always answers.

mod metrics;
mod version;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::serve::IncomingStream;
use kube::Client;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

pub use crate::pods::SAMPLE_PORT;

use crate::pods::{self, Directory, PodInfo};
use metrics::PodMetrics;
use version::Behaviour;

/// The running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Sample {
    /// The port it listens on, on every address.
    pub port: u16,
    _watch: AbortOnDropHandle<()>,
    _server: AbortOnDropHandle<()>,
}

#[derive(Debug, Clone)]
struct App {
    pods: watch::Receiver<Directory>,
    /// By pod uid: an address may be used again by another pod. Bounded by the pods that served since start.
    metrics: Arc<Mutex<HashMap<String, PodMetrics>>>,
}

/// The local address of a connection: which pod was called.
#[derive(Debug, Clone, Copy)]
struct Called(Option<IpAddr>);

impl Connected<IncomingStream<'_, TcpListener>> for Called {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self(stream.io().local_addr().ok().map(|address| address.ip()))
    }
}

impl Sample {
    /// Listens on `port` of every address and follows the cluster's pods. Needs a runtime around it.
    pub fn start(client: Client, port: u16) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        socket
            .bind(address)
            .with_context(|| format!("the sample application's port {port}"))?;
        let listener = socket.listen(4096)?;
        let (pods, watch) = pods::follow(client);
        let app = App {
            pods,
            metrics: Arc::default(),
        };
        let router = Router::new()
            .route("/metrics", get(show_metrics))
            .route("/healthz", get(async || "ok"))
            .fallback(answer)
            .with_state(app)
            .into_make_service_with_connect_info::<Called>();
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the sample application ended");
            }
        });
        Ok(Self {
            port,
            _watch: watch,
            _server: AbortOnDropHandle::new(server),
        })
    }
}

impl App {
    fn pod(&self, Called(address): Called) -> Option<PodInfo> {
        self.pods.borrow().get(&address?).cloned()
    }

    fn with_metrics<T>(&self, pod: &PodInfo, act: impl FnOnce(&mut PodMetrics) -> T) -> T {
        let mut all = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        act(all.entry(pod.uid.clone()).or_default())
    }
}

async fn answer(State(app): State<App>, ConnectInfo(called): ConnectInfo<Called>) -> Response {
    let begin = Instant::now();
    let Some(pod) = app.pod(called) else {
        return (StatusCode::SERVICE_UNAVAILABLE, "no pod has this address\n").into_response();
    };
    let behaviour = Behaviour::of(&pod);
    if !behaviour.latency.is_zero() {
        tokio::time::sleep(behaviour.latency).await;
    }
    let code = app.with_metrics(&pod, |metrics| {
        metrics.count(behaviour.error_rate, begin.elapsed())
    });
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let text = format!("{} {} {code}\n", pod.name, pod.version);
    (status, [("x-version", pod.version)], text).into_response()
}

async fn show_metrics(
    State(app): State<App>,
    ConnectInfo(called): ConnectInfo<Called>,
) -> Response {
    let Some(pod) = app.pod(called) else {
        return (StatusCode::SERVICE_UNAVAILABLE, "no pod has this address\n").into_response();
    };
    let text = app.with_metrics(&pod, |metrics| metrics.render(&pod.version));
    ([("content-type", "text/plain; version=0.0.4")], text).into_response()
}
