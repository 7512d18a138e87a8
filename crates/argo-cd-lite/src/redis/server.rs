//! The listener and what its connections share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use parking_lot::RwLock;
use reconcile_core::{
    clock::Clock,
    listen::{Budget, Client, Gate, Limits, ListenAddress},
    secret::Secret,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use super::{
    answers::{Answers, LiveAnswers},
    channels::Channels,
    key::channel,
    revoked::{KeepRevoked, Revoked, RevokedToken},
    session::Session,
    store::Store,
};
use crate::tls::{LiveTls, ServeError, Tls};

/// Connections of this port.
const CONNECTIONS: usize = 1500;
/// Time for the password.
const LOGIN: Duration = Duration::from_secs(10);
/// Bytes of requests in progress of all connections, beyond what each has of its own.
const MEMORY: usize = 32 << 20;
/// Bytes of the values that clients write.
const VALUES: usize = 16 << 20;

/// The password; none until its Secret was read, and then nobody gets in.
pub type Password = Arc<RwLock<Option<Secret>>>;

/// What a server needs.
pub struct RedisServer {
    /// Where it listens.
    pub listen: ListenAddress,
    /// What clients may take of all ports.
    pub budget: Budget,
    /// The password.
    pub password: Password,
    /// Version of the cache that is a part of each key.
    pub cache_version: String,
    /// The clock.
    pub clock: Clock,
    /// Makes the values that the controller answers itself.
    pub live: Arc<dyn LiveAnswers>,
    /// Tokens that were revoked before.
    pub revoked: Vec<RevokedToken>,
    /// Keeps those that are revoked.
    pub keeper: Arc<dyn KeepRevoked>,
    /// TLS, or none.
    pub tls: Tls,
    /// Ends the server.
    pub stop: CancellationToken,
}

/// What all connections share.
pub(super) struct Shared {
    pub(super) password: Password,
    pub(super) cache_version: String,
    pub(super) clock: Clock,
    pub(super) store: Store,
    pub(super) revoked: Revoked,
    pub(super) channels: Channels,
    pub(super) answers: Answers,
    pub(super) memory: Arc<Semaphore>,
}

/// Publishes changes to the clients of a server. Cloning shares it.
#[derive(Clone)]
pub struct Publisher(Arc<Shared>);

impl Publisher {
    /// The objects of the Application with this instance name have changed.
    pub fn changed(&self, instance: &str) {
        self.0.channels.publish(channel(instance).as_bytes(), b"");
    }
}

/// A server whose port is open.
pub struct BoundRedis {
    listener: TcpListener,
    budget: Budget,
    shared: Arc<Shared>,
    tls: LiveTls,
    stop: CancellationToken,
}

impl RedisServer {
    /// Opens the port.
    pub async fn bind(self) -> Result<BoundRedis, ServeError> {
        let tls = self.tls.open(&[])?;
        let listener = self.listen.bind().await?;
        tracing::info!(bound = ?listener.local_addr().ok(), tls = ?tls.mode, "serving the Redis protocol");
        let now = self.clock.now();
        Ok(BoundRedis {
            listener,
            budget: self.budget,
            shared: Arc::new(Shared {
                password: self.password,
                cache_version: self.cache_version,
                clock: self.clock,
                store: Store::new(VALUES),
                revoked: Revoked::new(&self.revoked, self.keeper, now),
                channels: Channels::default(),
                answers: Answers::new(self.live),
                memory: Arc::new(Semaphore::new(MEMORY)),
            }),
            tls,
            stop: self.stop,
        })
    }
}

impl BoundRedis {
    /// Publishes to the clients.
    pub fn publisher(&self) -> Publisher {
        Publisher(self.shared.clone())
    }

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
            header: LOGIN,
            ..Limits::default()
        };
        let gate = Gate {
            name: "redis",
            limits,
            budget: self.budget,
            busy: b"-ERR max number of clients reached\r\n",
        };
        let ids = AtomicI64::new(1);
        let mode = self.tls.mode.clone();
        let session = |stream, client: Client| {
            let (shared, id) = (self.shared.clone(), ids.fetch_add(1, Ordering::Relaxed));
            let mode = mode.clone();
            async move {
                let stream = match mode.accept(stream).await {
                    Ok(stream) => stream,
                    Err(error) => {
                        tracing::debug!(client = %client.address, %error, "TLS handshake failed");
                        return;
                    }
                };
                let trusted = || client.trust();
                let end = Session::new(&shared, id, &trusted).run(stream).await;
                tracing::debug!(client = %client.address, ?end, "Redis client has left");
            }
        };
        tokio::select! {
            () = gate.serve(self.listener, self.stop, session) => {}
            () = self.tls.follow() => {}
        }
    }
}
