//! TCP servers that sources read: address, TLS, deadlines, and the rule about addresses.

use std::{io, sync::Arc, time::Duration};

use reconcile_core::{
    egress::{EgressPolicy, RefusedAddress},
    object::FieldError,
    secret::Secret,
};
use rustls::{
    ClientConfig,
    pki_types::{InvalidDnsNameError, ServerName},
};
use rustls_platform_verifier::ConfigVerifierExt;
use socket2::{SockRef, TcpKeepalive};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
};
use tokio_rustls::TlsConnector;

use super::kind::{Input, SourceError};
use crate::{
    api::{KeySelector, TlsConfig},
    tls::{ClientCertificate, TlsError, TlsSettings},
};

/// A server that does not take a connection within this time is unreachable.
pub(crate) const CONNECT: Duration = Duration::from_secs(10);
/// A connection that is quiet for so long is asked whether it is alive.
const QUIET: Duration = Duration::from_secs(15);

/// The field with the certificates to trust.
pub(crate) const CA: &str = "tls.caCertSecret";
/// The field with the certificate of the client.
pub(crate) const CERTIFICATE: &str = "tls.clientCertSecret";
const KEY: &str = "tls.clientKeySecret";

/// Why there is no connection.
#[derive(Debug, Error)]
enum ConnectError {
    #[error("the name has no address")]
    NoAddress,
    #[error(transparent)]
    Refused(#[from] RefusedAddress),
    #[error(transparent)]
    Name(#[from] InvalidDnsNameError),
    /// The name was not found, nobody listens, or the handshake failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("no connection within {} s", CONNECT.as_secs())]
    Late,
}

/// A connection, encrypted or not.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// What a client may call, and the values of the Secrets that its settings name, by field.
pub(crate) struct Access<'a> {
    pub(crate) egress: EgressPolicy,
    pub(crate) secret: &'a (dyn Fn(&str) -> Option<Secret> + Sync),
}

/// Where a server is, and how to speak to it.
#[derive(Debug)]
pub(crate) struct TcpServer {
    /// `HOST:PORT`, for texts.
    pub(crate) address: String,
    host: String,
    port: u16,
    /// Plain TCP when absent.
    pub(crate) tls: Option<ServerTls>,
}

/// Checked TLS settings.
#[derive(Clone, Debug)]
pub(crate) struct ServerTls {
    insecure: bool,
    /// By field.
    pub(crate) secrets: Vec<(&'static str, KeySelector)>,
}

impl ServerTls {
    /// Checks `tls` of an event.
    pub(crate) fn check(
        input: &Input<'_>,
        tls: Option<&TlsConfig>,
    ) -> Result<Option<Self>, FieldError> {
        let Some(tls) = tls else { return Ok(None) };
        if tls.client_cert_secret.is_some() != tls.client_key_secret.is_some() {
            let message = "clientCertSecret and clientKeySecret belong together";
            return Err(input.wrong("tls", message));
        }
        let secrets = [
            (CA, &tls.ca_cert_secret),
            (CERTIFICATE, &tls.client_cert_secret),
            (KEY, &tls.client_key_secret),
        ];
        let secrets = secrets
            .into_iter()
            .filter_map(|(field, selector)| Some((field, selector.clone()?)));
        Ok(Some(Self {
            insecure: tls.insecure_skip_verify == Some(true),
            secrets: secrets.collect(),
        }))
    }

    /// Trusts the certificate of a Secret, whose value is asked for as [`CA`]; those of the system when
    /// absent.
    pub(crate) fn trusting(ca: Option<KeySelector>) -> Self {
        Self {
            insecure: false,
            secrets: ca.map(|ca| (CA, ca)).into_iter().collect(),
        }
    }

    /// The settings; `secret` gives the value of a field.
    pub(crate) fn settings(&self, secret: impl Fn(&str) -> Option<Secret>) -> TlsSettings {
        let text = |field| secret(field).map(|secret| secret.expose().to_owned());
        TlsSettings {
            ca: text(CA),
            client: text(CERTIFICATE)
                .zip(secret(KEY))
                .map(|(chain, key)| ClientCertificate { chain, key }),
            insecure: self.insecure,
        }
    }

