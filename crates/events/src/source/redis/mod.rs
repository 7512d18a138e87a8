//! `redis` and `redisStream`: what is published to channels, and what is added to streams.

mod channels;
mod resp;
mod streams;

use std::time::Duration;

use reconcile_core::object::FieldError;
use serde::Deserialize;

use super::{
    kind::{Input, SourceContext, SourceError},
    server::{ServerTls, TcpServer},
};
use crate::api::{KeySelector, TlsConfig};

pub(super) use channels::KIND as CHANNELS;
pub use resp::{RespError, read_reply};
pub(super) use streams::KIND as STREAMS;

use resp::Connection;

/// An answer to a command that does not block takes no longer.
const DEADLINE: Duration = Duration::from_secs(10);
/// Port of Redis where the URL has none.
const PORT: u16 = 6379;
const PASSWORD: &str = "password";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    host_address: String,
    username: String,
    password: Option<KeySelector>,
    db: u32,
    tls: Option<TlsConfig>,
}

/// A checked server.
#[derive(Debug)]
struct Redis {
    server: TcpServer,
    username: String,
    password: Option<KeySelector>,
    db: u32,
}

impl Redis {
    fn check(input: &Input<'_>) -> Result<Self, FieldError> {
        let config: Config = input.decode()?;
        let tls = ServerTls::check(input, config.tls.as_ref())?;
        let address = ("hostAddress", config.host_address.as_str());
        Ok(Self {
            server: TcpServer::check(input, address, PORT, tls)?,
            username: config.username,
            password: config.password,
            db: config.db,
        })
    }

    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        let password = self.password.clone().map(|selector| (PASSWORD, selector));
        self.server.secrets().into_iter().chain(password).collect()
    }

    /// A connection that is logged in.
    async fn connect(&self, context: &SourceContext) -> Result<Connection, SourceError> {
        let stream = self
            .server
            .connect(context.egress, |field| context.secret(field).cloned())
            .await?;
        let mut connection = Connection::new(stream, context.largest_message());
        let failed = |error: resp::RespError| self.server.failed(&error);
        if let Some(password) = context.secret(PASSWORD) {
            let name = self.username.as_str();
            let login: &[&str] = match name {
                "" => &["AUTH", password.expose()],
                name => &["AUTH", name, password.expose()],
            };
            connection.call(login, DEADLINE).await.map_err(failed)?;
        }
        let db = self.db.to_string();
        connection
            .call(&["SELECT", &db], DEADLINE)
            .await
            .map_err(failed)?;
        Ok(connection)
    }
}

/// The names of channels or streams, which must be some.
fn names(input: &Input<'_>, field: &str, names: Vec<String>) -> Result<Vec<String>, FieldError> {
    if names.is_empty() || names.iter().any(String::is_empty) {
        return Err(input.wrong(field, "must hold names"));
    }
    Ok(names)
}
