//! Whether a port speaks TLS.

use std::{fmt, io, sync::Arc};

use parking_lot::RwLock;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::either::Either;

pub(super) type Stream = Either<TcpStream, Box<tokio_rustls::server::TlsStream<TcpStream>>>;

/// Plain HTTP, or TLS with a certificate. Clones share the mode; [`TlsMode::set`] changes it for connections that
/// are accepted from then on.
#[derive(Clone, Default)]
pub struct TlsMode(Arc<RwLock<Option<Arc<ServerConfig>>>>);

impl TlsMode {
    /// Plain HTTP.
    pub fn plain() -> Self {
        Self::default()
    }

    /// TLS with this configuration; plain HTTP when `None`.
    pub fn set(&self, config: Option<Arc<ServerConfig>>) {
        *self.0.write() = config;
    }

    pub(super) fn is_plain(&self) -> bool {
        self.0.read().is_none()
    }

    /// Makes the handshake, where there is one.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<Stream> {
        let config = self.0.read().clone();
        match config {
            None => Ok(Either::Left(stream)),
            Some(config) => {
                let stream = TlsAcceptor::from(config).accept(stream).await?;
                Ok(Either::Right(Box::new(stream)))
            }
        }
    }
}

impl fmt::Debug for TlsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the key.
        f.write_str(if self.is_plain() { "plain" } else { "TLS" })
    }
}
