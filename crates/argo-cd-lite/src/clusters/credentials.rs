//! How a cluster is reached: the key `config` of a cluster Secret.

use http::Uri;
use kube::Config;
use reconcile_core::{
    client::{ProxyAddress, ProxyError},
    secret::Secret,
};
use serde::Deserialize;
use thiserror::Error;

use super::{
    aws::{AwsLogin, RawAws},
    exec::{ExecProvider, RawExec},
};

/// Why a cluster Secret cannot be used. No message quotes a value of the Secret but its server.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The server is no URL of an API server.
    #[error("server {server:?} {problem}")]
    Server {
        /// The URL, without credentials.
        server: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Not JSON of the expected form.
    #[error("config is not the JSON of a cluster config (line {line}, column {column})")]
    Form {
        /// Line of the error.
        line: usize,
        /// Column of the error.
        column: usize,
    },
    /// The proxy.
    #[error("config.proxyUrl {0}")]
    Proxy(#[from] ProxyError),
    /// A field has a value that cannot be used.
    #[error("config.{field} {problem}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// Address and credentials of an API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteAccess {
    server: Uri,
    username: String,
    password: Secret,
    token: Secret,
    /// PEM text of the authorities that may sign the server's certificate.
    authorities: Option<Vec<u8>>,
    /// PEM text of the client's certificate, base64.
    certificate: String,
    key: Secret,
    server_name: Option<String>,
    insecure: bool,
    /// Through which the server is reached.
    proxy: Option<ProxyAddress>,
    /// What gives tokens that end.
    login: Option<Login>,
}

/// What gives tokens that end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// A program.
    Exec(ExecProvider),
    /// The credentials of AWS that this process has.
    Aws(AwsLogin),
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawConfig {
    username: String,
    password: String,
    bearer_token: String,
    tls_client_config: RawTls,
    #[serde(rename = "awsAuthConfig")]
    aws: Option<RawAws>,
    #[serde(rename = "execProviderConfig")]
    exec: Option<RawExec>,
    proxy_url: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawTls {
    insecure: bool,
    server_name: String,
    ca_data: Option<String>,
    cert_data: Option<String>,
    key_data: Option<String>,
}

impl RawConfig {
    fn parse(text: &[u8]) -> Result<Self, ConfigError> {
        if text.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        // The parser's own message may quote a value.
        serde_json::from_slice(text).map_err(|error| ConfigError::Form {
            line: error.line(),
            column: error.column(),
        })
    }

    fn proxy(&self) -> Result<Option<ProxyAddress>, ConfigError> {
        if self.proxy_url.is_empty() {
            return Ok(None);
        }
        Ok(Some(ProxyAddress::parse(&self.proxy_url)?))
    }

    /// What gives tokens that end; nothing else may log in beside it.
    fn login(&mut self) -> Result<Option<Login>, ConfigError> {
        let (aws, exec) = (self.aws.take(), self.exec.take());
        let fixed = !(self.username.is_empty() && self.bearer_token.is_empty());
        let field = match (&aws, &exec) {
            (None, None) => return Ok(None),
            (Some(_), _) => "awsAuthConfig",
            (None, Some(_)) => "execProviderConfig",
        };
        if fixed {
            return Err(ConfigError::Field {
                field,
                problem: "must not be there beside username or bearerToken",
            });
        }
        match (aws, exec) {
            (Some(_), Some(_)) => Err(ConfigError::Field {
                field,
                problem: "must not be there beside execProviderConfig",
            }),
            (Some(aws), None) => AwsLogin::parse(aws).map(Login::Aws).map(Some),
            (None, exec) => Ok(exec.map(ExecProvider::parse).transpose()?.map(Login::Exec)),
        }
    }
}

impl RemoteAccess {
    /// From the keys `server` and `config` of a cluster Secret.
    pub fn parse(server: &str, config: &[u8]) -> Result<Self, ConfigError> {
        let mut raw = RawConfig::parse(config)?;
        let proxy = raw.proxy()?;
        let login = raw.login()?;
        let tls = raw.tls_client_config;
        let certificate = tls.cert_data.unwrap_or_default();
        let key = tls.key_data.unwrap_or_default();
        let authorities = pem(tls.ca_data.as_deref(), "tlsClientConfig.caData")?;
        pem(Some(&certificate), "tlsClientConfig.certData")?;
        pem(Some(&key), "tlsClientConfig.keyData")?;
        if certificate.is_empty() != key.is_empty() {
            return Err(ConfigError::Field {
                field: "tlsClientConfig",
                problem: "needs both certData and keyData, or neither",
            });
        }
        if tls.insecure && authorities.is_some() {
            return Err(ConfigError::Field {
                field: "tlsClientConfig",
                problem: "must not have both insecure and caData",
            });
        }
        Ok(Self {
            server: parse_server(server)?,
            username: raw.username,
            password: raw.password.into(),
            token: raw.bearer_token.into(),
            authorities,
            certificate,
            key: key.into(),
            server_name: Some(tls.server_name).filter(|name| !name.is_empty()),
            insecure: tls.insecure,
            proxy,
            login,
        })
    }

    /// What gives tokens that end.
    pub fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// True when the Secret brings credentials of its own.
    pub fn has_credentials(&self) -> bool {
        let given = [&self.password, &self.token]
            .iter()
            .any(|secret| !secret.is_empty());
        given || !self.username.is_empty() || self.login.is_some()
    }

    /// True when the server is reached through a proxy of its own.
    pub fn has_proxy(&self) -> bool {
        self.proxy.is_some()
    }

    /// The API server.
    pub fn server(&self) -> &Uri {
        &self.server
    }

    /// The settings of a client.
    pub fn client_config(&self) -> Result<Config, ConfigError> {
        let mut config = Config::new(self.server.clone());
        config.root_cert = match &self.authorities {
            Some(text) => Some(certificates(text)?),
            None => None,
        };
        config.accept_invalid_certs = self.insecure;
        config.tls_server_name.clone_from(&self.server_name);
        config.proxy_url = self.proxy.as_ref().map(|proxy| proxy.uri().clone());
        let auth = &mut config.auth_info;
        if !self.username.is_empty() {
            auth.username = Some(self.username.clone());
            auth.password = Some(self.password.expose().into());
        }
        if !self.token.is_empty() {
            auth.token = Some(self.token.expose().into());
        }
        if !self.certificate.is_empty() {
            auth.client_certificate_data = Some(self.certificate.clone());
            auth.client_key_data = Some(self.key.expose().into());
        }
        Ok(config)
    }
}

/// The URL of an API server. It may have a path, as with a proxy of several clusters.
fn parse_server(server: &str) -> Result<Uri, ConfigError> {
    let problem = |problem| ConfigError::Server {
        server: reconcile_core::credentials::redact_url(server),
        problem,
    };
    let uri: Uri = server.parse().map_err(|_| problem("is not a URL"))?;
    if !matches!(uri.scheme_str(), Some("https" | "http")) {
        return Err(problem("must begin with https://"));
    }
    if uri.query().is_some() {
        return Err(problem("must not have a query"));
    }
    if uri
        .authority()
        .is_some_and(|host| host.as_str().contains('@'))
    {
        return Err(problem("must not hold credentials"));
    }
    Ok(uri)
}

/// PEM text as the JSON of a Secret holds it: base64.
fn pem(text: Option<&str>, field: &'static str) -> Result<Option<Vec<u8>>, ConfigError> {
    use base64::Engine;
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let engine = base64::engine::general_purpose::STANDARD;
    let decoded = engine.decode(text).map_err(|_| ConfigError::Field {
        field,
        problem: "is not base64",
    })?;
    Ok(Some(decoded))
}

/// The certificates of a PEM text as the client wants them.
fn certificates(text: &[u8]) -> Result<Vec<Vec<u8>>, ConfigError> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let unusable = || ConfigError::Field {
        field: "tlsClientConfig.caData",
        problem: "holds no certificate in PEM form",
    };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let found = found.map_err(|_| unusable())?;
    if found.is_empty() {
        return Err(unusable());
    }
    Ok(found.into_iter().map(|der| der.to_vec()).collect())
}
