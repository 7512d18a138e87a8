//! `sns`: messages of a topic of Amazon SNS, with its confirmations and signatures.
//!
//! A confirmation is asked for at the topic's own server with the topic of the manifest; the URL in the request is
//! not called. The certificate of a signature comes from servers of SNS only.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use parking_lot::Mutex;
use reconcile_core::{
    egress::{EgressPolicy, RefusedAddress},
    object::FieldError,
};
use reqwest::{Client, Url, redirect::Policy};
use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use super::{
    call::{Call, Reaction, malformed, parse, unauthorised},
    kind::{Hook, HookKind},
    registration,
    sns_signature::{self, Message},
};
use crate::source::{body::CallPayload, emitter, kind::Input, request::Answer};

pub(super) const KIND: HookKind = HookKind {
    key: "sns",
    event_type: "sns",
    has_expression: true,
    registration: Some(&registration::SNS),
    check: |input| Ok(Arc::new(check(input)?)),
};

/// For one request to SNS.
const DEADLINE: Duration = Duration::from_secs(10);
/// Largest answer of SNS that is read.
const MOST_ANSWER: usize = 64 * 1024;
/// Certificates that are kept; SNS has one per region, and a new one each year.
const KEPT: usize = 8;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Raw {
    topic_arn: String,
    region: String,
    endpoint: String,
    validate_signature: bool,
}

#[derive(Debug)]
struct Sns {
    topic: String,
    /// Where subscriptions are confirmed.
    server: Url,
    validate: bool,
    client: OnceLock<Client>,
    /// PEM by URL.
    certificates: Mutex<BTreeMap<String, Bytes>>,
}

/// SNS did not answer a request, or not as it should.
#[derive(Debug, Error)]
enum RequestError {
    #[error(transparent)]
    Refused(#[from] RefusedAddress),
    /// Without the URL, whose token would confirm another subscription.
    #[error("{0}")]
    Http(reqwest::Error),
    #[error("status {0}")]
    Status(http::StatusCode),
    #[error("the answer has more than {MOST_ANSWER} bytes")]
    TooLarge,
}

impl From<reqwest::Error> for RequestError {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error.without_url())
    }
}

/// A topic, and the server that has it.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) arn: String,
    pub(super) region: String,
    pub(super) server: Url,
}

impl Topic {
    /// That of `topicArn`, `region` and `endpoint`.
    pub(super) fn check(input: &Input<'_>) -> Result<Self, FieldError> {
        let raw: Raw = input.decode()?;
        let mut parts = raw.topic_arn.split(':');
        let (Some("arn"), Some(partition), Some("sns"), Some(region)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            let message = format!("{:?} is not the ARN of an SNS topic", raw.topic_arn);
            return Err(input.wrong("topicArn", message));
        };
        let region = if raw.region.is_empty() {
            region
        } else {
            &raw.region
        };
        if !region
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        {
            return Err(input.wrong("region", format!("{region:?} is not a region")));
        }
        let tld = if partition == "aws-cn" {
            "com.cn"
        } else {
            "com"
        };
        let server = if raw.endpoint.is_empty() {
            format!("https://sns.{region}.amazonaws.{tld}/")
        } else {
            raw.endpoint
        };
        let server = Url::parse(&server)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| input.wrong("endpoint", format!("{server:?} is not an HTTP URL")))?;
        Ok(Self {
            region: region.to_owned(),
            arn: raw.topic_arn,
            server,
        })
    }
}

fn check(input: &Input<'_>) -> Result<Sns, FieldError> {
    let raw: Raw = input.decode()?;
    let Topic { arn, server, .. } = Topic::check(input)?;
    Ok(Sns {
        topic: arn,
        server,
        validate: raw.validate_signature,
        client: OnceLock::new(),
        certificates: Mutex::default(),
    })
}

impl Hook for Sns {
    fn receive<'r>(&'r self, call: &'r Call<'r>) -> BoxFuture<'r, Result<Reaction, Answer>> {
        self.read(call).boxed()
    }
}

impl Sns {
    async fn read(&self, call: &Call<'_>) -> Result<Reaction, Answer> {
        let body: Box<RawValue> = call.json()?;
        let message: Message = parse(body.get().as_bytes())?;
        if message.topic_arn != self.topic {
            return Err(malformed("the message is not of the topic in topicArn"));
        }
        if self.validate {
            self.verify(call.egress, &message).await?;
        }
        match message.type_.as_str() {
            "Notification" => {
                let payload = emitter::payload(&CallPayload {
                    header: call.safe_headers(),
                    body: &body,
                    metadata: call.metadata,
                });
                Ok(Reaction::event(Some(message.id), payload))
            }
            "SubscriptionConfirmation" => {
                self.confirm(call.egress, &message.token)
                    .await
                    .map_err(|error| {
                        let reason = error.to_string();
                        tracing::warn!(
                            topic = self.topic,
                            error = reason,
                            "cannot confirm the subscription"
                        );
                        let message = format!("cannot confirm the subscription: {reason}");
                        (http::StatusCode::BAD_GATEWAY, message.into())
                    })?;
                tracing::info!(topic = self.topic, "subscription confirmed");
                Ok(Reaction::answer("success"))
            }
            "UnsubscribeConfirmation" => Ok(Reaction::answer("success")),
            _ => Err(malformed(
                "the body is no message of SNS: its Type is not known",
            )),
        }
    }

    async fn confirm(&self, egress: EgressPolicy, token: &str) -> Result<(), RequestError> {
        let mut url = self.server.clone();
        url.query_pairs_mut()
            .append_pair("Action", "ConfirmSubscription")
            .append_pair("TopicArn", &self.topic)
            .append_pair("Token", token)
            .append_pair("Version", "2010-03-31");
        self.get(egress, url).await.map(drop)
    }

    async fn verify(&self, egress: EgressPolicy, message: &Message) -> Result<(), Answer> {
        let Some(url) = sns_signature::certificate_url(&message.signing_cert_url) else {
            return Err(unauthorised("SigningCertURL is not on a server of SNS"));
        };
        let known = self.certificates.lock().get(url.as_str()).cloned();
        let pem = if let Some(pem) = known {
            pem
        } else {
            let pem = self.get(egress, url.clone()).await.map_err(|error| {
                let message = format!("cannot read the certificate of the signature: {error}");
                (http::StatusCode::BAD_GATEWAY, message.into())
            })?;
            let mut kept = self.certificates.lock();
            if kept.len() >= KEPT {
                kept.clear();
            }
            kept.insert(url.into(), pem.clone());
            pem
        };
        if message.is_signed_with(&pem) {
            Ok(())
        } else {
            Err(unauthorised("the signature of the message is not right"))
        }
    }

    /// Asks a server, which may be one that the manifest names.
    async fn get(&self, egress: EgressPolicy, url: Url) -> Result<Bytes, RequestError> {
        egress.check(&url)?;
        let client = if let Some(client) = self.client.get() {
            client
        } else {
            let builder = Client::builder().timeout(DEADLINE).redirect(Policy::none());
            let client = egress.guard(builder).build()?;
            self.client.get_or_init(|| client)
        };
        let mut answer = client.get(url).send().await?;
        if !answer.status().is_success() {
            return Err(RequestError::Status(answer.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > MOST_ANSWER {
                return Err(RequestError::TooLarge);
            }
        }
        Ok(body.into())
    }
}
