//! What loads of events have in common: a process with bus, source and sensors, requests to its webhook, and the
//! count of what arrives.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::book::{Latency, Memory, Stream};
use super::super::subject::{Subject, WEBHOOK_PORT};
use super::super::waiting::Seen;
use super::sink::{Count, Sink};
use super::{Outcome, Scenario, Session};
use crate::stack::Which;

/// Requests under way at full speed.
pub(super) const AT_ONCE: usize = 64;
/// Longest time until a new EventSource and Sensor pass their first event.
const WARM: Duration = Duration::from_secs(90);
/// An event counts as lost when nothing at all arrived for so long.
const QUIET: Duration = Duration::from_secs(15);
/// How long to look for doubled events after everything has arrived.
const SETTLE: Duration = Duration::from_secs(2);
/// Longest wait for an answer of the webhook, or of the bus.
pub(super) const ANSWER: Duration = Duration::from_secs(30);
/// Bytes of an event besides its id.
const PADDING: usize = 200;

/// The payload of an event of a load.
pub(super) fn payload(load: &str, index: usize) -> String {
    let mut text = String::with_capacity(PADDING + 64);
    let _ = write!(
        text,
        "{{\"id\":\"{load}-{index}\",\"padding\":\"{:x<PADDING$}\"}}",
        ""
    );
    text
}

/// Sends events to a webhook and knows where they should arrive. The client costs little, because the machine's cores
/// are shared with what is measured.
#[derive(Clone)]
pub(super) struct Sender {
    http: Client<HttpConnector, Full<Bytes>>,
    webhook: http::Uri,
    pub(super) sink: Arc<Sink>,
}

impl Sender {
    /// Sends an event that is counted.
    pub(super) async fn send(&self, load: &str, index: usize) {
        self.sink.sending(index);
        if self.post(load, index).await {
            self.sink.accepted(index);
        }
    }

    /// Sends an event; true when it was accepted.
    async fn post(&self, load: &str, index: usize) -> bool {
        let request = http::Request::post(self.webhook.clone())
            .header("content-type", "application/json")
            .body(Full::from(payload(load, index)));
        let Ok(request) = request else { return false };
        let answer = async {
            let answer = self.http.request(request).await.ok()?;
            let status = answer.status();
            // The connection is used again only after the body was read.
            answer.into_body().collect().await.ok()?;
            Some(status)
        };
        match tokio::time::timeout(ANSWER, answer).await {
            Ok(Some(status)) => status.is_success(),
            Ok(None) | Err(_) => false,
        }
    }
}

/// A process with bus, source and sensors, and the target of their calls.
pub(super) struct Deployed {
    pub(super) port: u16,
    pub(super) sink: Arc<Sink>,
    pub(super) subject: Subject,
    pub(super) idle: Memory,
}

impl Deployed {
    /// Starts the process and applies the objects, which are made of the URL of the bus, the port of the webhook and
    /// the URL of the target.
    pub(super) async fn start<const OBJECTS: usize>(
        session: &Session<'_>,
        scenario: Scenario,
        pipeline: impl FnOnce(&str, u16, &str) -> [Value; OBJECTS],
    ) -> Result<Self> {
        crate::init_tls();
        let port = session.bed.free_port()?;
        let sink = Arc::new(Sink::start().await?);
        let env = vec![
            (WEBHOOK_PORT.to_owned(), port.to_string()),
            ("SINK_URL".to_owned(), sink.url.clone()),
        ];
        let (subject, idle) = session.subject(scenario, env).await?;
        let nats = &session.bed.nats()?.url;
        for object in pipeline(nats, port, &sink.url) {
            session
                .bed
                .cluster()?
                .apply_one(Which::Events.namespace(), &object)
                .await?;
        }
        Ok(Self {
            port,
            sink,
            subject,
            idle,
        })
    }

    /// Sends to a path of the webhook.
    pub(super) fn sender(&self, path: &str) -> Result<Sender> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Ok(Sender {
            http: Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(AT_ONCE)
                .build(connector),
            webhook: format!("http://127.0.0.1:{}/{path}", self.port).parse()?,
            sink: self.sink.clone(),
        })
    }
}

/// Sends one event after the other until one has come through.
pub(super) async fn warm(sender: &Sender, subject: &Subject) -> Result<()> {
    warm_by(&[sender], subject).await
}

/// Sends pairs until one has fired.
pub(super) async fn warm_pairs(first: &Sender, second: &Sender, subject: &Subject) -> Result<()> {
    warm_by(&[first, second], subject).await
}

