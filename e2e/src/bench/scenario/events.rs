//! Events from a webhook to an http trigger: at a fixed rate, which shows the delay, and at full speed, which shows
//! throughput and whether anything is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::super::book::{Latency, Measurement, Memory, Stream};
use super::super::subject::{Subject, WEBHOOK_PORT};
use super::sink::{Count, Sink};
use super::{Case, Outcome, Scenario, Session};
use crate::stack::Which;

/// Seconds of the load at a fixed rate.
const SECONDS: u32 = 30;
/// Events at full speed when nothing else is asked for.
const COUNT: usize = 20_000;
/// Requests under way at full speed.
const AT_ONCE: usize = 64;
/// Longest time until a new EventSource and Sensor pass their first event.
pub(super) const WARM: Duration = Duration::from_secs(90);
/// An event counts as lost when nothing at all arrived for so long.
const QUIET: Duration = Duration::from_secs(15);
/// How long to look for doubled events after everything has arrived.
pub(super) const SETTLE: Duration = Duration::from_secs(2);
/// Longest wait for the webhook's answer.
const ANSWER: Duration = Duration::from_secs(30);
/// Bytes of an event besides its id.
const PADDING: usize = 200;

/// Sends events and knows where they should arrive.
#[derive(Clone)]
pub(super) struct Sender {
    http: reqwest::Client,
    webhook: String,
    pub(super) sink: Arc<Sink>,
}

impl Sender {
    /// Sends to this endpoint.
    fn new(webhook: String, sink: Arc<Sink>) -> Result<Self> {
        Ok(Self {
            http: reqwest::Client::builder()
                .timeout(ANSWER)
                .pool_max_idle_per_host(AT_ONCE)
                .build()?,
            webhook,
            sink,
        })
    }

    /// Sends an event that is counted.
    pub(super) async fn send(&self, load: &str, index: usize) {
        self.sink.sending(index);
        if self.post(load, index).await {
            self.sink.accepted(index);
        }
    }

    /// Sends an event; true when it was accepted.
    pub(super) async fn post(&self, load: &str, index: usize) -> bool {
        let body = json!({"id": format!("{load}-{index}"), "padding": "x".repeat(PADDING)});
        let request = self
            .http
            .post(&self.webhook)
            .header("content-type", "application/json")
            .body(body.to_string());
        match request.send().await {
            Ok(answer) if answer.status().is_success() => return true,
            Ok(answer) => tracing::debug!(status = %answer.status(), "refused"),
            Err(error) => tracing::debug!(%error, "not answered"),
        }
        false
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
        let url = format!("http://127.0.0.1:{}/{path}", self.port);
        Sender::new(url, self.sink.clone())
    }
}

pub(super) async fn run(session: &Session<'_>) -> Result<Vec<Measurement>> {
    let deployed = Deployed::start(session, Scenario::Events, pipeline).await?;
    let sender = deployed.sender("bench")?;
    let Deployed { subject, idle, .. } = deployed;
    warm(&sender, &subject).await?;

    let rate = session.plan.rate;
    let count = usize::try_from(rate * SECONDS).context("the rate is too large")?;
    let case = Case {
        id: "events-rate",
        title: format!("webhook to http trigger, {rate} events/s for {SECONDS} s"),
        objects: count,
        own_requests: 0,
    };
    let steady = session
        .case(&subject, idle, case, at_rate(&sender, rate, count))
        .await?;

    let count = session.plan.count.unwrap_or(COUNT);
    let case = Case {
        id: "events-full",
        title: format!("webhook to http trigger, {count} events, {AT_ONCE} requests at once"),
        objects: count,
        own_requests: 0,
    };
    let full = session
        .case(&subject, idle, case, at_full_speed(&sender, count))
        .await?;
    Ok(vec![steady, full])
}

/// Sends one event after the other until one has come through.
pub(super) async fn warm(sender: &Sender, subject: &Subject) -> Result<()> {
    let end = Instant::now() + WARM;
    let mut turn = 0;
    while Instant::now() < end {
        let load = format!("warm{turn}");
        turn += 1;
        sender.sink.begin(&load, 1);
        sender.send(&load, 0).await;
        if sender.sink.first(Duration::from_millis(500)).await {
            sender.sink.until_done(SETTLE, SETTLE).await;
            return Ok(());
        }
        subject.check().await?;
    }
    bail!("no event came through within {WARM:?}")
}

/// One event every 1/rate seconds, whatever becomes of the earlier ones.
async fn at_rate(sender: &Sender, rate: u32, count: usize) -> Result<Outcome> {
    sender.sink.begin("rate", count);
    let start = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut under_way = JoinSet::new();
    for index in 0..count {
        ticks.tick().await;
        let sender = sender.clone();
        under_way.spawn(async move { sender.send("rate", index).await });
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
    Ok(outcome(&sender.sink, start, start.elapsed()).await)
}

/// As fast as the webhook answers, with 64 requests under way.
pub(super) async fn at_full_speed(sender: &Sender, count: usize) -> Result<Outcome> {
    sender.sink.begin("full", count);
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (sender, next) = (sender.clone(), Arc::clone(&next));
        workers.spawn(async move {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return;
                }
                sender.send("full", index).await;
            }
        });
    }
    while workers.join_next().await.is_some() {}
    Ok(outcome(&sender.sink, start, start.elapsed()).await)
}

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

/// Bus, source and sensor.
fn pipeline(nats: &str, port: u16, sink: &str) -> [Value; 3] {
    let endpoint = json!({"port": port.to_string(), "endpoint": "/bench", "method": "POST"});
    let source = json!({"webhook": {"bench": endpoint}});
    let payload = json!([{"src": {"dependencyName": "bench", "dataKey": "body.id"}, "dest": "id"}]);
    let call = json!({"url": sink, "method": "POST", "payload": payload});
    let sensor = json!({
        "dependencies": [{"name": "bench", "eventSourceName": "bench", "eventName": "bench"}],
        "triggers": [{"template": {"name": "call", "http": call}}],
    });
    [
        bus(nats),
        object("EventSource", "bench", &source),
        object("Sensor", "bench", &sensor),
    ]
}
