//! A Git server over HTTP: `git http-backend` behind a small CGI bridge, with a push hook.
//!
//! Anybody may read and push. A push that changes references calls every configured webhook with GitHub's payload.

mod bridge;
mod repository;
mod webhook;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::sync::{Mutex, RwLock};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ports::Port;
pub use repository::Repository;
pub use webhook::Webhook;

/// What the bridge and the repositories share.
#[derive(Debug)]
pub(crate) struct ServerState {
    /// The folder of bare repositories.
    pub(crate) root: PathBuf,
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    pub(crate) webhooks: RwLock<Vec<Webhook>>,
    /// Deliveries on their way.
    pub(crate) deliveries: TaskTracker,
}

/// The Git server of a bed.
#[derive(Debug)]
pub struct GitServer {
    shared: Arc<ServerState>,
    work: PathBuf,
    port: Port,
    running: Mutex<Option<(CancellationToken, tokio::task::JoinHandle<()>)>>,
}

impl GitServer {
    pub(crate) async fn start_in(dir: &Path) -> Result<Self> {
        let port = Port::claim()?;
        let root = dir.join("git");
        let work = dir.join("git-work");
        std::fs::create_dir_all(&root)?;
        std::fs::create_dir_all(&work)?;
        let shared = Arc::new(ServerState {
            root,
            url: format!("http://127.0.0.1:{}", port.number()),
            webhooks: RwLock::default(),
            deliveries: TaskTracker::new(),
        });
        let server = Self {
            shared,
            work,
            port,
            running: Mutex::new(None),
        };
        server.start().await?;
        Ok(server)
    }

    /// The address below which repositories are: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// Begins to answer. Nothing happens when it does already.
    pub async fn start(&self) -> Result<()> {
        let mut running = self.running.lock().await;
        if running.is_some() {
            return Ok(());
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.number()));
        // Connections of a server that was just stopped must not stop it from starting again.
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(address).context("the Git server's port")?;
        let listener = socket.listen(1024)?;
        let stop = CancellationToken::new();
        let app = bridge::router(Arc::clone(&self.shared));
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let serving = axum::serve(listener, app);
            tokio::select! {
                outcome = serving => {
                    if let Err(error) = outcome {
                        tracing::error!(%error, "the Git server ended");
                    }
                }
                () = stopped.cancelled() => {}
            }
        });
        *running = Some((stop, task));
        Ok(())
    }

    /// Stops answering: connections are refused until [`GitServer::start`].
    pub async fn stop(&self) -> Result<()> {
        let Some((stop, task)) = self.running.lock().await.take() else {
            return Ok(());
        };
        stop.cancel();
        task.await.context("the Git server's task")
    }

    /// Whether it answers.
    pub async fn is_running(&self) -> bool {
        self.running
            .lock()
            .await
            .as_ref()
            .is_some_and(|(_, task)| !task.is_finished())
    }

    /// Makes an empty repository with branch `main`, or opens the one of this name.
    pub async fn repository(&self, name: &str) -> Result<Repository> {
        Repository::open(&self.shared, &self.work, name).await
    }

    /// Calls this address for every later push to any repository.
    pub async fn add_webhook(&self, webhook: Webhook) {
        self.shared.webhooks.write().await.push(webhook);
    }

    /// Forgets every webhook.
    pub async fn clear_webhooks(&self) {
        self.shared.webhooks.write().await.clear();
    }
}
