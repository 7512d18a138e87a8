//! A connection over SSH: who the server is, who the user is, and the subsystem `sftp`.

use std::{
    borrow::Cow,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use parking_lot::Mutex;
use reconcile_core::{egress::EgressPolicy, secret::Secret};
use russh::{
    ChannelMsg, ChannelStream, Preferred,
    client::{self, AuthResult, Handle, Handler, Msg},
    keys::{
        Algorithm, EcdsaCurve, HashAlg, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate,
    },
};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

use super::{
    keys::{KeyError, UserKey, written},
    protocol::{Sftp, SftpError},
};
use crate::source::{
    kind::SourceError,
    server::{Duplex, TcpServer},
};

/// The session begins within this time.
const DEADLINE: Duration = Duration::from_secs(30);
/// A server is asked so often whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// Bytes that the server may send before they are read, and messages that are held for the reader.
const WINDOW: u32 = 256 << 10;
const MESSAGES: usize = 16;

/// Keys that servers may show. RSA is not one of them: its only library for this has a known weakness.
const HOST_KEYS: [Algorithm; 4] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP256,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP384,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP521,
    },
];

/// Why there is no session.
#[derive(Debug, Error)]
enum SessionError {
    #[error("{0}")]
    Ssh(#[from] russh::Error),
    #[error("{0}")]
    Sftp(#[from] SftpError),
    #[error("sshKeySecret: {0}")]
    Key(#[from] KeyError),
    #[error("the key that the server shows cannot be read")]
    HostKey,
    #[error(
        "the host key of the server is {0}, which is not the known one; if it is right, put it into another line of the Secret of address"
    )]
    OtherHost(String),
    #[error(
        "the keys given for the server are of RSA; give its key of type ssh-ed25519 or ecdsa-sha2-nistp256"
    )]
    RsaHost,
    #[error("the server does not accept {0} of the user; it offers {1}")]
    Login(&'static str, String),
    #[error("the server has no subsystem sftp for the user")]
    NoSftp,
    #[error("no session within {} s", DEADLINE.as_secs())]
    Late,
}

/// What a user shows.
pub(super) enum Credential {
    Password(Secret),
    Key(UserKey),
}

/// Who logs in where.
pub(super) struct Access {
    pub(super) server: TcpServer,
    pub(super) user: Secret,
    pub(super) credential: Credential,
    /// Keys that the server may show; any when there are none.
    pub(super) trusted: Vec<PublicKey>,
}

/// A session.
pub(super) struct Session {
    pub(super) sftp: Sftp<ChannelStream<Msg>>,
    /// The key that the server showed, as it is written in files.
    pub(super) host_key: String,
    _handle: Handle<HostCheck>,
    _end: DropGuard,
}

/// Compares the key of the server.
struct HostCheck {
    trusted: Vec<PublicKey>,
    shown: Arc<Mutex<Option<PublicKey>>>,
}

impl Handler for HostCheck {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        let shown = shown.public_key();
        let known = |key: &PublicKey| key.key_data() == shown.key_data();
        let trusted = self.trusted.is_empty() || self.trusted.iter().any(known);
        *self.shown.lock() = Some(shown);
        Ok(trusted)
    }
}

impl Access {
    /// Logs in.
    pub(super) async fn open(&self, egress: EgressPolicy) -> Result<Session, SourceError> {
        let stream = self.server.connect(egress, |_| None).await?;
        let opened = timeout(DEADLINE, self.begin(stream)).await;
        let opened = opened.unwrap_or(Err(SessionError::Late));
        opened.map_err(|error| self.server.failed(&error))
    }

