//! `azureServiceBus`: messages of a queue, or of a subscription of a topic, received over HTTPS. Each is locked, and deleted
//! once the bus has stored it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reconcile_core::object::FieldError;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    EmitError,
    body::Body,
    http_server::{HttpServer, may_ask_again},
    kind::{Input, Source, SourceContext, SourceError, SourceKind},
    server::ServerTls,
};
use crate::{
    api::{KeySelector, TlsConfig},
    azure::{Namespace, rfc3339},
    http_client::Call,
    tls::TlsSettings,
};

/// The kind.
pub(super) const KIND: SourceKind = SourceKind {
    key: "azureServiceBus",
    check: |input| Ok(Arc::new(check(input)?)),
};

/// The server waits so long for a message, in seconds.
const WAIT: u64 = 30;
/// For a request beside its wait.
const DEADLINE: Duration = Duration::from_secs(20);
/// The largest message that the service takes has 100 MB; the bus takes far less.
const ANSWER: usize = 16 << 20;
/// Messages that are received at the same time: an answer has one.
const AT_ONCE: usize = 4;

const CONNECTION: &str = "connectionString";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    connection_string: Option<KeySelector>,
    fully_qualified_namespace: String,
    queue_name: String,
    topic_name: String,
    subscription_name: String,
    tls: Option<TlsConfig>,
    json_body: bool,
}

#[derive(Debug)]
struct Entity {
    /// The queue, or the subscription of a topic.
    path: Vec<String>,
    secrets: Vec<(&'static str, KeySelector)>,
    tls: Option<ServerTls>,
    json: bool,
}

fn check(input: &Input<'_>) -> Result<Entity, FieldError> {
    let config: Config = input.decode()?;
    let path = match (
        config.queue_name.as_str(),
        config.topic_name.as_str(),
        config.subscription_name.as_str(),
    ) {
        ("", "", _) => return Err(input.wrong("queueName", "queueName or topicName must be set")),
        ("", _, "") => return Err(input.wrong("subscriptionName", "must be set beside topicName")),
        ("", topic, subscription) => {
            let names = [topic, "subscriptions", subscription];
            names.map(str::to_owned).to_vec()
        }
        (queue, ..) => vec![queue.to_owned()],
    };
    let Some(connection) = config.connection_string else {
        let other = match config.fully_qualified_namespace.as_str() {
            "" => "",
            _ => {
                ": an EventSource has no pod whose identity could be used for fullyQualifiedNamespace"
            }
        };
        return Err(input.wrong(CONNECTION, format!("must be set{other}")));
    };
    let tls = ServerTls::check(input, config.tls.as_ref())?;
    let certificates = tls.iter().flat_map(|tls| tls.secrets.clone());
    Ok(Entity {
        path,
        secrets: std::iter::once((CONNECTION, connection))
            .chain(certificates)
            .collect(),
        tls,
        json: config.json_body,
    })
}

/// What the service says about a message.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Properties {
    message_id: String,
    sequence_number: i64,
    lock_token: String,
    correlation_id: Option<String>,
    reply_to: Option<String>,
    label: Option<String>,
    enqueued_time_utc: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'p> {
    application_properties: BTreeMap<String, Value>,
    body: Body<'p>,
    content_type: Option<&'p str>,
    #[serde(rename = "correlationID")]
    correlation_id: &'p Option<String>,
    enqueued_time: Option<String>,
    #[serde(rename = "messageID")]
    message_id: &'p str,
    reply_to: &'p Option<String>,
    sequence_number: i64,
    subject: &'p Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'p BTreeMap<String, String>,
}

impl Source for Entity {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        self.secrets.clone()
    }

    fn run<'s>(&'s self, context: &'s SourceContext) -> BoxFuture<'s, Result<(), SourceError>> {
        self.follow(context).boxed()
    }
}

struct Client<'c> {
    entity: &'c Entity,
    context: &'c SourceContext,
    namespace: Namespace,
    server: HttpServer,
}

impl Entity {
    async fn follow(&self, context: &SourceContext) -> Result<(), SourceError> {
        let text = context.secret(CONNECTION).map_or("", |text| text.expose());
        let namespace = Namespace::parse(text).map_err(|error| SourceError::Server {
            server: CONNECTION.to_owned(),
            reason: error.to_string(),
        })?;
        context.hide(secrecy::ExposeSecret::expose_secret(&namespace.key));
        let tls = self.tls.as_ref();
        let tls = tls.map(|tls| tls.settings(|field| context.secret(field).cloned()));
        let tls: TlsSettings = tls.unwrap_or_default();
        let client = Client {
            entity: self,
            context,
            server: HttpServer::new(&namespace.address, context, &tls)?,
            namespace,
        };
        let mut receivers: FuturesUnordered<_> = (0..AT_ONCE).map(|_| client.receive()).collect();
        // The first failure ends all of them; what they had locked comes again when its lock ends.
        while let Some(outcome) = receivers.next().await {
            outcome?;
        }
        Ok(())
    }
}

