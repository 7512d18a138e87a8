//! `pubSub`: messages of a subscription of Google Cloud Pub/Sub, pulled over its REST API. A message is acknowledged
//! once the bus has stored it.

mod credentials;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use jiff::Timestamp;
use reconcile_core::object::FieldError;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use self::credentials::{Credentials, EARLY, LIFETIME};
use super::{
    EmitError,
    body::Body,
    http_server::{Held, HttpServer, may_ask_again},
    kind::{Input, Source, SourceContext, SourceError, SourceKind},
};
use crate::{api::KeySelector, http_client::Call, tls::TlsSettings};

/// The kind.
pub(super) const KIND: SourceKind = SourceKind {
    key: "pubSub",
    check: |input| Ok(Arc::new(check(input)?)),
};

/// Messages of one answer.
const MESSAGES: usize = 100;
/// Publishes at the same time.
const AT_ONCE: usize = 32;
/// The server waits for messages for a minute and a half.
const PULL: Duration = Duration::from_secs(120);
/// For any other request.
const DEADLINE: Duration = Duration::from_secs(30);
/// A message has 10 MB at most, and a third more in base64.
const ANSWER: usize = 32 << 20;

const CREDENTIALS: &str = "credentialSecret";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    #[serde(rename = "projectID")]
    project: String,
    topic: String,
    #[serde(rename = "topicProjectID")]
    topic_project: String,
    #[serde(rename = "subscriptionID")]
    subscription: String,
    credential_secret: Option<KeySelector>,
    json_body: bool,
}

#[derive(Debug)]
struct Subscription {
    project: Option<String>,
    topic: Option<String>,
    topic_project: Option<String>,
    name: Option<String>,
    credentials: KeySelector,
    json: bool,
}

fn check(input: &Input<'_>) -> Result<Subscription, FieldError> {
    let config: Config = input.decode()?;
    let name = |field: &str, text: String| {
        let known = |c: char| c.is_ascii_alphanumeric() || "-_.~+%:".contains(c);
        match text.as_str() {
            "" => Ok(None),
            text if text.chars().all(known) => Ok(Some(text.to_owned())),
            text => Err(input.wrong(field, format!("{text:?} is not a name"))),
        }
    };
    let (topic, subscription) = (
        name("topic", config.topic)?,
        name("subscriptionID", config.subscription)?,
    );
    if topic.is_none() && subscription.is_none() {
        return Err(input.wrong("subscriptionID", "subscriptionID or topic must be set"));
    }
    let reason = "must be set: an EventSource has no pod whose account could be used";
    Ok(Subscription {
        project: name("projectID", config.project)?,
        topic_project: name("topicProjectID", config.topic_project)?,
        topic,
        name: subscription,
        credentials: config
            .credential_secret
            .ok_or_else(|| input.wrong(CREDENTIALS, reason))?,
        json: config.json_body,
    })
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Pulled {
    received_messages: Vec<Received>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Received {
    ack_id: String,
    message: Message,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Message {
    data: String,
    attributes: Option<BTreeMap<String, String>>,
    #[serde(rename = "messageId")]
    id: String,
    publish_time: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'p> {
    id: &'p str,
    body: Body<'p>,
    attributes: &'p Option<BTreeMap<String, String>>,
    publish_time: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'p BTreeMap<String, String>,
}

impl Source for Subscription {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        vec![(CREDENTIALS, self.credentials.clone())]
    }

    fn run<'s>(&'s self, context: &'s SourceContext) -> BoxFuture<'s, Result<(), SourceError>> {
        self.follow(context).boxed()
    }
}

/// A subscription that is asked, until its proof of identity is used up.
struct Client<'c> {
    context: &'c SourceContext,
    server: HttpServer,
    address: Url,
    headers: HeaderMap,
    /// `projects/P/subscriptions/S`
    name: String,
    json: bool,
}

impl Subscription {
    async fn follow(&self, context: &SourceContext) -> Result<(), SourceError> {
        let wrong = |reason: &str| SourceError::Server {
            server: CREDENTIALS.to_owned(),
            reason: reason.to_owned(),
        };
        let text = context.secret(CREDENTIALS).map_or("", |text| text.expose());
        let credentials: Credentials = serde_json::from_str(text)
            .map_err(|_| wrong("is not the key file of a service account"))?;
        let begin = context.emitter.clock.now().as_second();
        let address = credentials.address().map_err(wrong)?;
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if let Some(token) = credentials.token(begin).map_err(wrong)? {
            context.hide(&token);
            let bearer = HeaderValue::from_str(&format!("Bearer {token}"));
            let mut bearer = bearer.map_err(|_| wrong("gives no token"))?;
            bearer.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, bearer);
        }
        let project = self.project.as_deref().unwrap_or(&credentials.project_id);
        let name = match &self.name {
            Some(name) => name.clone(),
            None => format!("argo-events-{}", context.id("subscription")),
        };
        let client = Client {
            context,
            server: HttpServer::new(&address, context, &TlsSettings::default())?,
            address,
            headers,
            name: format!("projects/{project}/subscriptions/{name}"),
            json: self.json,
        };
        client.ensure(self.topic(project)).await?;
        context.report(None);
        while context.emitter.clock.now().as_second() < begin + LIFETIME - EARLY {
            client.take().await?;
        }
        Ok(())
    }

    fn topic(&self, project: &str) -> Option<String> {
        let topic = self.topic.as_ref()?;
        let project = self.topic_project.as_deref().unwrap_or(project);
        Some(format!("projects/{project}/topics/{topic}"))
    }
}

