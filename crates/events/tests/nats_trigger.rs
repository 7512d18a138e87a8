//! The trigger `nats` with `jetstream`, on a real nats-server.

mod support;

use async_nats::jetstream::stream;
use futures::StreamExt;
use serde_json::json;

use support::{Stage, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_counts_as_published_once_a_stream_has_it() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let mut spec = stage.spec(&["a"]);
    let payload = spec["triggers"][0]["template"]["http"]["payload"].clone();
    spec["triggers"][0]["template"] = json!({"name": "t", "nats": {
        "url": stage.nats.config().urls[0], "subject": "orders.new", "payload": payload, "jetstream": {},
    }});
    spec["triggers"][0]["retryStrategy"] = json!({"steps": 2, "duration": "50ms", "jitter": 0});
    stage.run(&spec).await;
    // Nobody stores the subject: core NATS would have taken it.
    stage.publish("a", 0).await;
    let letter = stage.letter().await;
    let text = format!(
        "{:?} {}",
        letter.headers,
        String::from_utf8_lossy(&letter.payload)
    );
    assert!(
        text.contains("orders.new is not stored by a stream"),
        "{text}"
    );
    let stream = stage
        .jetstream()
        .await
        .create_stream(stream::Config {
            name: "orders".to_owned(),
            subjects: vec!["orders.>".to_owned()],
            ..stream::Config::default()
        })
        .await
        .expect("a stream");
    for n in 1..=3 {
        stage.publish("a", n).await;
    }
    until("all are stored", || async {
        let info = stream.get_info().await.expect("known");
        info.state.messages == 3
    })
    .await;
    let consumer = stream
        .create_consumer(async_nats::jetstream::consumer::pull::Config::default())
        .await
        .expect("a consumer");
    let messages: Vec<_> = consumer
        .messages()
        .await
        .expect("messages")
        .take(3)
        .collect()
        .await;
    for message in messages {
        let message = message.expect("good");
        let headers = message.headers.clone().expect("headers");
        assert!(
            headers.get("Nats-Msg-Id").is_some(),
            "a repetition is dropped by it"
        );
    }
    stage.plane.stop().await;
}
