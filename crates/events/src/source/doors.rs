//! Connections of a listener, plain or with TLS. The choice is made per connection, so a certificate can
//! be exchanged while the port stays open.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::RwLock;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{either::Either, sync::CancellationToken};

/// Connections that wait to be served; the server takes them at once.
const WAITING: usize = 16;
/// Handshakes at the same time; more would be an attack.
const HANDSHAKES: usize = 256;
/// A handshake that takes longer is given up.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// Pause after accepting failed, for example without free file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Certificate chain and key of a listener, PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerCertificate {
    /// The chain.
    pub chain: String,
    /// The key.
    pub key: String,
}

impl std::fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the key.
        f.write_str("ServerCertificate")
    }
}

impl ServerCertificate {
    /// Makes it usable; the error says which half is wrong.
    pub(super) fn acceptor(&self) -> Result<TlsAcceptor, String> {
        let chain = CertificateDer::pem_slice_iter(self.chain.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("serverCertSecret: {error}"))?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())
            .map_err(|error| format!("serverKeySecret: {error}"))?;
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| format!("serverCertSecret: {error}"))?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// How new connections of a port are greeted; `None` is plain HTTP.
pub(super) type Greeting = Arc<RwLock<Option<TlsAcceptor>>>;

type Io = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// The connections of one port, for the HTTP server.
pub(super) struct Doors {
    ready: mpsc::Receiver<(Io, SocketAddr)>,
    address: SocketAddr,
}

impl Doors {
    /// Opens the doors; they close with `stop`.
    pub(super) fn open(
        listener: TcpListener,
        greeting: Greeting,
        stop: CancellationToken,
    ) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let (sender, ready) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = accept(&listener, &greeting, &sender) => {}
            }
        });
        Ok(Self { ready, address })
    }
}

async fn accept(
    listener: &TcpListener,
    greeting: &Greeting,
    sender: &mpsc::Sender<(Io, SocketAddr)>,
) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Answers are small, and somebody waits for them.
        drop(stream.set_nodelay(true));
        let acceptor = greeting.read().clone();
        let Some(acceptor) = acceptor else {
            if sender.send((Either::Left(stream), peer)).await.is_err() {
                return;
            }
            continue;
        };
        let Ok(permit) = handshakes.clone().acquire_owned().await else {
            return;
        };
        let sender = sender.clone();
        tokio::spawn(async move {
            match tokio::time::timeout(HANDSHAKE_DEADLINE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => {
                    drop(sender.send((Either::Right(Box::new(stream)), peer)).await);
                }
                Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
                Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
            }
            drop(permit);
        });
    }
}

impl axum::serve::Listener for Doors {
    type Io = Io;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Io, SocketAddr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // Closed: the server is being stopped.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.address)
    }
}
