//! Events from a webhook to an http trigger: at a fixed rate, which shows the delay, and at full speed, which shows
//! throughput and whether anything is lost; and each half alone: from the webhook to the bus, and from the bus to the
//! trigger's target.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::super::book::Measurement;
use super::feed::Feed;
use super::stream::{self, AT_ONCE, Call, Deployed, Sender};
use super::{Case, Outcome, Scenario, Session};

/// Seconds of the load at a fixed rate.
const SECONDS: u32 = 30;
/// Events at full speed when nothing else is asked for.
const COUNT: usize = 20_000;
/// The webhook alone is faster, so that it gets so many times the events.
const MORE: usize = 10;

pub(super) async fn run(session: &Session<'_>) -> Result<Vec<Measurement>> {
    let deployed = Deployed::start(session, Scenario::Events, pipeline).await?;
    let (sender, unread) = (deployed.sender("call")?, deployed.sender("unread")?);
    let feed = Feed::connect(session, deployed.sink.clone()).await?;
    let Deployed { subject, idle, .. } = deployed;
    stream::warm(&sender, &subject).await?;

    let rate = session.plan.rate;
    let count = usize::try_from(rate * SECONDS).context("the rate is too large")?;
    let case = Case {
        id: "events-rate",
        title: format!("webhook to http trigger, {rate} events/s for {SECONDS} s"),
        objects: count,
        own_requests: 0,
    };
    let load = at_rate(&sender, rate, count);
    let steady = session.case(&subject, idle, case, load).await?;

    let count = session.plan.count.unwrap_or(COUNT);
    let case = Case {
        id: "events-full",
        title: format!("webhook to http trigger, {count} events, {AT_ONCE} requests at once"),
        objects: count,
        own_requests: 0,
    };
    let load = at_full_speed(&sender, count);
    let full = session.case(&subject, idle, case, load).await?;

    let case = Case {
        id: "events-trigger",
        title: format!("bus to http trigger, {count} events as fast as the bus takes them"),
        objects: count,
        own_requests: 0,
    };
    let load = feed.deliver(count, &["call"]);
    let trigger = session.case(&subject, idle, case, load).await?;

    let count = count * MORE;
    let case = Case {
        id: "events-accepted",
        title: format!(
            "webhook to bus, {count} events that no Sensor reads, {AT_ONCE} requests at once"
        ),
        objects: count,
        own_requests: 0,
    };
    let load = accepted(&unread, count);
    let accepted = session.case(&subject, idle, case, load).await?;
    Ok(vec![steady, full, trigger, accepted])
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
    Ok(stream::outcome(&sender.sink, start, start.elapsed()).await)
}

/// As fast as the webhook answers, until everything has arrived at the target.
async fn at_full_speed(sender: &Sender, count: usize) -> Result<Outcome> {
    sender.sink.begin("full", count);
    let start = Instant::now();
    send_all(sender, "full", count).await;
    Ok(stream::outcome(&sender.sink, start, start.elapsed()).await)
}

/// As fast as the webhook answers; an event is done when it was accepted.
async fn accepted(sender: &Sender, count: usize) -> Result<Outcome> {
    sender.sink.begin("accepted", count);
    let start = Instant::now();
    send_all(sender, "accepted", count).await;
    Ok(stream::accepted(&sender.sink, start.elapsed()))
}

/// Sends all events, 64 at once.
async fn send_all(sender: &Sender, load: &'static str, count: usize) {
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (sender, next) = (sender.clone(), Arc::clone(&next));
        workers.spawn(async move {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return;
                }
                sender.send(load, index).await;
            }
        });
    }
    while workers.join_next().await.is_some() {}
}

/// Bus, source and sensor.
fn pipeline(nats: &str, port: u16, sink: &str) -> [Value; 3] {
    let webhook = json!({
        "call": stream::endpoint(port, "call"), "unread": stream::endpoint(port, "unread"),
    });
    let call = Call {
        source: "bench",
        events: &["call"],
        sink,
        at_least_once: false,
    };
    [
        stream::bus(nats),
        stream::object("EventSource", "bench", &json!({"webhook": webhook})),
        stream::sensor("bench", &call),
    ]
}
