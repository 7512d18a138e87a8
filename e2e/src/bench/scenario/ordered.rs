//! Events whose order matters: one action after the other (`atLeastOnce`), and pairs of two dependencies. They are put
//! on the bus in one order, so that it is known which pairs have to fire.

use anyhow::Result;
use serde_json::{Value, json};

use super::super::book::Measurement;
use super::feed::Feed;
use super::stream::{self, Call, Deployed};
use super::{Case, Scenario, Session};

/// Events, or pairs of them, when nothing else is asked for.
const COUNT: usize = 10_000;

pub(super) async fn run(session: &Session<'_>) -> Result<Vec<Measurement>> {
    let deployed = Deployed::start(session, Scenario::Ordered, pipeline).await?;
    let (single, second) = (deployed.sender("single")?, deployed.sender("second")?);
    let first = deployed.sender("first")?;
    let feed = Feed::connect(session, deployed.sink.clone()).await?;
    let Deployed { subject, idle, .. } = deployed;
    stream::warm(&single, &subject).await?;
    stream::warm_pairs(&first, &second, &subject).await?;

    let count = session.plan.count.unwrap_or(COUNT);
    let case = Case {
        id: "events-ordered",
        title: format!("{count} events from the bus, one action after the other (atLeastOnce)"),
        objects: count,
        own_requests: 0,
    };
    let load = feed.deliver(count, &["single"]);
    let ordered = session.case(&subject, idle, case, load).await?;
    let case = Case {
        id: "events-pairs",
        title: format!("{count} pairs of two dependencies from the bus, every one fires"),
        objects: count,
        own_requests: 0,
    };
    let load = feed.deliver(count, &["first", "second"]);
    let pairs = session.case(&subject, idle, case, load).await?;
    Ok(vec![ordered, pairs])
}

/// Bus, source and sensors.
fn pipeline(nats: &str, port: u16, sink: &str) -> [Value; 4] {
    let endpoint = |name: &str| stream::endpoint(port, name);
    let webhook = json!({
        "single": endpoint("single"), "first": endpoint("first"), "second": endpoint("second"),
    });
    let sensor = |name: &str, events: &[&str]| {
        let call = Call {
            source: "bench",
            events,
            sink,
            at_least_once: true,
        };
        stream::sensor(name, &call)
    };
    [
        stream::bus(nats),
        stream::object("EventSource", "bench", &json!({"webhook": webhook})),
        sensor("single", &["single"]),
        sensor("pairs", &["first", "second"]),
    ]
}