async fn warm_by(senders: &[&Sender], subject: &Subject) -> Result<()> {
    let Some((last, before)) = senders.split_last() else {
        return Ok(());
    };
    let end = Instant::now() + WARM;
    let mut turn = 0;
    while Instant::now() < end {
        let load = format!("warm{turn}");
        turn += 1;
        last.sink.begin(&load, 1);
        for sender in before {
            sender.post(&load, 0).await;
        }
        last.send(&load, 0).await;
        if last.sink.first(Duration::from_millis(500)).await {
            last.sink.until_done(SETTLE, SETTLE).await;
            return Ok(());
        }
        subject.check().await?;
    }
    bail!("no event came through within {WARM:?}")
}

/// The count of a load whose events are done when they were accepted.
pub(super) fn accepted(sink: &Sink, took: Duration) -> Outcome {
    let count = sink.count();
    Outcome {
        done: usize::try_from(count.accepted).unwrap_or(usize::MAX),
        took,
        latency: None,
        stream: Some(Stream {
            sent: count.sent,
            accepted: count.accepted,
            arrived: 0,
            lost: 0,
            doubled: 0,
            accepted_per_second: per_second(count.accepted, took),
            arrived_per_second: 0.0,
        }),
    }
}

/// The count of a load when everything has arrived, or nothing arrives any more.
pub(super) async fn outcome(sink: &Sink, start: Instant, sending: Duration) -> Outcome {
    sink.until_done(QUIET, SETTLE).await;
    let Count {
        sent,
        accepted,
        arrived,
        lost,
        doubled,
        delays,
        last,
    } = sink.count();
    let took = last.map_or(sending, |last| last.saturating_duration_since(start));
    Outcome {
        done: delays.len(),
        took,
        latency: Latency::of(delays),
        stream: Some(Stream {
            sent,
            accepted,
            arrived,
            lost,
            doubled,
            accepted_per_second: per_second(accepted, sending),
            arrived_per_second: per_second(arrived, took),
        }),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn per_second(count: u64, took: Duration) -> f64 {
    let seconds = took.as_secs_f64();
    if seconds > 0.0 {
        count as f64 / seconds
    } else {
        0.0
    }
}

/// An object of the load.
pub(super) fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": Which::Events.namespace()},
        "spec": spec,
    })
}

/// The bus. Its stream must hold a whole load, and on one server it cannot have replicas.
pub(super) fn bus(nats: &str) -> Value {
    let stream = "maxMsgs: 1000000\nmaxAge: 72h\nmaxBytes: -1\nreplicas: 1\nduplicates: 300s\n";
    let spec = json!({"jetstreamExotic": {"url": nats, "streamConfig": stream}});
    object("EventBus", "default", &spec)
}

/// A webhook's endpoint below the port of the load.
pub(super) fn endpoint(port: u16, name: &str) -> Value {
    json!({"port": port.to_string(), "endpoint": format!("/{name}"), "method": "POST"})
}

/// What a Sensor of a load reads, and where it calls.
pub(super) struct Call<'a> {
    /// EventSource of the events.
    pub(super) source: &'a str,
    /// Names of the events; one of each makes a set.
    pub(super) events: &'a [&'a str],
    /// URL of the target.
    pub(super) sink: &'a str,
    /// Whether the order of the calls matters.
    pub(super) at_least_once: bool,
}

/// A Sensor that calls the target once for each event, or set of one event each. The id that is sent is that of the last.
pub(super) fn sensor(name: &str, call: &Call<'_>) -> Value {
    let dependency =
        |event: &&str| json!({"name": event, "eventSourceName": call.source, "eventName": event});
    let dependencies: Vec<Value> = call.events.iter().map(dependency).collect();
    let last = call.events.last();
    let payload = json!([{"src": {"dependencyName": last, "dataKey": "body.id"}, "dest": "id"}]);
    let http = json!({"url": call.sink, "method": "POST", "payload": payload});
    let trigger = json!({
        "atLeastOnce": call.at_least_once, "template": {"name": "call", "http": http},
    });
    let spec = json!({"dependencies": dependencies, "triggers": [trigger]});
    object("Sensor", name, &spec)
}

/// What is read of an EventSource or a Sensor.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Status {
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl Status {
    /// Whether a condition is True.
    fn holds(&self, kind: &str) -> bool {
        let mut conditions = self.conditions.iter();
        conditions.any(|one| one.kind == kind && one.status == "True")
    }
}

/// Whether an EventSource or a Sensor is Deployed.
pub(super) fn is_deployed(object: &Seen<Status>) -> bool {
    let mut status = object.status.iter();
    status.any(|status| status.holds("Deployed"))
}
