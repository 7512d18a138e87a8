//! NATS servers that sources and triggers name: settings, credentials, connections.

use std::time::Duration;

use async_nats::ConnectOptions;
use reconcile_core::{
    egress::EgressPolicy, object::FieldError, redaction::Redactor, secret::Secret,
};
use thiserror::Error;

use crate::{
    api::{KeySelector, nats::NatsConfig},
    bus::{Auth, ServerUrl, with_credentials, with_nkey},
    nats_client::{GuardedClient, guarded},
    tls::{ClientCertificate, TlsError, TlsSettings},
};

/// A server that does not answer within this time is treated as not connected.
pub const DEADLINE: Duration = Duration::from_secs(5);

const USERNAME: &str = "auth.basic.username";
const PASSWORD: &str = "auth.basic.password";
const TOKEN: &str = "auth.token";
const NKEY: &str = "auth.nkey";
const CREDENTIAL: &str = "auth.credential";
const CA: &str = "tls.caCertSecret";
const CERTIFICATE: &str = "tls.clientCertSecret";
const KEY: &str = "tls.clientKeySecret";

/// A checked server.
#[derive(Clone, Debug)]
pub struct NatsServer {
    /// Where it is, without credentials.
    pub url: String,
    host: String,
    /// What it needs from Secrets, by field.
    pub secrets: Vec<(&'static str, KeySelector)>,
    tls: bool,
    insecure: bool,
}

/// No connection.
#[derive(Debug, Error)]
pub enum NatsError {
    /// The certificates cannot be used.
    #[error("tls.{0}")]
    Tls(#[from] TlsError),
    /// The server is not reachable, or refuses.
    #[error("{url}: {reason}")]
    Server {
        /// Where it is, without credentials.
        url: String,
        /// What is wrong.
        reason: String,
    },
}

impl NatsServer {
    /// Checks the settings at `path`; the error names the field.
    pub fn check(path: &str, config: &NatsConfig) -> Result<Self, FieldError> {
        let wrong =
            |field: &str, message: String| FieldError::new(format!("{path}.{field}"), message);
        let url = ServerUrl::parse(&config.url).map_err(|error| wrong("url", error))?;
        if url.auth != Auth::None {
            return Err(wrong("url", "holds credentials; put them into auth".into()));
        }
        let auth = config.auth.clone().unwrap_or_default();
        let basic = auth.basic.unwrap_or_default();
        if basic.username.is_some() != basic.password.is_some() {
            return Err(wrong(
                "auth.basic",
                "username and password belong together".into(),
            ));
        }
        let tls = config.tls.clone().unwrap_or_default();
        if tls.client_cert_secret.is_some() != tls.client_key_secret.is_some() {
            let message = "clientCertSecret and clientKeySecret belong together";
            return Err(wrong("tls", message.into()));
        }
        let secrets = [
            (USERNAME, basic.username),
            (PASSWORD, basic.password),
            (TOKEN, auth.token),
            (NKEY, auth.nkey),
            (CREDENTIAL, auth.credential),
            (CA, tls.ca_cert_secret),
            (CERTIFICATE, tls.client_cert_secret),
            (KEY, tls.client_key_secret),
        ];
        Ok(Self {
            url: url.url,
            host: url.host,
            secrets: secrets
                .into_iter()
                .filter_map(|(field, selector)| Some((field, selector?)))
                .collect(),
            tls: config.tls.is_some(),
            insecure: tls.insecure_skip_verify == Some(true),
        })
    }

    fn options(&self, values: &[Secret]) -> Result<ConnectOptions, NatsError> {
        let value = |field: &str| {
            let at = self.secrets.iter().position(|(name, _)| *name == field)?;
            values.get(at).map(|secret| secret.expose().to_owned())
        };
        let mut options = ConnectOptions::new()
            .name("argo-events")
            .connection_timeout(DEADLINE)
            .request_timeout(Some(DEADLINE));
        if let (Some(username), Some(password)) = (value(USERNAME), value(PASSWORD)) {
            options = options.user_and_password(username, password);
        }
        if let Some(token) = value(TOKEN) {
            options = options.token(token);
        }
        let refused = |field: &str, reason: String| self.failed(&format!("{field}: {reason}"));
        if let Some(seed) = value(NKEY) {
            options = with_nkey(options, &seed.into()).map_err(|why| refused(NKEY, why))?;
        }
        if let Some(file) = value(CREDENTIAL) {
            options =
                with_credentials(options, &file.into()).map_err(|why| refused(CREDENTIAL, why))?;
        }
        if self.tls {
            let client = value(CERTIFICATE).zip(value(KEY));
            let settings = TlsSettings {
                ca: value(CA),
                client: client.map(|(chain, key)| ClientCertificate {
                    chain,
                    key: key.into(),
                }),
                insecure: self.insecure,
            };
            options = options.require_tls(true);
            if let Some(config) = settings.client_config()? {
                options = options.tls_client_config(config);
            }
        }
        Ok(options)
    }

    /// Connects, if `egress` permits it; `values` are those of [`NatsServer::secrets`], in their order.
    pub async fn connect(
        &self,
        values: &[Secret],
        egress: EgressPolicy,
        adapt: impl FnOnce(ConnectOptions) -> ConnectOptions,
    ) -> Result<GuardedClient, NatsError> {
        let options = guarded(adapt(self.options(values)?), egress);
        let connecting = async {
            egress
                .check_host(&self.host)
                .await
                .map_err(|error| self.failed(&error))?;
            let client = options.connect(self.url.as_str()).await;
            client.map_err(|error| self.failed(&Redactor::of(values).redact(error.to_string())))
        };
        let connected = tokio::time::timeout(2 * DEADLINE, connecting).await;
        let client = connected.unwrap_or_else(|_| Err(self.failed("no answer in time")))?;
        Ok(GuardedClient::new(client))
    }

    /// The server said this, or nothing in time.
    pub fn failed(&self, reason: &(impl ToString + ?Sized)) -> NatsError {
        NatsError::Server {
            url: self.url.clone(),
            reason: reason.to_string(),
        }
    }
}
