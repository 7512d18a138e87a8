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
    listen::{Admission, BindError, Budget, Limits, ListenAddress},
    secret::Secret,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    answers::{Answers, LiveAnswers},
    channels::Channels,
    key::channel,
    session::{End, Session},
    store::Store,
};

/// Connections of this port.
const CONNECTIONS: usize = 1500;
/// Time for the password.
const LOGIN: Duration = Duration::from_secs(10);
/// Bytes of requests in progress of all connections, beyond what each has of its own.
const MEMORY: usize = 32 << 20;
/// Bytes of the values that clients write.
const VALUES: usize = 16 << 20;
/// Pause after accepting failed.
const PAUSE: Duration = Duration::from_millis(100);

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
    /// Ends the server.
    pub stop: CancellationToken,
}

/// What all connections share.
pub(super) struct Shared {
    pub(super) password: Password,
    pub(super) cache_version: String,
    pub(super) clock: Clock,
    pub(super) store: Store,
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
    stop: CancellationToken,
}

impl RedisServer {
    /// Opens the port.
    pub async fn bind(self) -> Result<BoundRedis, BindError> {
        let listener = self.listen.bind().await?;
        tracing::info!(bound = ?listener.local_addr().ok(), "serving the Redis protocol");
        Ok(BoundRedis {
            listener,
            budget: self.budget,
            shared: Arc::new(Shared {
                password: self.password,
                cache_version: self.cache_version,
                clock: self.clock,
                store: Store::new(VALUES),
                channels: Channels::default(),
                answers: Answers::new(self.live),
                memory: Arc::new(Semaphore::new(MEMORY)),
            }),
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
        let (gate, tasks) = (self.budget.gate(limits), TaskTracker::new());
        let ids = AtomicI64::new(1);
        let accept = async {
            loop {
                let Ok((stream, client)) = self.listener.accept().await else {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                };
                let Some(admission) = gate.enter().await else {
                    drop(stream.try_write(b"-ERR max number of clients reached\r\n"));
                    continue;
                };
                let id = ids.fetch_add(1, Ordering::Relaxed);
                let (shared, stop) = (self.shared.clone(), self.stop.clone());
                tasks.spawn(async move {
                    tokio::select! {
                        end = serve(stream, &shared, id, &admission) => {
                            tracing::debug!(%client, ?end, "Redis client has left");
                        }
                        () = admission.ended() => {}
                        () = stop.cancelled() => {}
                    }
                });
            }
        };
        tokio::select! {
            () = accept => {}
            () = self.stop.cancelled() => {}
        }
        tasks.close();
        tasks.wait().await;
    }
}

async fn serve(stream: TcpStream, shared: &Shared, id: i64, admission: &Admission) -> End {
    // Answers are small, and their clients wait.
    drop(stream.set_nodelay(true));
    let trusted = || admission.trust();
    Session::new(shared, id, &trusted).run(stream).await
}
