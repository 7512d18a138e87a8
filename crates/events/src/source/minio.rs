//! `minio`: notifications of a bucket, as `MinIO` streams them to who listens. It keeps none for who does not.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::BytesMut;
use futures::{FutureExt, future::BoxFuture};
use http::{HeaderMap, Method, StatusCode};
use reconcile_core::{object::FieldError, secret::Secret};
use reqwest::{Response, Url};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{
    http_server::HttpServer,
    kind::{Input, Source, SourceContext, SourceError, SourceKind},
};
use crate::{
    api::{
        KeySelector,
        artifact::{S3Artifact, S3Filter},
    },
    aws::{self, Keys},
    http_client::Call,
    s3::Bucket,
    tls::TlsSettings,
};

/// The kind.
pub(super) const KIND: SourceKind = SourceKind {
    key: "minio",
    check: |input| Ok(Arc::new(check(input)?)),
};

/// The server gives a sign of life so often, in seconds.
const PING: &str = "10";
/// A server that is silent for so long is gone.
const SILENCE: Duration = Duration::from_secs(60);
/// A stream is opened again after so long, which the server does not mind.
const STREAM: Duration = Duration::from_secs(24 * 3600);
/// Refusals are small.
const REFUSAL: usize = 64 * 1024;
/// What is listened to where the manifest names nothing.
const EVENTS: [&str; 3] = [
    "s3:ObjectCreated:*",
    "s3:ObjectRemoved:*",
    "s3:ObjectAccessed:*",
];

const ACCESS: &str = "accessKey";
const SECRET: &str = "secretKey";
const CA: &str = "caCertificate";

#[derive(Debug)]
struct Listener {
    bucket: Bucket,
    url: Url,
    secrets: Vec<(&'static str, KeySelector)>,
}

fn check(input: &Input<'_>) -> Result<Listener, FieldError> {
    let config: S3Artifact = input.decode()?;
    if config.endpoint.is_empty() || config.endpoint.ends_with(".amazonaws.com") {
        let message = "must name a server that streams notifications, as MinIO does; Amazon S3 sends them to \
                       queues and topics: use sqs or sns";
        return Err(input.wrong("endpoint", message));
    }
    let mut secrets = Vec::new();
    for (field, key) in [
        (ACCESS, config.access_key.clone()),
        (SECRET, config.secret_key.clone()),
    ] {
        secrets.push((
            field,
            key.ok_or_else(|| input.wrong(field, "must not be empty"))?,
        ));
    }
    secrets.extend(config.ca_certificate.clone().map(|key| (CA, key)));
    if let Some(wrong) = config.events.iter().find(|event| !event.starts_with("s3:")) {
        return Err(input.wrong("events", format!("{wrong:?} is not an event of S3")));
    }
    let bucket = Bucket::check(input.path, &config)?;
    let mut url = bucket.url("");
    let S3Filter { prefix, suffix } = config.filter.unwrap_or_default();
    {
        let mut query = url.query_pairs_mut();
        query
            .append_pair("ping", PING)
            .append_pair("prefix", &prefix)
            .append_pair("suffix", &suffix);
        let events = config.events.iter().map(String::as_str);
        let default = EVENTS.iter().copied().filter(|_| config.events.is_empty());
        for event in events.chain(default) {
            query.append_pair("events", event);
        }
    }
    Ok(Listener {
        bucket,
        url,
        secrets,
    })
}

/// One line of the stream.
#[derive(Deserialize)]
struct Notification<'l> {
    #[serde(rename = "Records", borrow)]
    records: Option<&'l RawValue>,
}

#[derive(Serialize)]
struct Payload<'p> {
    notification: &'p RawValue,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'p BTreeMap<String, String>,
}

impl Source for Listener {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        self.secrets.clone()
    }

    fn run<'s>(&'s self, context: &'s SourceContext) -> BoxFuture<'s, Result<(), SourceError>> {
        self.listen(context).boxed()
    }
}

