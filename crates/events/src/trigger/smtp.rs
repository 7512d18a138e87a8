//! Conversations with mail servers.
//!
//! The library reads an answer up to the end of its line, however far that is; so what a server sends in one
//! conversation is bounded below it.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use lettre::transport::smtp::{
    Error,
    authentication::{Credentials, DEFAULT_MECHANISMS},
    client::{AsyncSmtpConnection, AsyncTokioStream, TlsParameters},
    extension::ClientId,
};
use reconcile_core::egress::EgressPolicy;
use rustls::{ClientConfig, pki_types::ServerName};
use rustls_platform_verifier::ConfigVerifierExt;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// The port on which the whole conversation is encrypted.
const TLS_PORT: u16 = 465;
/// Bytes that a server may send in one conversation, certificates included.
const MOST_BYTES: usize = 1 << 20;

/// A conversation that failed.
#[derive(Debug, Error)]
pub(super) enum SmtpError {
    /// No connection.
    #[error("{0}")]
    Connect(String),
    /// The server refused, or what it says cannot be understood.
    #[error(transparent)]
    Smtp(#[from] Error),
}

impl SmtpError {
    fn connect(error: impl fmt::Display) -> Self {
        Self::Connect(error.to_string())
    }
}

/// A mail server with the address that is called.
pub(super) struct MailServer<'s> {
    host: &'s str,
    address: SocketAddr,
}

impl<'s> MailServer<'s> {
    /// The first address of the server that may be called.
    pub(super) async fn find(
        egress: EgressPolicy,
        host: &'s str,
        port: u16,
    ) -> Result<Self, SmtpError> {
        let found = tokio::net::lookup_host((host, port)).await;
        let mut refused = None;
        for address in found.map_err(SmtpError::connect)? {
            match egress.check_address(address.ip()) {
                Ok(()) => return Ok(Self { host, address }),
                Err(error) => refused = Some(error.to_string()),
            }
        }
        let reason = refused.unwrap_or_else(|| "the name has no address".to_owned());
        Err(SmtpError::Connect(reason))
    }

    /// Connects and logs in. A password is never sent in the clear to another machine. The certificate is for the
    /// name in the manifest, not for the address.
    pub(super) async fn connect(
        &self,
        login: Option<&Credentials>,
    ) -> Result<AsyncSmtpConnection, SmtpError> {
        let hello = ClientId::default();
        let address = self.address;
        let stream = TcpStream::connect(address).await;
        let stream = Bounded {
            stream: stream.map_err(SmtpError::connect)?,
            left: MOST_BYTES,
            address,
        };
        let mut connection = if address.port() == TLS_PORT {
            let config = ClientConfig::with_platform_verifier().map_err(SmtpError::connect)?;
            let name = ServerName::try_from(self.host.to_owned()).map_err(SmtpError::connect)?;
            let stream = TlsConnector::from(Arc::new(config)).connect(name, stream);
            let stream = Bounded {
                stream: stream.await.map_err(SmtpError::connect)?,
                left: MOST_BYTES,
                address,
            };
            AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await?
        } else {
            let stream = Box::new(stream);
            let mut plain = AsyncSmtpConnection::connect_with_transport(stream, &hello).await?;
            let must_encrypt = login.is_some() && !address.ip().is_loopback();
            if must_encrypt || plain.can_starttls() {
                let parameters = TlsParameters::new_rustls(self.host.to_owned())?;
                plain.starttls(parameters, &hello).await?;
            }
            plain
        };
        if let Some(login) = login {
            connection.auth(DEFAULT_MECHANISMS, login).await?;
        }
        Ok(connection)
    }
}

/// A connection of which so many bytes are read at most.
struct Bounded<S> {
    stream: S,
    left: usize,
    address: SocketAddr,
}

impl<S> fmt::Debug for Bounded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounded")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            let message = format!("the server sends more than {MOST_BYTES} bytes");
            return Poll::Ready(Err(io::Error::other(message)));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.left = self.left.saturating_sub(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> AsyncTokioStream for Bounded<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
