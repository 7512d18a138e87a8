//! `sqs`: messages of a queue of Amazon SQS. A message is deleted once the bus has stored it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use reconcile_core::{aws::domain, object::FieldError, secret::Secret};
use reqwest::Url;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    EmitError,
    body::Body,
    http_server::{Held, HttpServer, may_ask_again},
    kind::{Input, Source, SourceContext, SourceError, SourceKind},
};
use crate::{
    api::KeySelector,
    aws::{AwsSigner, Keys, Service, checked_role},
    http_client::Call,
    tls::TlsSettings,
};

/// The kind.
pub(super) const KIND: SourceKind = SourceKind {
    key: "sqs",
    check: |input| Ok(Arc::new(check(input)?)),
};

/// Seconds that the server waits for a message, as upstream.
const WAIT: u8 = 3;
/// The most that SQS permits.
const LONGEST_WAIT: u8 = 20;
/// Messages of one answer, the most that SQS gives.
const MESSAGES: usize = 10;
/// A message that was not deleted comes again after so long, as upstream.
const VISIBILITY: Duration = Duration::from_secs(120);
/// The bus is tried for so long; then the message comes again.
const PATIENCE: Duration = Duration::from_secs(90);
/// Pause after the bus did not take a message.
const PAUSE: Duration = Duration::from_secs(1);
/// For a request beside its wait.
const DEADLINE: Duration = Duration::from_secs(20);
/// Ten messages of 1 MiB, with room for what JSON escapes.
const ANSWER: usize = 24 << 20;

/// The version of the protocol.
const JSON: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.0");
/// Names the operation.
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");

const ACCESS: &str = "accessKey";
const SECRET: &str = "secretKey";
const SESSION: &str = "sessionToken";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    queue: String,
    queue_account_id: String,
    region: String,
    endpoint: String,
    access_key: Option<KeySelector>,
    secret_key: Option<KeySelector>,
    session_token: Option<KeySelector>,
    #[serde(rename = "roleARN")]
    role_arn: String,
    wait_time_seconds: i64,
    dlq: bool,
    json_body: bool,
}

#[derive(Debug)]
struct Queue {
    endpoint: Url,
    name: String,
    account: Option<String>,
    region: String,
    /// Assumed with the keys.
    role: String,
    secrets: Vec<(&'static str, KeySelector)>,
    wait: u8,
    keep_unreadable: bool,
    json: bool,
}

fn check(input: &Input<'_>) -> Result<Queue, FieldError> {
    let config: Config = input.decode()?;
    let word = |text: &str, more: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
        !text.is_empty() && text.chars().all(known)
    };
    if !word(&config.queue, "-_.") {
        let message = format!("{:?} is not the name of a queue", config.queue);
        return Err(input.wrong("queue", message));
    }
    if !word(&config.region, "-") {
        let message = format!("{:?} is not a region", config.region);
        return Err(input.wrong("region", message));
    }
    let role = checked_role(&config.role_arn).map_err(|why| input.wrong("roleARN", why))?;
    let mut secrets = Vec::new();
    for (field, key) in [(ACCESS, config.access_key), (SECRET, config.secret_key)] {
        let reason = "must not be empty: an EventSource has no pod whose role could be used";
        secrets.push((field, key.ok_or_else(|| input.wrong(field, reason))?));
    }
    secrets.extend(config.session_token.map(|key| (SESSION, key)));
    let wait = match config.wait_time_seconds {
        0 => WAIT,
        seconds => u8::try_from(seconds)
            .ok()
            .filter(|seconds| *seconds <= LONGEST_WAIT)
            .ok_or_else(|| input.wrong("waitTimeSeconds", "must be 0 to 20"))?,
    };
    Ok(Queue {
        endpoint: endpoint(input, &config.endpoint, &config.region)?,
        name: config.queue,
        account: Some(config.queue_account_id).filter(|id| !id.is_empty()),
        region: config.region,
        role,
        secrets,
        wait,
        keep_unreadable: config.dlq,
        json: config.json_body,
    })
}

