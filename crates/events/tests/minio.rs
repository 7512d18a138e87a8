//! The source `minio` on recorded streams of notifications.

mod support;

use bytes::Bytes;
use serde_json::{Value, json};

use support::{Nats, Recording, plane, source, until};

const KEYS: [&str; 2] = ["AKIDEXAMPLE", "hushword"];

fn config(address: &str, more: &Value) -> Value {
    let mut config = json!({
        "endpoint": address, "insecure": true, "bucket": {"name": "uploads"},
        "accessKey": {"name": "minio", "key": "access"}, "secretKey": {"name": "minio", "key": "secret"},
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        config[field] = value.clone();
    }
    config
}

fn record(key: &str) -> Value {
    json!({
        "eventVersion": "2.0", "eventSource": "minio:s3", "eventName": "s3:ObjectCreated:Put",
        "s3": {"bucket": {"name": "uploads"}, "object": {"key": key, "size": 3, "sequencer": "17A1"}},
    })
}

fn line(key: &str) -> String {
    format!(
        "{}\n",
        json!({"EventName": "s3:ObjectCreated:Put", "Records": [record(key)]})
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_of_the_stream_is_an_event() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let first = line("a.pdf");
    let (begin, end) = first.split_at(40);
    let parts = [
        "\n".to_owned(),
        begin.to_owned(),
        end.to_owned(),
        " \n{\"Records\": null}\nno json\n".to_owned(),
        format!("{{\"Records\": [\"{}\"]}}\n", "x".repeat(20 << 20)),
        line("b.pdf"),
    ];
    let server = Recording::streaming(parts.map(Bytes::from).to_vec()).await;
    let more = json!({
        "events": ["s3:ObjectCreated:Put", "s3:ObjectRemoved:Delete"], "region": "eu-west-1",
        "filter": {"prefix": "in/", "suffix": ".pdf"}, "metadata": {"k": "v"},
    });
    plane.ensure_source(
        &source("minio", &KEYS, &config(&server.address, &more)),
        &bus,
    );
    until("both are stored", || async { nats.count().await == 2 }).await;
    let events = nats.stored().await;
    let payloads: Vec<Value> = events
        .iter()
        .map(|event| serde_json::from_slice(&event.data).expect("JSON"))
        .collect();
    assert_eq!(
        payloads[0],
        json!({"notification": [record("a.pdf")], "metadata": {"k": "v"}})
    );
    assert_eq!(
        payloads[1]["notification"][0]["s3"]["object"]["key"],
        "b.pdf"
    );
    let asked = server.asked().remove(0);
    assert_eq!(
        asked.uri.to_string(),
        "/uploads?ping=10&prefix=in%2F&suffix=.pdf&events=s3%3AObjectCreated%3APut&events=s3%3AObjectRemoved%3ADelete"
    );
    let signature = asked.headers["authorization"].to_str().expect("text");
    assert!(
        signature.contains("Credential=AKIDEXAMPLE/") && signature.contains("/eu-west-1/s3/"),
        "{signature}"
    );
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_and_the_end_of_the_stream_are_reported() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let denied = "<Error><Code>AccessDenied</Code><Message>hushword is wrong</Message></Error>";
    for (status, body, part) in [
        (403, denied, "answered 403: <Error><Code>AccessDenied"),
        (200, "", "the server ended the stream"),
    ] {
        let server = Recording::answering(status, body).await;
        let source = source("minio", &KEYS, &config(&server.address, &json!({})));
        until(part, || async {
            let health = plane.ensure_source(&source, &bus);
            let reason = health.interrupted.get("event").cloned().unwrap_or_default();
            assert!(!reason.contains("hushword"), "{reason}");
            reason.contains(part)
        })
        .await;
    }
    plane.stop().await;
}