impl Client<'_> {
    /// Creates the subscription where it is missing, and its topic.
    async fn ensure(&self, topic: Option<String>) -> Result<(), SourceError> {
        let found = self.call(Method::GET, &self.name, None, DEADLINE).await?;
        let (StatusCode::NOT_FOUND, Some(topic)) = (found.0, topic) else {
            return self.good(&found).map(drop);
        };
        let wanted = json!({ "topic": topic });
        let mut made = self
            .call(Method::PUT, &self.name, Some(&wanted), DEADLINE)
            .await?;
        if made.0 == StatusCode::NOT_FOUND {
            let made_topic = self
                .call(Method::PUT, &topic, Some(&json!({})), DEADLINE)
                .await?;
            if made_topic.0 != StatusCode::CONFLICT {
                self.good(&made_topic)?;
            }
            made = self
                .call(Method::PUT, &self.name, Some(&wanted), DEADLINE)
                .await?;
        }
        if made.0 == StatusCode::CONFLICT {
            return Ok(());
        }
        self.good(&made).map(drop)
    }

    /// Pulls messages, publishes them and acknowledges them.
    async fn take(&self) -> Result<(), SourceError> {
        let begun = Instant::now();
        let question = json!({ "maxMessages": MESSAGES });
        let pull = format!("{}:pull", self.name);
        let answer = self
            .call(Method::POST, &pull, Some(&question), PULL)
            .await?;
        let pulled = self.good(&answer)?;
        may_ask_again(begun, pulled.received_messages.len()).await;
        let outcomes: Vec<_> = stream::iter(pulled.received_messages)
            .map(|received| async move {
                let outcome = self.publish(&received.message).await;
                (outcome, received.ack_id)
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        let (mut done, mut failed, mut problem) = (Vec::new(), Vec::new(), Ok(()));
        for (outcome, id) in outcomes {
            match outcome {
                Ok(()) => done.push(id),
                Err(error) => {
                    failed.push(id);
                    problem = Err(error);
                }
            }
        }
        if !done.is_empty() {
            let request = json!({ "ackIds": done });
            self.tell("acknowledge", &request).await?;
        }
        if !failed.is_empty() {
            // They come again at once, and not only when their time is up.
            let request = json!({ "ackIds": failed, "ackDeadlineSeconds": 0 });
            self.tell("modifyAckDeadline", &request).await?;
        }
        problem
    }

    async fn tell(&self, action: &str, request: &Value) -> Result<(), SourceError> {
        let path = format!("{}:{action}", self.name);
        let answer = self
            .call(Method::POST, &path, Some(request), DEADLINE)
            .await?;
        self.good(&answer).map(drop)
    }

    async fn publish(&self, message: &Message) -> Result<(), SourceError> {
        let data = BASE64_STANDARD.decode(&message.data).unwrap_or_default();
        let Some(body) = Body::bytes(self.context, &data, self.json) else {
            return Ok(());
        };
        let payload = Payload {
            id: &message.id,
            body,
            attributes: &message.attributes,
            publish_time: as_go(&message.publish_time),
            metadata: self.context.metadata(),
        };
        let id = self.context.id(&format!("{}/{}", self.name, message.id));
        match self.context.emit(id, &payload).await {
            Err(EmitError::Bus(error)) => Err(error.into()),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        timeout: Duration,
    ) -> Result<(StatusCode, Held), SourceError> {
        let mut url = self.address.clone();
        url.set_path(&format!("/v1/{path}"));
        let call = Call {
            method,
            url,
            headers: self.headers.clone(),
            body: body.map(|body| Bytes::from(body.to_string())),
            timeout,
        };
        let answer = self.server.send(call).await?;
        let status = answer.status();
        Ok((
            status,
            self.server.body(self.context, answer, ANSWER).await?,
        ))
    }

    /// What an answer holds that is not a refusal.
    fn good(&self, (status, held): &(StatusCode, Held)) -> Result<Pulled, SourceError> {
        if status.is_success() {
            let parsed = serde_json::from_slice(&held.bytes);
            return parsed.map_err(|_| self.server.failed("the answer is not JSON of Pub/Sub"));
        }
        let refusal: Value = serde_json::from_slice(&held.bytes).unwrap_or_default();
        let message = refusal.pointer("/error/message").and_then(Value::as_str);
        let reason = format!(
            "{}: answered {}: {}",
            self.name,
            status.as_u16(),
            message.unwrap_or_default()
        );
        Err(self.server.failed(&self.context.excerpt(&reason)))
    }
}

/// A time as Go writes it.
fn as_go(time: &str) -> String {
    match time.parse::<Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string(),
        Err(_) => time.to_owned(),
    }
}
