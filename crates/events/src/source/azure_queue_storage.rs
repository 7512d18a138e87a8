//! `azureQueueStorage`: messages of a queue of Azure Storage, received over HTTPS. Each is hidden from others for a while,
//! and deleted once the bus has stored it.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc, time::Duration};

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, Engine as _};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use http::{Method, StatusCode};
use reconcile_core::object::FieldError;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    EmitError,
    body::Body,
    http_server::{HttpServer, may_ask_again},
    kind::{Input, Source, SourceContext, SourceError, SourceKind},
};
use crate::{
    api::KeySelector,
    azure::rfc3339,
    azure_storage::{QueueAccount, QueueMessage, messages},
    http_client::Call,
    tls::TlsSettings,
};

/// The kind.
pub(super) const KIND: SourceKind = SourceKind {
    key: "azureQueueStorage",
    check: |input| Ok(Arc::new(check(input)?)),
};

/// Messages of one answer, the most that the service gives.
const AT_ONCE: usize = 32;
/// A message that was received is hidden for so many seconds.
const HIDDEN: u64 = 15;
/// An answer comes within this time.
const DEADLINE: Duration = Duration::from_secs(20);
/// A message has 64 KiB at most; in XML a character may take six.
const ANSWER: usize = 16 << 20;
/// Pause after an answer without messages where the manifest has none, as upstream, and the longest one.
const PAUSE: u64 = 3;
const LONGEST_PAUSE: u64 = 3600;

const CONNECTION: &str = "connectionString";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    connection_string: Option<KeySelector>,
    storage_account_name: String,
    queue_name: String,
    wait_time_in_seconds: Option<i64>,
    json_body: bool,
    decode_message: bool,
    dlq: bool,
}

#[derive(Debug)]
struct Queue {
    name: String,
    connection: KeySelector,
    pause: Duration,
    json: bool,
    decode: bool,
    /// Messages that cannot be events stay.
    keep: bool,
}

fn check(input: &Input<'_>) -> Result<Queue, FieldError> {
    let config: Config = input.decode()?;
    let Some(connection) = config.connection_string else {
        let other = match config.storage_account_name.as_str() {
            "" => "",
            _ => ": an EventSource has no pod whose identity could be used for storageAccountName",
        };
        return Err(input.wrong(CONNECTION, format!("must be set{other}")));
    };
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let name = config.queue_name;
    if !(3..=63).contains(&name.len()) || !name.chars().all(good) {
        let message = format!("{name:?} is not a name of a queue: 3 to 63 of a-z, 0-9 and -");
        return Err(input.wrong("queueName", message));
    }
    let pause = match config.wait_time_in_seconds {
        None => PAUSE,
        Some(seconds) => u64::try_from(seconds)
            .map_err(|_| input.wrong("waitTimeInSeconds", "must not be negative"))?,
    };
    Ok(Queue {
        name,
        connection,
        pause: Duration::from_secs(pause.min(LONGEST_PAUSE)),
        json: config.json_body,
        decode: config.decode_message,
        keep: config.dlq,
    })
}

#[derive(Serialize)]
struct Payload<'p> {
    body: Body<'p>,
    #[serde(rename = "messageID")]
    message_id: &'p str,
    #[serde(rename = "insertionTime")]
    insertion_time: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'p BTreeMap<String, String>,
}

impl Source for Queue {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        vec![(CONNECTION, self.connection.clone())]
    }

    fn run<'s>(&'s self, context: &'s SourceContext) -> BoxFuture<'s, Result<(), SourceError>> {
        self.follow(context).boxed()
    }
}

struct Client<'c> {
    queue: &'c Queue,
    context: &'c SourceContext,
    account: QueueAccount,
    server: HttpServer,
}

impl Queue {
    async fn follow(&self, context: &SourceContext) -> Result<(), SourceError> {
        let text = context.secret(CONNECTION).map_or("", |text| text.expose());
        let account = QueueAccount::parse(text).map_err(|error| SourceError::Server {
            server: CONNECTION.to_owned(),
            reason: error.to_string(),
        })?;
        for secret in account.secrets() {
            context.hide(secret);
        }
        let client = Client {
            queue: self,
            context,
            server: HttpServer::new(&account.endpoint, context, &TlsSettings::default())?,
            account,
        };
        loop {
            let asked = Instant::now();
            let found = client.take().await?;
            context.report(None);
            if found == 0 {
                tokio::time::sleep_until(asked + self.pause).await;
            }
            may_ask_again(asked, found).await;
        }
    }
}

