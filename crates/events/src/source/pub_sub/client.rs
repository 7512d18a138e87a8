//! Requests about one subscription, over the REST API.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{CREDENTIALS, credentials::Credentials};
use crate::{
    http_client::Call,
    source::{
        http_server::{Held, HttpServer},
        kind::SourceError,
        service_context::ServiceContext,
    },
    tls::TlsSettings,
};

/// The server waits for messages for a minute and a half.
const PULL: Duration = Duration::from_secs(120);
/// For any other request.
const DEADLINE: Duration = Duration::from_secs(30);
/// A message has 10 MB at most, and a third more in base64.
const ANSWER: usize = 32 << 20;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Pulled {
    pub(super) received_messages: Vec<Received>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Received {
    pub(super) ack_id: String,
    pub(super) message: Message,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Message {
    pub(super) data: String,
    pub(super) attributes: Option<BTreeMap<String, String>>,
    #[serde(rename = "messageId")]
    pub(super) id: String,
    pub(super) publish_time: String,
}

/// A server that knows who asks.
pub(super) struct Login<'c> {
    context: &'c ServiceContext,
    server: HttpServer,
    address: Url,
    headers: HeaderMap,
    /// The project of the credentials.
    pub(super) project: String,
}

impl<'c> Login<'c> {
    /// With a proof of identity that begins at `begin`, in seconds.
    pub(super) fn new(context: &'c ServiceContext, begin: i64) -> Result<Self, SourceError> {
        let wrong = |reason: &str| SourceError::Server {
            server: CREDENTIALS.to_owned(),
            reason: reason.to_owned(),
        };
        let text = context.secret(CREDENTIALS).map_or("", |text| text.expose());
        let credentials: Credentials = serde_json::from_str(text)
            .map_err(|_| wrong("is not the key file of a service account"))?;
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
        Ok(Self {
            context,
            server: HttpServer::new(&address, context, &TlsSettings::default())?,
            address,
            headers,
            project: credentials.project_id,
        })
    }

    /// The subscription `projects/P/subscriptions/S`.
    pub(super) fn of(self, name: String) -> Client<'c> {
        Client { login: self, name }
    }
}

/// A subscription that is asked, until its proof of identity is used up.
pub(super) struct Client<'c> {
    login: Login<'c>,
    /// `projects/P/subscriptions/S`
    pub(super) name: String,
}

impl Client<'_> {
    /// Creates the subscription where it is missing, and its topic.
    pub(super) async fn ensure(&self, topic: Option<String>) -> Result<(), SourceError> {
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

    /// Removes the subscription; one that is gone is no error.
    pub(super) async fn delete(&self) -> Result<(), SourceError> {
        let gone = self
            .call(Method::DELETE, &self.name, None, DEADLINE)
            .await?;
        if gone.0 == StatusCode::NOT_FOUND {
            return Ok(());
        }
        self.good(&gone).map(drop)
    }

    /// Up to `most` messages.
    pub(super) async fn pull(&self, most: usize) -> Result<Pulled, SourceError> {
        let question = json!({ "maxMessages": most });
        let path = format!("{}:pull", self.name);
        let answer = self
            .call(Method::POST, &path, Some(&question), PULL)
            .await?;
        self.good(&answer)
    }

    /// Says what becomes of messages.
    pub(super) async fn tell(&self, action: &str, request: &Value) -> Result<(), SourceError> {
        let path = format!("{}:{action}", self.name);
        let answer = self
            .call(Method::POST, &path, Some(request), DEADLINE)
            .await?;
        self.good(&answer).map(drop)
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        timeout: Duration,
    ) -> Result<(StatusCode, Held), SourceError> {
        let mut url = self.login.address.clone();
        url.set_path(&format!("/v1/{path}"));
        let call = Call {
            method,
            url,
            headers: self.login.headers.clone(),
            body: body.map(|body| Bytes::from(body.to_string())),
            timeout,
        };
        let answer = self.login.server.send(call).await?;
        let status = answer.status();
        Ok((
            status,
            self.login
                .server
                .body(self.login.context, answer, ANSWER)
                .await?,
        ))
    }

    /// What an answer holds that is not a refusal.
    fn good(&self, (status, held): &(StatusCode, Held)) -> Result<Pulled, SourceError> {
        if status.is_success() {
            let parsed = serde_json::from_slice(&held.bytes);
            return parsed.map_err(|_| {
                self.login
                    .server
                    .failed("the answer is not JSON of Pub/Sub")
            });
        }
        let refusal: Value = serde_json::from_slice(&held.bytes).unwrap_or_default();
        let message = refusal.pointer("/error/message").and_then(Value::as_str);
        let reason = format!(
            "{}: answered {}: {}",
            self.name,
            status.as_u16(),
            message.unwrap_or_default()
        );
        Err(self
            .login
            .server
            .failed(&self.login.context.excerpt(&reason)))
    }
}
