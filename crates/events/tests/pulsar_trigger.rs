//! The trigger `pulsar` on a real broker.

mod support;

use std::collections::BTreeSet;

use events::event::CloudEvent;
use reconcile_core::clock::Clock;
use serde_json::{Value, json};

use support::{Pulsar, Stage, with};

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_publishes_messages_that_another_client_reads() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let Some(mut broker) = Pulsar::start(None).await else {
        return;
    };
    broker.create("done", 2).await;
    let mut spec = stage.spec(&["a"]);
    let payload = json!([{"src": {"dependencyName": "a", "dataKey": "n"}, "dest": "n"}]);
    let url = format!("pulsar://localhost:{}", broker.port());
    spec["triggers"] = json!([{
        "atLeastOnce": true, "retryStrategy": {"steps": 100, "duration": "200ms"},
        "template": {"name": "t", "pulsar": {"url": url, "topic": "done", "payload": payload}},
    }]);
    stage.run(&spec).await;
    for n in 0..20 {
        stage.publish("a", n).await;
    }
    let consumed = broker.client(&["consume", "done", "20"], &[]).await;
    let values: BTreeSet<&str> = consumed
        .iter()
        .filter_map(|message| message["value"].as_str())
        .collect();
    let wanted: Vec<String> = (0..20).map(|n| format!("{{\"n\":\"{n}\"}}")).collect();
    assert_eq!(values, wanted.iter().map(String::as_str).collect());
    let topics: BTreeSet<String> = consumed
        .iter()
        .map(|message| message["topic"].to_string())
        .collect();
    assert_eq!(topics.len(), 2, "one partition got everything: {topics:?}");
    // Producers are kept, one for each partition, and made again when the broker is.
    for part in 0..2 {
        let stats = broker.stats(&format!("done-partition-{part}")).await;
        let producers = stats["publishers"].as_array().expect("a list").len();
        assert_eq!(producers, 1, "{stats}");
    }
    broker.down();
    stage.publish("a", 20).await;
    broker.up().await;
    let consumed = broker.client(&["consume", "done", "21"], &[]).await;
    let last = |message: &Value| message["value"] == "{\"n\":\"20\"}";
    assert!(consumed.iter().any(last), "{consumed:?}");
    stage.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_trigger_cannot_send_goes_to_the_dead_letters_with_its_reason() {
    let Some(broker) = Pulsar::start(None).await else {
        return;
    };
    let url = format!("pulsar://localhost:{}", broker.port());
    let tls = url.replace("pulsar://", "pulsar+ssl://");
    let backoff = json!({"steps": 3, "duration": "10ms"});
    for (more, reason) in [
        (json!({"topic": "none/such/place"}), "none/such/place"),
        (
            json!({"url": "pulsar://localhost:9", "connectionBackoff": backoff}),
            "refused",
        ),
        (json!({"url": tls}), "localhost"),
        (
            json!({"authTokenSecret": {"name": "gone", "key": "token"}}),
            "Secret ns/gone",
        ),
        (json!({}), "bytes, and the broker takes"),
    ] {
        let Some(stage) = Stage::start().await else {
            return;
        };
        let mut spec = stage.spec(&["a"]);
        // More than a broker takes is made of many copies of what a bus takes.
        let copies = (0..24).map(
            |n| json!({"src": {"dependencyName": "a", "dataKey": "n"}, "dest": format!("n{n}")}),
        );
        let payload: Vec<Value> = copies.collect();
        let pulsar = with(
            json!({"url": url, "topic": "done", "payload": payload}),
            &more,
        );
        spec["triggers"] = json!([{"template": {"name": "t", "pulsar": pulsar}}]);
        stage.run(&spec).await;
        let now = Clock::system().now();
        let data = format!("{{\"n\":\"{}\"}}", "x".repeat(700_000));
        let event = CloudEvent::new("large".into(), "src", "test", "a", now, data.into());
        let stored = stage
            .bus
            .publish("default.src.a", &event.id, event.encode());
        stored.await.expect("stored");
        let letter = stage.letter().await;
        let text = format!("{:?}", letter.headers);
        assert!(text.contains(reason), "{text}");
        stage.plane.stop().await;
    }
}