impl Client<'_> {
    /// Receives messages, publishes and deletes them; returns their number.
    async fn take(&self) -> Result<usize, SourceError> {
        let (count, hidden) = (AT_ONCE.to_string(), HIDDEN.to_string());
        let query = [
            ("numofmessages", count.as_str()),
            ("visibilitytimeout", hidden.as_str()),
        ];
        let answer = self.ask(Method::GET, &["messages"], &query).await?;
        let status = answer.status();
        let held = self.server.body(self.context, answer, ANSWER).await?;
        if !status.is_success() {
            return Err(self.refused("messages", status));
        }
        let text = std::str::from_utf8(&held.bytes).ok();
        let found = text.and_then(|text| messages(text, AT_ONCE));
        let found = found.ok_or_else(|| self.server.failed("the answer is no list of messages"))?;
        let count = found.len();
        let mut taken = stream::iter(found)
            .map(|message| self.pass_on(message))
            .buffer_unordered(AT_ONCE);
        // The first failure ends it; what is still hidden is there again later.
        while let Some(outcome) = taken.next().await {
            outcome?;
        }
        Ok(count)
    }

    async fn pass_on(&self, message: QueueMessage) -> Result<(), SourceError> {
        if !self.publish(&message).await? && self.queue.keep {
            return Ok(());
        }
        let path = ["messages", message.id.as_str()];
        let query = [("popreceipt", message.receipt.as_str())];
        let deleted = self.ask(Method::DELETE, &path, &query).await?;
        let status = deleted.status();
        // Somebody else has it meanwhile, or has deleted it: it comes again under the same id, or never.
        let gone = matches!(status, StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST);
        if status.is_success() || gone {
            return Ok(());
        }
        Err(self.refused("deleting a message", status))
    }

    /// Whether the message could be an event.
    async fn publish(&self, message: &QueueMessage) -> Result<bool, SourceError> {
        let Some(bytes) = self.decoded(message) else {
            return Ok(false);
        };
        let Some(body) = Body::bytes(self.context, &bytes, self.queue.json) else {
            return Ok(false);
        };
        let payload = Payload {
            body,
            message_id: &message.id,
            insertion_time: rfc3339(&message.inserted),
            metadata: self.context.metadata(),
        };
        let place = format!("{}{}", self.account.endpoint, self.queue.name);
        let id = self.context.id(&format!("{place}/{}", message.id));
        match self.context.emit(id, &payload).await {
            Ok(_) => Ok(true),
            Err(EmitError::Bus(error)) => Err(error.into()),
            Err(_) => Ok(false),
        }
    }

    /// The bytes of a message.
    fn decoded<'m>(&self, message: &'m QueueMessage) -> Option<Cow<'m, [u8]>> {
        if !self.queue.decode {
            return Some(Cow::Borrowed(message.text.as_bytes()));
        }
        let text: String = message
            .text
            .chars()
            .filter(|c| !matches!(c, '\r' | '\n'))
            .collect();
        let bytes = BASE64_URL_SAFE
            .decode(&text)
            .or_else(|_| BASE64_STANDARD.decode(&text));
        if bytes.is_err() {
            self.context.refused();
            tracing::warn!(eventsource = %self.context.emitter.key, event = self.context.event(), "message not published: its text is not base64");
        }
        bytes.ok().map(Cow::Owned)
    }

    async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<reqwest::Response, SourceError> {
        let path: Vec<&str> = [self.queue.name.as_str()]
            .iter()
            .chain(path)
            .copied()
            .collect();
        let url = self.account.url(&path, query);
        let now = self.context.emitter.clock.now();
        let headers = self.account.headers(&method, &url, now);
        let headers =
            headers.ok_or_else(|| self.server.failed("AccountName or AccountKey is not valid"))?;
        let call = Call {
            method,
            url,
            headers,
            body: None,
            timeout: DEADLINE,
        };
        self.server.send(call).await
    }

    fn refused(&self, what: &str, status: StatusCode) -> SourceError {
        let hint = match status {
            StatusCode::FORBIDDEN => ": the key or signature is not accepted",
            StatusCode::NOT_FOUND => ": there is no such queue",
            _ => "",
        };
        self.server.failed(&format!(
            "{}: {what} answered {}{hint}",
            self.queue.name,
            status.as_u16()
        ))
    }
}
