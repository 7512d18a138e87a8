//! Where the broker is, and how the source logs in.

use std::{borrow::Cow, io, time::Duration};

use async_rs::{Runtime, Tokio, util::RuntimeParts};
use lapin::{
    AsyncTcpStream, Connection, ConnectionProperties,
    uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo},
};
use parking_lot::Mutex;
use reconcile_core::{redaction::Redactor, secret::Secret};
use serde_json::Value;
use url::Url;

use super::transport::{Reactor, Sizes, Transport};
use crate::{
    api::KeySelector,
    source::{
        kind::{Input, SourceContext, SourceError},
        server::{ServerTls, TcpServer},
    },
};

pub(super) const USERNAME: &str = "auth.username";
pub(super) const PASSWORD: &str = "auth.password";
const URL: &str = "urlSecret";
/// The broker answers within this time.
pub(super) const DEADLINE: Duration = Duration::from_secs(15);
/// Seconds between signs of life, as upstream.
const HEARTBEAT: u16 = 10;
/// Credentials of a broker that was just installed, which clients use where none are given.
const GUEST: &str = "guest";

/// A broker that is checked as far as the manifest goes: its URL may be a Secret.
#[derive(Debug)]
pub(super) struct Broker {
    /// For example `spec.amqp.orders`.
    pub(super) path: String,
    pub(super) url: String,
    pub(super) url_secret: Option<KeySelector>,
    /// The manifest asks for no TLS; the URL may.
    pub(super) plain: bool,
    pub(super) tls: ServerTls,
    pub(super) auth: Vec<(&'static str, KeySelector)>,
}

/// What a URL says.
pub(super) struct Address {
    pub(super) server: TcpServer,
    vhost: String,
    username: String,
    password: String,
}

/// A connection that is logged in.
pub(super) struct LoggedIn {
    pub(super) connection: Connection,
    pub(super) sizes: Sizes,
    pub(super) address: Address,
    redactor: Redactor,
}

impl LoggedIn {
    /// The broker did or said this, without the credentials of its URL.
    pub(super) fn failed(&self, reason: &(impl ToString + ?Sized)) -> SourceError {
        let reason = self.redactor.redact(reason.to_string());
        self.address.server.failed(&reason)
    }
}

impl Broker {
    pub(super) fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        let url = self.url_secret.clone().map(|selector| (URL, selector));
        let tls = self.tls.secrets.iter().cloned();
        url.into_iter()
            .chain(tls)
            .chain(self.auth.iter().cloned())
            .collect()
    }

    /// Reads `amqp://USER:PASSWORD@HOST:PORT/VHOST`; the error says nothing of what is there.
    pub(super) fn address(&self, url: &str) -> Result<Address, &'static str> {
        const FORM: &str = "must be amqp://HOST:PORT/VHOST or amqps://HOST:PORT/VHOST";
        let url = Url::parse(url.trim()).map_err(|_| FORM)?;
        let (port, encrypted) = match url.scheme() {
            "amqp" => (5672, !self.plain),
            "amqps" => (5671, true),
            _ => return Err(FORM),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(FORM)?;
        let host = format!("{host}:{}", url.port().unwrap_or(port));
        let decoded = |text: &str| {
            let text = percent_encoding::percent_decode_str(text).decode_utf8();
            text.map(Cow::into_owned).map_err(|_| FORM)
        };
        let vhost = match url.path() {
            "" | "/" => "/".to_owned(),
            path => decoded(&path[1..])?,
        };
        let input = Input {
            path: &self.path,
            value: &Value::Null,
        };
        let tls = encrypted.then(|| self.tls.clone());
        let server = TcpServer::check(&input, ("url", &host), port, tls).map_err(|_| FORM)?;
        let (username, password) = match url.username() {
            "" => (GUEST.to_owned(), GUEST.to_owned()),
            username => (
                decoded(username)?,
                decoded(url.password().unwrap_or_default())?,
            ),
        };
        Ok(Address {
            server,
            vhost,
            username,
            password,
        })
    }

    /// Connects and logs in.
    pub(super) async fn connect(&self, context: &SourceContext) -> Result<LoggedIn, SourceError> {
        let url = context
            .secret(URL)
            .map_or(self.url.as_str(), Secret::expose);
        let mut address = self.address(url).map_err(|reason| SourceError::Server {
            server: URL.to_owned(),
            reason: reason.to_owned(),
        })?;
        if let (Some(username), Some(password)) =
            (context.secret(USERNAME), context.secret(PASSWORD))
        {
            address.username = username.expose().to_owned();
            address.password = password.expose().to_owned();
        }
        let redactor = match address.password.as_str() {
            GUEST => Redactor::default(),
            password => Redactor::of(&[password.into()]),
        };
        let (egress, server) = (context.egress, &address.server);
        let stream = server
            .connect(egress, |field| context.secret(field).cloned())
            .await?;
        let (stream, sizes) = Transport::new(stream, context.largest_message());
        let login = login(address.uri(), stream);
        let failed = |reason: String| server.failed(&redactor.redact(reason));
        let connection = match tokio::time::timeout(DEADLINE, login).await {
            Ok(connection) => connection.map_err(|error| failed(error.to_string()))?,
            Err(_) => return Err(failed("no answer to the login in time".to_owned())),
        };
        Ok(LoggedIn {
            connection,
            sizes,
            address,
            redactor,
        })
    }
}

impl Address {
    fn uri(&self) -> AMQPUri {
        AMQPUri {
            // Encryption is below the transport.
            scheme: AMQPScheme::AMQP,
            authority: AMQPAuthority {
                userinfo: AMQPUserInfo {
                    username: self.username.clone(),
                    password: self.password.clone(),
                },
                host: self.server.address.clone(),
                port: 0,
            },
            vhost: self.vhost.clone(),
            query: AMQPQueryString {
                heartbeat: Some(HEARTBEAT),
                ..AMQPQueryString::default()
            },
        }
    }
}

/// Logs in over a connection that is there already.
async fn login(uri: AMQPUri, stream: Transport) -> lapin::Result<Connection> {
    let runtime = Runtime::new(RuntimeParts::new(Tokio::current(), Reactor::current()));
    // The library connects through this once: it is not asked to recover.
    let stream = Mutex::new(Some(stream));
    let properties = ConnectionProperties::default().with_connection_name("argo-events".into());
    Connection::connector(
        uri,
        runtime,
        async move |_, _| {
            let stream = stream.lock().take();
            let stream = stream.ok_or_else(|| io::Error::other("the connection is lost"))?;
            Ok(AsyncTcpStream::Plain(stream))
        },
        properties,
    )
    .await
}