    async fn begin(&self, stream: Box<dyn Duplex>) -> Result<Session, SessionError> {
        let (stream, end) = Severable::new(stream);
        let shown = Arc::new(Mutex::new(None));
        let check = HostCheck {
            trusted: self.trusted.clone(),
            shown: shown.clone(),
        };
        let connected = client::connect_stream(self.config()?, stream, check).await;
        let shown = shown.lock().take();
        let shown = shown.map(|key| written(&key).map_err(|_| SessionError::HostKey));
        let shown = shown.transpose()?;
        let mut handle = match (connected, &shown) {
            (Err(russh::Error::UnknownKey), Some(key)) => {
                return Err(SessionError::OtherHost(key.clone()));
            }
            (connected, _) => connected?,
        };
        let outcome = self.login(&mut handle).await?;
        if let AuthResult::Failure {
            remaining_methods, ..
        } = outcome
        {
            let what = match self.credential {
                Credential::Password(_) => "the password",
                Credential::Key(_) => "the key",
            };
            let offered = remaining_methods.iter().map(<&str>::from);
            let offered = offered.collect::<Vec<_>>().join(", ");
            return Err(SessionError::Login(what, offered));
        }
        Ok(Session {
            sftp: subsystem(&handle).await?,
            host_key: shown.ok_or(SessionError::HostKey)?,
            _handle: handle,
            _end: end,
        })
    }

    fn config(&self) -> Result<Arc<client::Config>, SessionError> {
        let wanted = |kind: &Algorithm| {
            let same = |key: &PublicKey| key.algorithm() == *kind;
            self.trusted.is_empty() || self.trusted.iter().any(same)
        };
        let kinds: Vec<Algorithm> = HOST_KEYS.into_iter().filter(wanted).collect();
        if kinds.is_empty() {
            return Err(SessionError::RsaHost);
        }
        Ok(Arc::new(client::Config {
            window_size: WINDOW,
            channel_buffer_size: MESSAGES,
            keepalive_interval: Some(KEEPALIVE),
            preferred: Preferred {
                key: Cow::Owned(kinds),
                ..Preferred::DEFAULT
            },
            ..client::Config::default()
        }))
    }

    async fn login(&self, handle: &mut Handle<HostCheck>) -> Result<AuthResult, SessionError> {
        let user = self.user.expose();
        match &self.credential {
            Credential::Password(password) => Ok(handle
                .authenticate_password(user, password.expose())
                .await?),
            Credential::Key(UserKey::Plain(key)) => {
                let key = PrivateKeyWithHashAlg::new(key.clone(), None);
                Ok(handle.authenticate_publickey(user, key).await?)
            }
            Credential::Key(UserKey::Rsa(key)) => {
                let best = handle.best_supported_rsa_hash().await?.flatten();
                let hash = Some(best.unwrap_or(HashAlg::Sha512));
                let mut signer = key.as_ref();
                let public = key.public.clone();
                Ok(handle
                    .authenticate_publickey_with(user, public, hash, &mut signer)
                    .await?)
            }
        }
    }
}

async fn subsystem(handle: &Handle<HostCheck>) -> Result<Sftp<ChannelStream<Msg>>, SessionError> {
    let mut channel = handle.channel_open_session().await?;
    channel.request_subsystem(true, "sftp").await?;
    loop {
        match channel.wait().await {
            Some(ChannelMsg::Success) => break,
            Some(ChannelMsg::Failure) | None => return Err(SessionError::NoSftp),
            Some(_) => {}
        }
    }
    Ok(Sftp::start(channel.into_stream()).await?)
}

/// A connection that ends with its guard. The task of russh that reads it is not dropped with what waits for it.
struct Severable {
    stream: Box<dyn Duplex>,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Severable {
    fn new(stream: Box<dyn Duplex>) -> (Self, DropGuard) {
        let end = CancellationToken::new();
        let ended = Box::pin(end.clone().cancelled_owned());
        (Self { stream, ended }, end.drop_guard())
    }

    fn has_ended(&mut self, context: &mut Context<'_>) -> bool {
        self.ended.as_mut().poll(context).is_ready()
    }
}

impl AsyncRead for Severable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.has_ended(context) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Severable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.has_ended(context) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
