//! The servers of a cluster, and how a client logs in there.

use std::collections::BTreeMap;

use reconcile_core::object::FieldError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    connection::{Connection, Login},
    error::PulsarError,
    lookup::Place,
};
use crate::{
    api::{KeySelector, TlsConfig},
    source::{
        kind::{Input, SourceError},
        server::{Access, CA, CERTIFICATE, ServerTls, TcpServer},
    },
    tls::TlsError,
};

const TOKEN: &str = "authTokenSecret";
const TRUST: &str = "tlsTrustCertsSecret";
const ATHENZ: &str = "Athenz is not supported; use authTokenSecret, or a client certificate in tls";
/// Most servers that a URL names.
const MOST_SERVERS: usize = 32;

/// Where a cluster is, as a manifest says it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PulsarServer {
    /// `pulsar://HOST:PORT` or `pulsar+ssl://HOST:PORT`, several hosts with commas.
    pub(crate) url: String,
    /// Certificate and key of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<TlsConfig>,
    /// Certificates to trust.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls_trust_certs_secret: Option<KeySelector>,
    /// Any certificate is accepted.
    pub(crate) tls_allow_insecure_connection: bool,
    /// Upstream's client checks the name in either case.
    pub(crate) tls_validate_hostname: bool,
    /// The token to log in with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auth_token_secret: Option<KeySelector>,
    /// Refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auth_athenz_params: Option<BTreeMap<String, String>>,
    /// Refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auth_athenz_secret: Option<KeySelector>,
}

/// A checked cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Servers that know all brokers.
    servers: Vec<TcpServer>,
    /// For brokers that these name.
    pub(super) tls: Option<ServerTls>,
    path: String,
    /// The certificates to trust are in the field of Pulsar, not in that of all kinds.
    trusts: bool,
    token: Option<KeySelector>,
}

impl Cluster {
    /// Checks the settings of an entry or a trigger.
    pub(crate) fn check(input: &Input<'_>, server: &PulsarServer) -> Result<Self, FieldError> {
        if server.auth_athenz_secret.is_some() {
            return Err(input.wrong("authAthenzSecret", ATHENZ));
        }
        let athenz = server.auth_athenz_params.as_ref();
        if athenz.is_some_and(|params| !params.is_empty()) {
            return Err(input.wrong("authAthenzParams", ATHENZ));
        }
        let url = server.url.trim();
        let (hosts, encrypted) = match url.split_once("://") {
            Some(("pulsar", hosts)) => (hosts, false),
            Some(("pulsar+ssl", hosts)) => (hosts, true),
            _ => {
                let message = "must be pulsar://HOST:PORT or pulsar+ssl://HOST:PORT";
                return Err(input.wrong("url", message));
            }
        };
        let tls = Self::tls(input, server)?;
        let (port, tls) = if encrypted { (6651, tls) } else { (6650, None) };
        let hosts: Vec<&str> = hosts.trim_end_matches('/').split(',').collect();
        if hosts.len() > MOST_SERVERS {
            let message = format!("must name {MOST_SERVERS} servers at most");
            return Err(input.wrong("url", message));
        }
        let servers = hosts
            .into_iter()
            .map(|host| TcpServer::check(input, ("url", host), port, tls.clone()));
        Ok(Self {
            servers: servers.collect::<Result<_, _>>()?,
            tls,
            path: input.path.to_owned(),
            trusts: server.tls_trust_certs_secret.is_some(),
            token: server.auth_token_secret.clone(),
        })
    }

    fn tls(input: &Input<'_>, server: &PulsarServer) -> Result<Option<ServerTls>, FieldError> {
        let mut tls = server.tls.clone().unwrap_or_default();
        if server.tls_allow_insecure_connection {
            tls.insecure_skip_verify = Some(true);
        }
        if let Some(trusted) = &server.tls_trust_certs_secret {
            tls.ca_cert_secret = Some(trusted.clone());
        }
        ServerTls::check(input, Some(&tls))
    }

    /// The first server.
    pub(crate) fn name(&self) -> &str {
        &self.servers[0].address
    }

    /// The first server did or said this.
    pub(crate) fn failed(&self, reason: &(impl ToString + ?Sized)) -> SourceError {
        self.servers[0].failed(reason)
    }