fn endpoint(input: &Input<'_>, given: &str, region: &str) -> Result<Url, FieldError> {
    let text = match given {
        "" => format!("https://sqs.{region}.{}", domain(region)),
        given => given.to_owned(),
    };
    Url::parse(&text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.username().is_empty())
        .ok_or_else(|| input.wrong("endpoint", "must be a URL without a user"))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct QueueUrl {
    queue_url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Received {
    #[serde(default)]
    messages: Option<Vec<Message>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    #[serde(rename = "MessageId")]
    id: String,
    receipt_handle: String,
    #[serde(default)]
    body: String,
    #[serde(rename = "MessageAttributes", default)]
    attributes: Option<BTreeMap<String, Value>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Deleted {
    failed: Vec<NotDeleted>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NotDeleted {
    code: String,
}

/// What SQS says beside another status than 200.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    #[serde(rename = "__type")]
    type_: String,
    message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'p> {
    message_id: &'p str,
    message_attributes: &'p Option<BTreeMap<String, Value>>,
    body: Body<'p>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'p BTreeMap<String, String>,
}

/// What becomes of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Delete,
    /// The queue gives it again, and gives it up as its own rules say.
    Keep,
}

impl Source for Queue {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        self.secrets.clone()
    }

    fn run<'s>(&'s self, context: &'s SourceContext) -> BoxFuture<'s, Result<(), SourceError>> {
        self.follow(context).boxed()
    }
}

/// A queue that is asked.
struct Client<'q> {
    queue: &'q Queue,
    context: &'q SourceContext,
    server: HttpServer,
    signer: Arc<AwsSigner>,
}

impl Queue {
    fn signer(&self, context: &SourceContext) -> Arc<AwsSigner> {
        let secret = |field| context.secret(field).map(Secret::expose);
        let keys = Keys {
            access: secret(ACCESS).unwrap_or_default(),
            secret: secret(SECRET).unwrap_or_default(),
            session: secret(SESSION),
        };
        let service = Service {
            name: "sqs",
            region: &self.region,
        };
        context.signers.signer(&service, &keys, &self.role)
    }

    async fn follow(&self, context: &SourceContext) -> Result<(), SourceError> {
        let client = Client {
            queue: self,
            context,
            server: HttpServer::new(&self.endpoint, context, &TlsSettings::default())?,
            signer: self.signer(context),
        };
        let mut question = json!({"QueueName": self.name});
        if let Some(account) = &self.account {
            question["QueueOwnerAWSAccountId"] = json!(account);
        }
        // A name for the queue: requests go to the endpoint of the manifest whatever is in it.
        let (QueueUrl { queue_url }, _) = client.ask("GetQueueUrl", &question, DEADLINE).await?;
        context.report(None);
        loop {
            client.take(&queue_url).await?;
        }
    }
}

