//! The servers of a cluster, and how a client logs in there.

use reconcile_core::object::FieldError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    connection::{Connection, KafkaError, checked},
    requests::{SASL_AUTHENTICATE, SASL_HANDSHAKE},
    scram::{Hash, Scram},
    wire::{Reader, Writer},
};
use crate::{
    api::{KeySelector, TlsConfig},
    source::{
        kind::{Input, SourceError},
        server::{Access, ServerTls, TcpServer},
    },
};

const USER: &str = "sasl.userSecret";
const PASSWORD: &str = "sasl.passwordSecret";
const PORT: u16 = 9092;
/// Most servers that a URL names.
const MOST_SERVERS: usize = 32;

/// How to log in, as a manifest says it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Sasl {
    /// PLAIN when empty.
    pub mechanism: String,
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_secret: Option<KeySelector>,
    /// The password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_secret: Option<KeySelector>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mechanism {
    Plain,
    Scram(Hash),
}

/// A checked cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Servers that know all others.
    servers: Vec<TcpServer>,
    /// For brokers that these name.
    tls: Option<ServerTls>,
    path: String,
    sasl: Option<Mechanism>,
    login: Vec<(&'static str, KeySelector)>,
}

impl Cluster {
    /// Checks `HOST:PORT`, or several with commas, at `url`.
    pub(crate) fn check(
        input: &Input<'_>,
        url: &str,
        tls: Option<&TlsConfig>,
        sasl: Option<&Sasl>,
    ) -> Result<Self, FieldError> {
        let tls = ServerTls::check(input, tls)?;
        let servers: Vec<&str> = url.split(',').map(str::trim).collect();
        if servers.len() > MOST_SERVERS {
            let message = format!("must name {MOST_SERVERS} servers at most");
            return Err(input.wrong("url", message));
        }
        let servers = servers
            .into_iter()
            .map(|server| TcpServer::check(input, ("url", server), PORT, tls.clone()));
        let (sasl, login) = login(input, sasl)?;
        Ok(Self {
            servers: servers.collect::<Result<_, _>>()?,
            tls,
            path: input.path.to_owned(),
            sasl,
            login,
        })
    }

    /// The first server.
    pub(crate) fn name(&self) -> &str {
        &self.servers[0].address
    }

    /// The Secrets that it needs, by field.
    pub(crate) fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        let tls = self.tls.as_ref().map(|tls| tls.secrets.clone());
        let tls = tls.unwrap_or_default().into_iter();
        tls.chain(self.login.iter().cloned()).collect()
    }

    /// A connection to the first of its servers that takes one.
    pub(crate) async fn open(&self, access: &Access<'_>) -> Result<Connection, SourceError> {
        let mut last = None;
        for server in &self.servers {
            match self.connect(access, server).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("a URL names a server"))
    }

    /// A connection to a broker that another one named.
    pub(crate) async fn reach(
        &self,
        access: &Access<'_>,
        (host, port): &(String, u16),
    ) -> Result<Connection, SourceError> {
        let input = Input {
            path: &self.path,
            value: &Value::Null,
        };
        let address = if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        };
        let server = TcpServer::check(&input, ("url", &address), *port, self.tls.clone());
        let server = server.map_err(|_| SourceError::Server {
            server: self.name().to_owned(),
            reason: format!("a broker advertises the address {address:?}, which is none"),
        })?;
        self.connect(access, &server).await
    }

    async fn connect(
        &self,
        access: &Access<'_>,
        server: &TcpServer,
    ) -> Result<Connection, SourceError> {
        let stream = server.connect(access.egress, access.secret).await?;
        let mut connection = Connection::new(server.address.clone(), stream);
        if let (Some(mechanism), Some(user), Some(password)) =
            (self.sasl, (access.secret)(USER), (access.secret)(PASSWORD))
        {
            let login = (user.expose(), password.expose());
            log_in(&mut connection, mechanism, login)
                .await
                .map_err(|error| server.failed(&error))?;
        }
        Ok(connection)
    }
}

type Login = (Option<Mechanism>, Vec<(&'static str, KeySelector)>);

fn login(input: &Input<'_>, sasl: Option<&Sasl>) -> Result<Login, FieldError> {
    let Some(sasl) = sasl else {
        return Ok((None, Vec::new()));
    };
    let mechanism = match sasl.mechanism.as_str() {
        "" | "PLAIN" => Mechanism::Plain,
        "SCRAM-SHA-256" => Mechanism::Scram(Hash::Sha256),
        "SCRAM-SHA-512" => Mechanism::Scram(Hash::Sha512),
        other => {
            let message =
                format!("{other:?} is not supported; use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512");
            return Err(input.wrong("sasl.mechanism", message));
        }
    };
    let (Some(user), Some(password)) = (&sasl.user_secret, &sasl.password_secret) else {
        return Err(input.wrong("sasl", "needs userSecret and passwordSecret"));
    };
    let login = vec![(USER, user.clone()), (PASSWORD, password.clone())];
    Ok((Some(mechanism), login))
}

async fn log_in(
    connection: &mut Connection,
    mechanism: Mechanism,
    (user, password): (&str, &str),
) -> Result<(), KafkaError> {
    let name = match mechanism {
        Mechanism::Plain => "PLAIN",
        Mechanism::Scram(hash) => hash.name(),
    };
    let answer = connection
        .call(SASL_HANDSHAKE, Writer::default().text(name))
        .await?;
    checked("SASL", Reader::new(&answer).i16()?)?;
    let Mechanism::Scram(hash) = mechanism else {
        let token = format!("\0{user}\0{password}");
        authenticate(connection, token.as_bytes()).await?;
        return Ok(());
    };
    let nonce = uuid::Uuid::new_v4().simple().to_string();
    let scram = Scram::new(hash, user, password, &nonce);
    let challenge = authenticate(connection, scram.first().as_bytes()).await?;
    let refused = || KafkaError::Said("SASL: the broker does not answer as SCRAM says".to_owned());
    let (answer, expected) = scram.answer(&challenge).ok_or_else(refused)?;
    let last = authenticate(connection, answer.as_bytes()).await?;
    if expected.is(&last) {
        Ok(())
    } else {
        let reason = "SASL: the broker does not know the password";
        Err(KafkaError::Said(reason.to_owned()))
    }
}

async fn authenticate(connection: &mut Connection, bytes: &[u8]) -> Result<String, KafkaError> {
    let answer = connection
        .call(SASL_AUTHENTICATE, Writer::default().bytes(bytes))
        .await?;
    let mut reader = Reader::new(&answer);
    let code = reader.i16()?;
    let reason = reader.nullable_text()?.unwrap_or_default();
    if code != 0 && !reason.is_empty() {
        return Err(KafkaError::Said(format!("SASL: {reason}")));
    }
    checked("SASL", code)?;
    Ok(String::from_utf8_lossy(reader.bytes()?).into_owned())
}