    /// The configuration; `secret` gives the value of a field.
    pub(crate) fn config(
        &self,
        secret: impl Fn(&str) -> Option<Secret>,
    ) -> Result<ClientConfig, SourceError> {
        match self.settings(secret).client_config()? {
            Some(config) => Ok(config),
            None => ClientConfig::with_platform_verifier().map_err(|error| {
                SourceError::Tls(TlsError::Field {
                    field: "caCertSecret",
                    reason: format!("cannot use the certificates of the system: {error}"),
                })
            }),
        }
    }
}

impl TcpServer {
    /// Checks `text`, `HOST` or `HOST:PORT`, at `field`.
    pub(crate) fn check(
        input: &Input<'_>,
        (field, text): (&str, &str),
        default_port: u16,
        tls: Option<ServerTls>,
    ) -> Result<Self, FieldError> {
        let text = text.trim();
        // The syntax of hosts is that of URLs, whose brackets keep IPv6 addresses apart.
        let url = url::Url::parse(&format!("tcp://{text}")).ok();
        let wrong = || input.wrong(field, format!("{text:?} is not HOST:PORT"));
        let url = url.filter(|url| {
            matches!(url.path(), "" | "/") && url.username().is_empty() && url.query().is_none()
        });
        let url = url.ok_or_else(wrong)?;
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(wrong)?;
        let port = url.port().unwrap_or(default_port);
        Ok(Self {
            address: format!("{host}:{port}"),
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            tls,
        })
    }

    /// The Secrets of its TLS settings.
    pub(crate) fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        let tls = self.tls.as_ref().map(|tls| tls.secrets.clone());
        tls.unwrap_or_default()
    }

    /// Connects, if `egress` permits it; `secret` gives the value of a field.
    pub(crate) async fn connect(
        &self,
        egress: EgressPolicy,
        secret: impl Fn(&str) -> Option<Secret>,
    ) -> Result<Box<dyn Duplex>, SourceError> {
        let config = self
            .tls
            .as_ref()
            .map(|tls| tls.config(secret))
            .transpose()?;
        self.connect_with(egress, config, None).await
    }

    /// Connects, if `egress` permits it, with TLS where there is a configuration. The certificate of the server is for
    /// `name`, which is the host when absent.
    pub(crate) async fn connect_with(
        &self,
        egress: EgressPolicy,
        config: Option<ClientConfig>,
        name: Option<&str>,
    ) -> Result<Box<dyn Duplex>, SourceError> {
        let connecting = async {
            let stream = self.open(egress).await?;
            let Some(config) = config else {
                return Ok(Box::new(stream) as Box<dyn Duplex>);
            };
            let name = ServerName::try_from(name.unwrap_or(&self.host).to_owned())?;
            let connector = TlsConnector::from(Arc::new(config));
            Ok(Box::new(connector.connect(name, stream).await?) as Box<dyn Duplex>)
        };
        self.in_time(connecting).await
    }

    /// Begins TLS on a connection, as protocols do that negotiate it first.
    pub(crate) async fn encrypt(
        &self,
        stream: Box<dyn Duplex>,
        config: ClientConfig,
    ) -> Result<Box<dyn Duplex>, SourceError> {
        let connecting = async {
            let name = ServerName::try_from(self.host.clone())?;
            let connector = TlsConnector::from(Arc::new(config));
            Ok(Box::new(connector.connect(name, stream).await?) as Box<dyn Duplex>)
        };
        self.in_time(connecting).await
    }

    async fn in_time<R>(
        &self,
        connecting: impl Future<Output = Result<R, ConnectError>>,
    ) -> Result<R, SourceError> {
        tokio::time::timeout(CONNECT, connecting)
            .await
            .unwrap_or(Err(ConnectError::Late))
            .map_err(|error| self.failed(&error))
    }

    /// Connects to the first address of the host that may be called and answers.
    async fn open(&self, egress: EgressPolicy) -> Result<TcpStream, ConnectError> {
        let mut last = ConnectError::NoAddress;
        for address in lookup_host((self.host.as_str(), self.port)).await? {
            if let Err(refused) = egress.check_address(address.ip()) {
                last = refused.into();
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // Small requests do not wait for each other, and a server that is gone without a word is noticed.
                    let keepalive = TcpKeepalive::new().with_time(QUIET).with_interval(QUIET);
                    drop(stream.set_nodelay(true));
                    drop(SockRef::from(&stream).set_tcp_keepalive(&keepalive));
                    return Ok(stream);
                }
                Err(error) => last = error.into(),
            }
        }
        Err(last)
    }

    /// The server did or said this.
    pub(crate) fn failed(&self, reason: &(impl ToString + ?Sized)) -> SourceError {
        SourceError::Server {
            server: self.address.clone(),
            reason: reason.to_string(),
        }
    }
}