impl Client<'_> {
    async fn receive(&self) -> Result<(), SourceError> {
        loop {
            let asked = Instant::now();
            let found = self.take().await?;
            self.context.report(None);
            may_ask_again(asked, usize::from(found)).await;
        }
    }

    /// Receives a message, publishes it and deletes it; false where none comes in time.
    async fn take(&self) -> Result<bool, SourceError> {
        let mut url = self.url(&["messages", "head"]);
        url.set_query(Some(&format!("timeout={WAIT}")));
        let wait = Duration::from_secs(WAIT) + DEADLINE;
        let answer = self.ask(Method::POST, url, wait).await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        if status == StatusCode::NO_CONTENT {
            return Ok(false);
        }
        let held = self.server.body(self.context, answer, ANSWER).await?;
        if !status.is_success() {
            return Err(self.refused("messages", status));
        }
        let properties = headers
            .get("brokerproperties")
            .and_then(|text| text.to_str().ok());
        let properties: Option<Properties> =
            properties.and_then(|text| serde_json::from_str(text).ok());
        let properties = properties.filter(|properties| !properties.lock_token.is_empty());
        let Some(properties) = properties else {
            return Err(self
                .server
                .failed("the answer is no message of Service Bus"));
        };
        let number = properties.sequence_number.to_string();
        let lock = self.url(&["messages", &number, &properties.lock_token]);
        match self.publish(&properties, &headers, &held.bytes).await {
            Ok(()) => {
                let deleted = self.ask(Method::DELETE, lock, DEADLINE).await?;
                // 404: the lock has ended, and the message comes again under the same id.
                let status = deleted.status();
                if status.is_success() || status == StatusCode::NOT_FOUND {
                    return Ok(true);
                }
                Err(self.refused("deleting a message", status))
            }
            Err(error) => {
                drop(self.ask(Method::PUT, lock, DEADLINE).await);
                Err(error)
            }
        }
    }

    async fn publish(
        &self,
        properties: &Properties,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(), SourceError> {
        let Some(body) = Body::bytes(self.context, body, self.entity.json) else {
            return Ok(());
        };
        let content_type = headers
            .get(header::CONTENT_TYPE)
            .and_then(|text| text.to_str().ok());
        let time = properties.enqueued_time_utc.as_deref();
        let payload = Payload {
            application_properties: application_properties(headers),
            body,
            content_type,
            correlation_id: &properties.correlation_id,
            enqueued_time: time.map(rfc3339),
            message_id: &properties.message_id,
            reply_to: &properties.reply_to,
            sequence_number: properties.sequence_number,
            subject: &properties.label,
            metadata: self.context.metadata(),
        };
        let (host, path) = (&self.namespace.address, self.entity.path.join("/"));
        let id = self
            .context
            .id(&format!("{host}{path}/{}", properties.sequence_number));
        match self.context.emit(id, &payload).await {
            Err(EmitError::Bus(error)) => Err(error.into()),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// A URL below the entity, whatever an answer says.
    fn url(&self, more: &[&str]) -> Url {
        let path: Vec<&str> = self
            .entity
            .path
            .iter()
            .map(String::as_str)
            .chain(more.iter().copied())
            .collect();
        self.namespace.url(&path)
    }

    async fn ask(
        &self,
        method: Method,
        url: Url,
        timeout: Duration,
    ) -> Result<reqwest::Response, SourceError> {
        let signature = self
            .namespace
            .signature(&self.url(&[]), self.context.emitter.clock.now());
        let signature = HeaderValue::from_str(&signature);
        let mut signature =
            signature.map_err(|_| self.server.failed("the key has no valid name"))?;
        signature.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, signature);
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        let call = Call {
            method,
            url,
            headers,
            body: None,
            timeout,
        };
        self.server.send(call).await
    }

    fn refused(&self, what: &str, status: StatusCode) -> SourceError {
        let path = self.entity.path.join("/");
        let hint = match status {
            StatusCode::UNAUTHORIZED => ": the key needs the right to listen",
            StatusCode::NOT_FOUND | StatusCode::GONE => ": there is no such queue or subscription",
            _ => "",
        };
        self.server.failed(&format!(
            "{path}: {what} answered {}{hint}",
            status.as_u16()
        ))
    }
}

/// Headers that are not of the protocol: the service sends each property of a message as one, text in quotes.
fn application_properties(headers: &HeaderMap) -> BTreeMap<String, Value> {
    const PROTOCOL: [&str; 8] = [
        "brokerproperties",
        "content-type",
        "content-length",
        "date",
        "location",
        "server",
        "strict-transport-security",
        "transfer-encoding",
    ];
    let own = headers
        .iter()
        .filter(|(name, _)| !PROTOCOL.contains(&name.as_str()));
    own.filter_map(|(name, value)| {
        let text = value.to_str().ok()?;
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
        Some((name.to_string(), value))
    })
    .collect()
}
