//! The listener.

use std::{sync::Arc, time::Duration};

use reconcile_core::listen::{Budget, Client, Gate, Limits, ListenAddress};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use super::{
    reach::{OWN, Repositories, UPLOADS, calls},
    service,
};
use crate::{
    app::Context,
    repo::{Credentials, HubConfig},
    tls::{LiveTls, ServeError, Tls},
};

/// Connections of this port.
const CONNECTIONS: usize = 256;
/// Time for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Calls that are worked on at the same time.
const CALLS: usize = 32;

/// How the port is served.
#[derive(Clone, Debug)]
pub struct RepoServerSettings {
    /// Where it listens.
    pub listen: ListenAddress,
    /// TLS, or none.
    pub tls: Tls,
}

/// What the server needs.
pub struct RepoServer {
    /// How the port is served.
    pub settings: RepoServerSettings,
    /// What clients may take of all ports.
    pub budget: Budget,
    /// Git stores, charts and renderers of the controller.
    pub context: Context,
    /// The credentials of the controller.
    pub credentials: Credentials,
    /// How stores of single calls are made; the folder is that of all stores.
    pub config: HubConfig,
    /// Ends the server.
    pub stop: CancellationToken,
}

/// A server whose port is open.
pub struct BoundRepoServer {
    listener: TcpListener,
    budget: Budget,
    tls: LiveTls,
    repositories: Arc<Repositories>,
    stop: CancellationToken,
}

impl RepoServer {
    /// Opens the port.
    pub async fn bind(self) -> Result<BoundRepoServer, ServeError> {
        let tls = self.settings.tls.open(&[b"h2"])?;
        let listener = self.settings.listen.bind().await?;
        // Left by a process that was killed.
        drop(std::fs::remove_dir_all(calls(&self.config.folder)));
        tracing::info!(bound = ?listener.local_addr().ok(), tls = ?tls.mode, "serving the repo-server protocol");
        Ok(BoundRepoServer {
            listener,
            budget: self.budget,
            tls,
            repositories: Arc::new(Repositories {
                context: self.context,
                credentials: self.credentials,
                config: self.config,
                own: Arc::new(Semaphore::new(OWN)),
                uploads: Arc::new(Semaphore::new(UPLOADS)),
            }),
            stop: self.stop,
        })
    }
}

impl BoundRepoServer {
    /// The port.
    #[cfg(test)]
    pub(super) fn port(&self) -> u16 {
        self.listener
            .local_addr()
            .map_or(0, |address| address.port())
    }

    /// Serves until the stop; returns when all connections are closed.
    pub async fn serve(self) {
        let limits = Limits {
            connections: CONNECTIONS,
            header: HANDSHAKE,
            ..Limits::default()
        };
        let gate = Gate {
            name: "repo-server",
            limits,
            budget: self.budget,
            busy: b"",
        };
        let permits = Arc::new(Semaphore::new(CALLS));
        let mode = self.tls.mode.clone();
        let session = |stream, client: Client| {
            let (mode, repositories) = (mode.clone(), self.repositories.clone());
            let permits = permits.clone();
            async move {
                let ended = match mode.accept(stream).await {
                    Ok(stream) => {
                        client.trust();
                        service::serve(stream, repositories, permits).await
                    }
                    Err(error) => {
                        tracing::debug!(%error, "TLS handshake failed");
                        return;
                    }
                };
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                }
            }
        };
        tokio::select! {
            () = gate.serve(self.listener, self.stop, session) => {}
            () = self.tls.follow() => {}
        }
    }
}