impl Client<'_> {
    /// Receives messages, publishes them, and deletes them.
    async fn take(&self, queue_url: &str) -> Result<(), SourceError> {
        let begun = Instant::now();
        let question = json!({
            "QueueUrl": queue_url,
            "MaxNumberOfMessages": MESSAGES,
            "WaitTimeSeconds": self.queue.wait,
            "VisibilityTimeout": VISIBILITY.as_secs(),
            "MessageAttributeNames": ["All"],
        });
        let wait = Duration::from_secs(self.queue.wait.into());
        let asked = self.ask("ReceiveMessage", &question, wait + DEADLINE);
        // Its room is taken as long as the messages are here.
        let (received, _room): (Received, Held) = asked.await?;
        let deadline = Instant::now() + PATIENCE;
        let messages = received.messages.unwrap_or_default();
        may_ask_again(begun, messages.len()).await;
        // The groups of a queue with an order keep theirs.
        let at_once = if self.queue.name.strip_suffix(".fifo").is_some() {
            1
        } else {
            MESSAGES
        };
        let fates: Vec<_> = stream::iter(messages)
            .map(|message| async move {
                let fate = self.publish(queue_url, &message, deadline).await;
                (fate, message)
            })
            .buffered(at_once)
            .collect()
            .await;
        let mut entries = Vec::new();
        for (at, (fate, message)) in fates.iter().enumerate() {
            if matches!(fate, Ok(Fate::Delete)) {
                entries
                    .push(json!({"Id": at.to_string(), "ReceiptHandle": message.receipt_handle}));
            }
        }
        self.delete(queue_url, entries).await?;
        fates.into_iter().try_for_each(|(fate, _)| fate.map(drop))
    }

    async fn publish(
        &self,
        queue_url: &str,
        message: &Message,
        deadline: Instant,
    ) -> Result<Fate, SourceError> {
        let unreadable = if self.queue.keep_unreadable {
            Fate::Keep
        } else {
            Fate::Delete
        };
        let Some(body) = Body::bytes(self.context, message.body.as_bytes(), self.queue.json) else {
            return Ok(unreadable);
        };
        let payload = Payload {
            message_id: &message.id,
            message_attributes: &message.attributes,
            body,
            metadata: self.context.metadata(),
        };
        let id = self.context.id(&format!("{queue_url}/{}", message.id));
        loop {
            match self.context.emit(id.clone(), &payload).await {
                Ok(_) | Err(EmitError::Filter(_)) => return Ok(Fate::Delete),
                Err(EmitError::TooLarge { .. }) => return Ok(unreadable),
                Err(EmitError::Bus(error)) if Instant::now() >= deadline => {
                    return Err(error.into());
                }
                Err(EmitError::Bus(_)) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn delete(&self, queue_url: &str, entries: Vec<Value>) -> Result<(), SourceError> {
        if entries.is_empty() {
            return Ok(());
        }
        let request = json!({"QueueUrl": queue_url, "Entries": entries});
        let (Deleted { failed }, _) = self.ask("DeleteMessageBatch", &request, DEADLINE).await?;
        let codes: BTreeSet<String> = failed.into_iter().map(|entry| entry.code).collect();
        if codes.is_empty() {
            return Ok(());
        }
        // They come again under the same ids, which the bus stores once.
        let codes = Vec::from_iter(codes).join(", ");
        Err(self.server.failed(&format!(
            "messages are stored and cannot be deleted: {codes}"
        )))
    }

    /// Sends a request of the JSON protocol.
    async fn ask<T: DeserializeOwned>(
        &self,
        action: &str,
        question: &Value,
        timeout: Duration,
    ) -> Result<(T, Held), SourceError> {
        let body = Bytes::from(question.to_string());
        let target = HeaderValue::try_from(format!("AmazonSQS.{action}"));
        let mut call = Call {
            method: Method::POST,
            url: self.queue.endpoint.clone(),
            headers: HeaderMap::from_iter([
                (header::CONTENT_TYPE, JSON),
                (TARGET, target.map_err(|error| self.server.failed(&error))?),
            ]),
            body: Some(body),
            timeout,
        };
        let signed = self.signer.sign(&mut call).await;
        signed.map_err(|error| self.server.failed(&error))?;
        let answer = self.server.send(call).await?;
        let status = answer.status();
        let held = self.server.body(self.context, answer, ANSWER).await?;
        if status != StatusCode::OK {
            let refusal: Refusal = serde_json::from_slice(&held.bytes).unwrap_or_default();
            let code = refusal.type_.rsplit('#').next().unwrap_or_default();
            let reason = format!(
                "{action} answered {} {code}: {}",
                status.as_u16(),
                refusal.message
            );
            return Err(self.server.failed(&self.context.excerpt(&reason)));
        }
        // Operations without a result answer with nothing.
        let text = if held.bytes.is_empty() {
            b"{}".as_slice()
        } else {
            &held.bytes
        };
        let wrong = |error| format!("{action} answered no JSON of SQS: {error}");
        let parsed = serde_json::from_slice(text).map_err(|e| self.server.failed(&wrong(e)))?;
        Ok((parsed, held))
    }
}