    /// The Secrets that it needs, by field.
    pub(crate) fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        let tls = self.tls.as_ref().map(|tls| tls.secrets.clone());
        let tls = tls.unwrap_or_default().into_iter();
        let tls = tls.map(|(field, selector)| (self.field(field), selector));
        let token = self.token.clone().map(|selector| (TOKEN, selector));
        tls.chain(token).collect()
    }

    /// The field of the manifest that is behind one of the TLS settings.
    fn field(&self, field: &'static str) -> &'static str {
        if self.trusts && field == CA {
            TRUST
        } else {
            field
        }
    }

    /// A connection to the first of its servers that takes one.
    pub(crate) async fn open(&self, access: &Access<'_>) -> Result<Connection, SourceError> {
        self.connect_first(access, None).await
    }

    /// A connection to the first of its servers that takes one; `broker` is where a proxy leads to.
    async fn connect_first(
        &self,
        access: &Access<'_>,
        broker: Option<&str>,
    ) -> Result<Connection, SourceError> {
        let mut last = None;
        for server in &self.servers {
            match self.connect(access, server, broker).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("a URL names a server"))
    }

    /// A connection to a broker that a lookup named.
    pub(crate) async fn reach(
        &self,
        access: &Access<'_>,
        place: &Place,
    ) -> Result<Connection, SourceError> {
        if place.through_proxy {
            return self.connect_first(access, Some(&place.address)).await;
        }
        let input = Input {
            path: &self.path,
            value: &Value::Null,
        };
        let server = TcpServer::check(&input, ("url", &place.address), 6650, self.tls.clone());
        let server = server.map_err(|_| {
            let address = &place.address;
            self.failed(&format!(
                "a broker advertises the address {address:?}, which is none"
            ))
        })?;
        self.connect(access, &server, None).await
    }

    async fn connect(
        &self,
        access: &Access<'_>,
        server: &TcpServer,
        broker: Option<&str>,
    ) -> Result<Connection, SourceError> {
        let secret = |field: &str| {
            let trusts = self.trusts && field == CA;
            (access.secret)(if trusts { TRUST } else { field })
        };
        let stream = server.connect(access.egress, secret).await;
        let stream = stream.map_err(|error| match error {
            // The field of all kinds stands for that of Pulsar.
            SourceError::Tls(TlsError::Field { field, reason })
                if self.trusts && CA.ends_with(field) =>
            {
                self.failed(&format!("{TRUST}: {reason}"))
            }
            other => other,
        })?;
        let login = match (access.secret)(TOKEN) {
            Some(token) => Some(Login {
                method: "token",
                data: token.expose().trim().as_bytes().to_vec(),
            }),
            // Who the client is, its certificate says.
            None => secret(CERTIFICATE).map(|_| Login {
                method: "tls",
                data: Vec::new(),
            }),
        };
        let opened = Connection::open(stream, login, broker).await;
        opened.map_err(|error| server.failed(&hint(&error)))
    }
}

/// The error of a login, and what it means.
fn hint(error: &PulsarError) -> String {
    match error {
        PulsarError::Io(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the server closed the connection at once: does it speak Pulsar's protocol here, with or without TLS as the url says?".to_owned()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(value: &Value) -> Result<Cluster, FieldError> {
        let server: PulsarServer = serde_json::from_value(value.clone()).expect("settings");
        Cluster::check(&Input { path: "p", value }, &server)
    }

    #[test]
    fn the_url_says_whether_connections_are_encrypted() {
        let plain = check(&json!({"url": "pulsar://a"})).expect("checked");
        assert_eq!((plain.name(), plain.tls.is_some()), ("a:6650", false));
        let both = check(&json!({
            "url": "pulsar+ssl://a,b:7/", "authTokenSecret": {"name": "s", "key": "t"},
            "tlsTrustCertsSecret": {"name": "s", "key": "ca"},
            "tls": {"clientCertSecret": {"name": "s", "key": "c"}, "clientKeySecret": {"name": "s", "key": "k"}},
        }));
        let both = both.expect("checked");
        let servers: Vec<&str> = both.servers.iter().map(|s| s.address.as_str()).collect();
        assert_eq!(servers, ["a:6651", "b:7"]);
        let fields: Vec<&str> = both.secrets().iter().map(|(field, _)| *field).collect();
        assert_eq!(
            fields,
            [
                "tlsTrustCertsSecret",
                "tls.clientCertSecret",
                "tls.clientKeySecret",
                "authTokenSecret"
            ]
        );
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_field() {
        for (field, value) in [
            ("url", json!("http://a:8080")),
            ("url", json!("a:6650")),
            ("url", json!("pulsar://")),
            ("url", json!("pulsar://u:s3cret@a")),
            ("tls", json!({"clientKeySecret": {"name": "s", "key": "k"}})),
            ("authAthenzSecret", json!({"name": "s", "key": "k"})),
            ("authAthenzParams", json!({"tenantDomain": "x"})),
        ] {
            let mut settings = json!({"url": "pulsar://a"});
            settings[field] = value;
            let error = check(&settings).expect_err("refused");
            assert_eq!(error.path, format!("p.{field}"));
        }
    }
}