impl Listener {
    async fn listen(&self, context: &SourceContext) -> Result<(), SourceError> {
        let tls = TlsSettings {
            ca: context.secret(CA).map(|ca| ca.expose().to_owned()),
            ..TlsSettings::default()
        };
        let server = HttpServer::new(&self.url, context, &tls)?;
        let asked = tokio::time::timeout(SILENCE, self.ask(context, &server)).await;
        let answer = asked.map_err(|_| server.failed("no answer in time"))??;
        if answer.status() != StatusCode::OK {
            let status = answer.status().as_u16();
            let body = server.body(context, answer, REFUSAL).await?;
            let reason = context.excerpt(&String::from_utf8_lossy(&body.bytes));
            return Err(server.failed(&format!("answered {status}: {reason}")));
        }
        context.report(None);
        let mut lines = Lines::new(answer, context.largest_message());
        loop {
            match lines.next().await {
                Err(reason) => return Err(server.failed(&reason)),
                Ok(Line::TooLong(size)) => context.too_large(size),
                Ok(Line::Text(line)) => publish(context, &line).await,
            }
        }
    }

    async fn ask(
        &self,
        context: &SourceContext,
        server: &HttpServer,
    ) -> Result<Response, SourceError> {
        let mut call = Call {
            method: Method::GET,
            url: self.url.clone(),
            headers: HeaderMap::new(),
            body: None,
            timeout: STREAM,
        };
        let secret = |field| context.secret(field).map(Secret::expose);
        let keys = Keys {
            access: secret(ACCESS).unwrap_or_default(),
            secret: secret(SECRET).unwrap_or_default(),
            session: None,
        };
        let signed = aws::sign(&mut call, &self.bucket.service(), &keys).await;
        signed.map_err(|error| server.failed(&error))?;
        server.send(call).await
    }
}

async fn publish(context: &SourceContext, line: &[u8]) {
    let records = match serde_json::from_slice::<Notification<'_>>(line) {
        Ok(Notification {
            records: Some(records),
        }) if records.get() != "null" => records,
        Ok(_) => return,
        Err(error) => {
            context.refused();
            tracing::warn!(eventsource = %context.emitter.key, event = context.event(), %error, "notification dropped: it is not JSON of S3");
            return;
        }
    };
    let payload = Payload {
        notification: records,
        metadata: context.metadata(),
    };
    // Each has the time and a sequencer of its own.
    let id = context.id(&hex::encode(Sha256::digest(records.get())));
    context.emit_for_sure(id, &payload).await;
}

enum Line {
    Text(BytesMut),
    /// With so many bytes, which are dropped.
    TooLong(usize),
}

/// The lines of an answer. Nothing longer than a bound is held.
struct Lines {
    answer: Response,
    held: BytesMut,
    most: usize,
    /// Bytes of the line at hand that were dropped.
    dropped: usize,
}

impl Lines {
    fn new(answer: Response, most: usize) -> Self {
        Self {
            answer,
            held: BytesMut::new(),
            most,
            dropped: 0,
        }
    }

    /// The next line that is not blank. Blank ones are signs of life.
    async fn next(&mut self) -> Result<Line, String> {
        loop {
            if let Some(end) = self.held.iter().position(|byte| *byte == b'\n') {
                let line = self.held.split_to(end + 1);
                match std::mem::take(&mut self.dropped) {
                    0 if line.iter().all(u8::is_ascii_whitespace) => {}
                    0 => return Ok(Line::Text(line)),
                    dropped => return Ok(Line::TooLong(dropped + line.len())),
                }
                continue;
            }
            if self.held.len() > self.most || self.dropped > 0 {
                self.dropped += self.held.len();
                self.held.clear();
            }
            match tokio::time::timeout(SILENCE, self.answer.chunk()).await {
                Ok(Ok(Some(chunk))) => self.held.extend_from_slice(&chunk),
                Ok(Ok(None)) => return Err("the server ended the stream".to_owned()),
                Ok(Err(error)) => return Err(error.without_url().to_string()),
                Err(_) => return Err("no sign of life".to_owned()),
            }
        }
    }
}
