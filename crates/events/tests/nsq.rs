//! The source `nsq` on a real nsqd and nsqlookupd.

mod support;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use events::source::CheckedSource;
use serde_json::{Value, json};

use support::{Certified, Nats, Nsq, certified, plane, refusal, reported, source, until, with};

fn entry(nsq: &Nsq, more: &Value) -> Arc<CheckedSource> {
    entry_with(nsq, &[], more)
}

fn entry_with(nsq: &Nsq, secrets: &[&str], more: &Value) -> Arc<CheckedSource> {
    let config = with(
        json!({
            "hostAddress": format!("127.0.0.1:{}", nsq.lookup_port()),
            "topic": "orders", "channel": "argo", "jsonBody": true,
        }),
        more,
    );
    source("nsq", secrets, &config)
}

fn numbered(numbers: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    numbers
        .map(|n| format!("{{\"n\":{n}}}").into_bytes())
        .collect()
}

#[test]
fn ten_thousand_messages_survive_the_death_of_the_source_and_of_the_server() {
    let main = tokio::runtime::Runtime::new().expect("a runtime");
    let Some(nats) = main.block_on(Nats::start()) else {
        return;
    };
    let Some(mut nsq) = main.block_on(Nsq::start(None)) else {
        return;
    };
    let backoff = json!({"connectionBackoff": {"duration": "500ms", "steps": 1}});
    let source = entry(&nsq, &backoff);
    let start = async || {
        let (bus, plane) = (nats.bus().await, plane());
        plane.ensure_source(&source, &bus);
        plane
    };
    main.block_on(nsq.publish("orders", &numbered(0..5000)));
    // The first process is gone without a word while messages come in.
    let first = tokio::runtime::Runtime::new().expect("a runtime");
    first.block_on(async {
        let plane = start().await;
        until("some are stored", || async { nats.count().await >= 500 }).await;
        std::mem::forget(plane);
    });
    first.shutdown_timeout(Duration::ZERO);
    main.block_on(async {
        nsq.publish("orders", &numbered(5000..8000)).await;
        let plane = start().await;
        // A server that is stopped writes to its disk what it has.
        nsq.stop().await;
        nsq.up().await;
        nsq.publish("orders", &numbered(8000..10_000)).await;
        until("all are stored", || async { nats.count().await >= 10_000 }).await;
        let stored = nats.identified().await;
        let ids: BTreeSet<&str> = stored.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids.len(), stored.len());
        let numbers: BTreeSet<u64> = stored
            .iter()
            .filter_map(|(_, payload)| payload["body"]["n"].as_u64())
            .collect();
        assert_eq!(numbers, (0..10_000).collect());
        assert_eq!(stored.len(), 10_000, "some came twice");
        plane.stop().await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_payload_names_the_server_and_messages_that_cannot_be_events_are_refused() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let shown = certified();
    let Some(nsq) = Nsq::start(Some(&shown)).await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let more = json!({
        "tls": {"caCertSecret": {"name": "nsq", "key": "ca"}}, "metadata": {"k": "v"},
        "filter": {"expression": "body.n != 13"},
    });
    let with = |ca: &Certified| entry_with(&nsq, &[&ca.cert.pem()], &more);
    nsq.publish("orders", &[b"{".to_vec(), vec![b' '; 2 << 20]])
        .await;
    nsq.publish("orders", &numbered(13..15)).await;
    reported(&plane, &with(&certified()), &bus, "certificate").await;
    plane.ensure_source(&with(&shown), &bus);
    until("the good one is stored", || async {
        nats.count().await == 1 && nsq.depth("orders", "argo").await == Some(0)
    })
    .await;
    let payload = nats.identified().await.remove(0).1;
    let timestamp = payload["timestamp"].as_str().expect("text");
    assert_eq!(timestamp.len(), 19, "nanoseconds: {timestamp}");
    assert_eq!(
        payload,
        json!({
            "body": {"n": 14}, "timestamp": timestamp, "metadata": {"k": "v"},
            "nsqdAddress": format!("localhost:{}", nsq.port()),
        })
    );
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_the_bus_does_not_take_stays_at_the_server() {
    let Some(mut nats) = Nats::start().await else {
        return;
    };
    let Some(nsq) = Nsq::start(None).await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    nsq.publish("orders", &numbered(0..1)).await;
    let source = entry(&nsq, &json!({}));
    plane.ensure_source(&source, &bus);
    until("the first is stored", || async { nats.count().await == 1 }).await;
    nats.down();
    nsq.publish("orders", &numbered(1..2)).await;
    until("it is sent again", || async {
        nsq.requeued("orders", "argo").await > 0
    })
    .await;
    nats.up().await;
    drop(nats.bus().await);
    until("the second is stored", || async { nats.count().await == 2 }).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_checked_and_what_a_server_refuses_is_reported() {
    let good = json!({"hostAddress": "lookup:4161", "topic": "t", "channel": "c"});
    for (field, value) in [
        ("hostAddress", ""),
        ("hostAddress", "http://u:p@a"),
        ("topic", ""),
        ("topic", "a\nFIN"),
        ("channel", "a b"),
    ] {
        let mut config = good.clone();
        config[field] = json!(value);
        let error = refusal("nsq", &config);
        let path = format!("spec.nsq.event.{field}: ");
        assert!(error.starts_with(&path), "{error}");
    }
    let Some(nats) = Nats::start().await else {
        return;
    };
    let Some(mut nsq) = Nsq::start(None).await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let nobody = entry(&nsq, &json!({"topic": "nobody"}));
    reported(&plane, &nobody, &bus, "no server has the topic yet").await;
    nsq.publish("orders", &numbered(0..1)).await;
    let tls = entry(&nsq, &json!({"tls": {}}));
    reported(&plane, &tls, &bus, "has no TLS").await;
    // The bus speaks another protocol.
    let url = nats.config().urls[0].replace("nats://", "");
    let other = entry(&nsq, &json!({"hostAddress": url}));
    reported(&plane, &other, &bus, "127.0.0.1").await;
    // So does what the lookup service names.
    let answer =
        json!({"producers": [{"broadcast_address": "127.0.0.1", "tcp_port": nsq.http_port()}]});
    let lookup = support::Recording::answering(200, answer.to_string()).await;
    let strange = entry(&nsq, &json!({"hostAddress": lookup.address}));
    reported(&plane, &strange, &bus, "not that of an nsqd").await;
    let page = support::Recording::answering(200, "<html>").await;
    let page = entry(&nsq, &json!({"hostAddress": page.address}));
    reported(&plane, &page, &bus, "not that of a lookup service").await;
    let local = json!({"producers": [{"broadcast_address": "169.254.169.254", "tcp_port": 80}]});
    let lookup = support::Recording::answering(200, local.to_string()).await;
    let local = entry(&nsq, &json!({"hostAddress": lookup.address}));
    reported(&plane, &local, &bus, "--allow-link-local").await;
    let good = entry(&nsq, &json!({}));
    plane.ensure_source(&good, &bus);
    until("it is read", || async { nats.count().await == 1 }).await;
    nsq.stop().await;
    reported(&plane, &good, &bus, "127.0.0.1").await;
    plane.stop().await;
}
