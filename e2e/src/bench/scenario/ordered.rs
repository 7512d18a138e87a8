//! Events whose order matters: one action after the other (`atLeastOnce`), and pairs of two dependencies. Each pair is
//! sent as one event after the other, so that it is known which sets have to fire.

use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::book::Measurement;
use super::super::subject::Subject;
use super::events::{self, Deployed, SETTLE, Sender, WARM};
use super::{Case, Outcome, Scenario, Session};

/// Events, or pairs of them, when nothing else is asked for.
const COUNT: usize = 5_000;

pub(super) async fn run(session: &Session<'_>) -> Result<Vec<Measurement>> {
    let deployed = Deployed::start(session, Scenario::Ordered, pipeline).await?;
    let to = |path: &str| deployed.sender(path);
    let (single, first, second) = (to("single")?, to("first")?, to("second")?);
    let Deployed { subject, idle, .. } = deployed;
    events::warm(&single, &subject).await?;
    warm_pairs(&first, &second, &subject).await?;

    let count = session.plan.count.unwrap_or(COUNT);
    let case = Case {
        id: "events-ordered",
        title: format!("{count} events, one action after the other (atLeastOnce)"),
        objects: count,
        own_requests: 0,
    };
    let load = events::at_full_speed(&single, count);
    let ordered = session.case(&subject, idle, case, load).await?;
    let case = Case {
        id: "events-pairs",
        title: format!("{count} pairs of two dependencies, every one fires"),
        objects: count,
        own_requests: 0,
    };
    let load = pairs(&first, &second, count);
    let pairs = session.case(&subject, idle, case, load).await?;
    Ok(vec![ordered, pairs])
}

/// Sends pairs until one has fired.
async fn warm_pairs(first: &Sender, second: &Sender, subject: &Subject) -> Result<()> {
    let end = Instant::now() + WARM;
    let mut turn = 0;
    while Instant::now() < end {
        let load = format!("pair{turn}");
        turn += 1;
        second.sink.begin(&load, 1);
        first.post(&load, 0).await;
        second.send(&load, 0).await;
        if second.sink.first(Duration::from_millis(500)).await {
            second.sink.until_done(SETTLE, SETTLE).await;
            return Ok(());
        }
        subject.check().await?;
    }
    bail!("no pair fired within {WARM:?}")
}

/// One event of each dependency in turn.
async fn pairs(first: &Sender, second: &Sender, count: usize) -> Result<Outcome> {
    second.sink.begin("pairs", count);
    let start = Instant::now();
    for index in 0..count {
        first.post("pairs", index).await;
        second.send("pairs", index).await;
    }
    Ok(events::outcome(&second.sink, start, start.elapsed()).await)
}

/// Bus, source and sensors.
fn pipeline(nats: &str, port: u16, sink: &str) -> [Value; 4] {
    let endpoint =
        |path: &str| json!({"port": port.to_string(), "endpoint": path, "method": "POST"});
    let webhook = json!({
        "single": endpoint("/single"), "first": endpoint("/first"), "second": endpoint("/second"),
    });
    let dependency =
        |name: &str| json!({"name": name, "eventSourceName": "bench", "eventName": name});
    let trigger = |id_of: &str| {
        let payload =
            json!([{"src": {"dependencyName": id_of, "dataKey": "body.id"}, "dest": "id"}]);
        let call = json!({"url": sink, "method": "POST", "payload": payload});
        json!({"atLeastOnce": true, "template": {"name": "call", "http": call}})
    };
    let single = json!({"dependencies": [dependency("single")], "triggers": [trigger("single")]});
    let pairs = json!({
        "dependencies": [dependency("first"), dependency("second")],
        "triggers": [trigger("second")],
    });
    [
        events::bus(nats),
        events::object("EventSource", "bench", &json!({"webhook": webhook})),
        events::object("Sensor", "single", &single),
        events::object("Sensor", "pairs", &pairs),
    ]
}
