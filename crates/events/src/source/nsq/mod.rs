//! `nsq`: messages of a channel, from all servers that a lookup service names for its topic.

mod connection;
mod consume;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use http::{HeaderMap, Method, StatusCode};
use reconcile_core::object::FieldError;
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    http_server::HttpServer,
    kind::{Input, Source, SourceContext, SourceError, SourceKind},
    server::{ServerTls, TcpServer},
};
use crate::{
    api::{KeySelector, TlsConfig},
    http_client::{Call, address},
    tls::TlsSettings,
};

pub use connection::{NsqError, read_frames};

/// The kind.
pub(super) const KIND: SourceKind = SourceKind {
    key: "nsq",
    check: |input| Ok(Arc::new(check(input)?)),
};

/// How often the lookup service is asked for new servers.
const LOOKUP: Duration = Duration::from_secs(60);
/// It answers within this time.
const DEADLINE: Duration = Duration::from_secs(10);
/// Bytes of its answer.
const ANSWER: usize = 1 << 20;
/// Servers of a topic that are read: each may hold a message that has not come in whole.
const MOST_SERVERS: usize = 16;
/// Port of a lookup service that names none.
const PORT: u16 = 4161;
/// Characters of the name of a topic or channel.
const LONGEST_NAME: usize = 64;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    host_address: String,
    topic: String,
    channel: String,
    tls: Option<TlsConfig>,
    json_body: bool,
}

#[derive(Debug)]
struct Nsq {
    /// Where the lookup service answers.
    lookup: Url,
    topic: String,
    channel: String,
    tls: Option<ServerTls>,
    json: bool,
}

fn check(input: &Input<'_>) -> Result<Nsq, FieldError> {
    let config: Config = input.decode()?;
    let text = config.host_address.as_str();
    let encrypted = text.starts_with("https://");
    let host = ["https://", "http://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    let host = host.unwrap_or(text);
    let lookup = address(host.trim_end_matches('/'), encrypted);
    let wrong = || input.wrong("hostAddress", "is not HOST:PORT of a lookup service");
    let mut lookup = lookup.filter(|_| !host.is_empty()).ok_or_else(wrong)?;
    if lookup.port().is_none() && !encrypted {
        lookup.set_port(Some(PORT)).map_err(|()| wrong())?;
    }
    lookup.set_path("/lookup");
    lookup.query_pairs_mut().append_pair("topic", &config.topic);
    for (field, name) in [("topic", &config.topic), ("channel", &config.channel)] {
        if !is_name(name) {
            let message = format!("{name:?} is not a name of NSQ");
            return Err(input.wrong(field, message));
        }
    }
    Ok(Nsq {
        lookup,
        topic: config.topic,
        channel: config.channel,
        tls: ServerTls::check(input, config.tls.as_ref())?,
        json: config.json_body,
    })
}

fn is_name(text: &str) -> bool {
    let name = text.strip_suffix("#ephemeral").unwrap_or(text);
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && text.len() <= LONGEST_NAME && name.chars().all(good)
}

/// What the lookup service answers; older ones have the same below `data`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Found {
    producers: Vec<Producer>,
    data: Option<Box<FoundData>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FoundData {
    producers: Vec<Producer>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Producer {
    broadcast_address: String,
    tcp_port: u16,
}

impl Source for Nsq {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        let tls = self.tls.as_ref().map(|tls| tls.secrets.clone());
        tls.unwrap_or_default()
    }

    fn run<'s>(&'s self, context: &'s SourceContext) -> BoxFuture<'s, Result<(), SourceError>> {
        self.follow(context).boxed()
    }
}

impl Nsq {
    /// Reads all servers of the topic. One that fails is tried again while the others are read.
    async fn follow(&self, context: &SourceContext) -> Result<(), SourceError> {
        let http = HttpServer::new(&self.lookup, context, &TlsSettings::default())?;
        let mut running = FuturesUnordered::new();
        let mut read: BTreeSet<String> = BTreeSet::new();
        let mut failures = 0;
        loop {
            match self.servers(context, &http).await {
                Ok(found) => {
                    for server in found {
                        if read.insert(server.address.clone()) {
                            running.push(self.consume(context, server));
                        }
                    }
                }
                Err(error) if running.is_empty() => return Err(error),
                Err(error) => context.report(Some(error.to_string())),
            }
            let mut next = Instant::now() + LOOKUP;
            loop {
                let ended = tokio::select! {
                    ended = running.next() => ended,
                    () = tokio::time::sleep_until(next) => {
                        failures = 0;
                        break;
                    }
                };
                let Some((address, error)) = ended else {
                    return Err(http.failed("no server has the topic yet"));
                };
                read.remove(&address);
                if running.is_empty() {
                    return Err(error);
                }
                context.report(Some(error.to_string()));
                failures += 1;
                let pause = context.reconnect().pause(failures, rand::random());
                next = next.min(Instant::now() + pause);
            }
        }
    }

    /// Reads one server until that fails.
    async fn consume(&self, context: &SourceContext, server: TcpServer) -> (String, SourceError) {
        let error = match consume::follow(self, context, &server).await {
            Ok(never) => match never {},
            Err(error) => error,
        };
        (server.address, error)
    }

    /// The servers that have the topic.
    async fn servers(
        &self,
        context: &SourceContext,
        http: &HttpServer,
    ) -> Result<Vec<TcpServer>, SourceError> {
        let call = Call {
            method: Method::GET,
            url: self.lookup.clone(),
            headers: HeaderMap::new(),
            body: None,
            timeout: DEADLINE,
        };
        let answer = http.send(call).await?;
        let status = answer.status();
        if status == StatusCode::NOT_FOUND {
            return Ok(Vec::new());
        }
        if !status.is_success() {
            return Err(http.failed(&format!("the lookup answered {}", status.as_u16())));
        }
        let held = http.body(context, answer, ANSWER).await?;
        let found: Found = serde_json::from_slice(&held.bytes)
            .map_err(|_| http.failed("the answer is not that of a lookup service"))?;
        let older = found.data.map(|data| data.producers).unwrap_or_default();
        let input = Input {
            path: "producers",
            value: &Value::Null,
        };
        let servers = found.producers.into_iter().chain(older).take(MOST_SERVERS);
        let servers = servers.map(|found| {
            let host = match found.broadcast_address.as_str() {
                host if host.contains(':') => format!("[{host}]"),
                host => host.to_owned(),
            };
            let address = format!("{host}:{}", found.tcp_port);
            TcpServer::check(&input, ("broadcast_address", &address), 0, self.tls.clone())
        });
        let servers: Result<Vec<TcpServer>, FieldError> = servers.collect();
        servers.map_err(|error| http.failed(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_letters_and_the_length_that_the_servers_accept() {
        for name in ["a", "a.b-c_9", "a#ephemeral"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "#ephemeral", "a b", "a\nFIN", "a#other"] {
            assert!(!is_name(name), "{name}");
        }
        assert!(is_name(&"a".repeat(64)) && !is_name(&"a".repeat(65)));
    }
}
