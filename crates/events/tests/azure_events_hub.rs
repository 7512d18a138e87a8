//! The source `azureEventsHub` on a hub that another implementation of AMQP 1.0 plays.

mod support;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use events::{bus::Bus, source::CheckedSource, worker::DataPlane};
use serde_json::{Value, json};

use support::{EventHub, Nats, certified, plane, refusal, reported, source, until, with};

const KEY: &str = "s3cret-key";

fn config(fqdn: &str, more: &Value) -> Value {
    with(
        json!({
            "fqdn": fqdn, "hubName": "orders",
            "sharedAccessKeyName": {"name": "azure", "key": "name"},
            "sharedAccessKey": {"name": "azure", "key": "key"},
            "connectionBackoff": {"duration": "500ms", "steps": 1},
        }),
        more,
    )
}

fn entry(hub: &EventHub, more: &Value) -> Arc<CheckedSource> {
    let config = config(&hub.address(), more);
    source("azureEventsHub", &["listen", KEY], &config)
}

fn numbered(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|n| n.to_string()).collect()
}

fn body(payload: &Value) -> String {
    let body = payload["body"].as_str().expect("text");
    let body = BASE64_STANDARD.decode(body).expect("base64");
    String::from_utf8(body).expect("text")
}

/// Bodies of events, but for those of [`seen`].
async fn bodies(nats: &Nats) -> Vec<String> {
    let payloads = nats.payloads().await;
    let bodies = payloads.iter().map(body);
    bodies.filter(|body| !body.starts_with("seen")).collect()
}

/// Waits until the source reads: what comes in before that is not read at its first start.
async fn seen(
    plane: &DataPlane,
    source: &Arc<CheckedSource>,
    bus: &Arc<Bus>,
    nats: &Nats,
    hub: &EventHub,
) {
    let before = nats.count().await;
    until("an event is stored", || async {
        plane.ensure_source(source, bus);
        hub.publish(0, &["seen".to_owned()]);
        nats.count().await > before
    })
    .await;
}

#[test]
fn ten_thousand_events_survive_the_death_of_the_source_and_of_the_server() {
    const ALL: u64 = 10_000;
    let main = tokio::runtime::Runtime::new().expect("a runtime");
    let Some(nats) = main.block_on(Nats::start()) else {
        return;
    };
    let Some(mut hub) = main.block_on(EventHub::start(4, KEY, &certified())) else {
        return;
    };
    let publish = |hub: &EventHub, numbers: std::ops::Range<u64>| {
        for (at, chunk) in numbered(numbers).chunks(50).enumerate() {
            hub.publish(at % 4, chunk);
        }
    };
    let source = entry(&hub, &json!({}));
    // The first process is gone without a word while events come in.
    let first = tokio::runtime::Runtime::new().expect("a runtime");
    first.block_on(async {
        let (bus, plane) = (nats.bus().await, plane());
        seen(&plane, &source, &bus, &nats, &hub).await;
        let before = nats.count().await;
        publish(&hub, 0..5000);
        until("some are stored", || async {
            nats.count().await >= before + 500
        })
        .await;
        std::mem::forget(plane);
    });
    first.shutdown_timeout(Duration::ZERO);
    main.block_on(async {
        assert!(bodies(&nats).await.len() < 5000, "too fast for this test");
        // Nobody reads meanwhile.
        publish(&hub, 5000..8000);
        let (bus, plane) = (nats.bus().await, plane());
        plane.ensure_source(&source, &bus);
        until("more are stored", || async {
            bodies(&nats).await.len() >= 5500
        })
        .await;
        hub.server.stop().await;
        publish(&hub, 8000..ALL);
        hub.server.up().await;
        until("all are stored", || async {
            bodies(&nats).await.len() >= 10_000
        })
        .await;
        let numbers: BTreeSet<String> = bodies(&nats).await.into_iter().collect();
        assert_eq!(numbers, numbered(0..ALL).into_iter().collect());
        assert_eq!(bodies(&nats).await.len(), 10_000, "some came twice");
        let events = nats.stored().await;
        let ids: BTreeSet<&str> = events.iter().map(|event| event.id.as_str()).collect();
        assert_eq!(ids.len(), events.len());
        plane.stop().await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_payload_is_that_of_upstream_and_what_is_too_large_is_refused() {
    let Some(mut nats) = Nats::start().await else {
        return;
    };
    let Some(hub) = EventHub::start(2, KEY, &certified()).await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    // `b3RoZXI=` is `other`.
    let more = json!({"metadata": {"k": "v"}, "filter": {"expression": "body != 'b3RoZXI='"}});
    let source = entry(&hub, &more);
    seen(&plane, &source, &bus, &nats, &hub).await;
    // More than a frame, and more than the bus takes.
    let lines = ["other", "large 400000", "large 3000000", "last"].map(str::to_owned);
    hub.publish(1, &lines);
    until("the good ones are stored", || async {
        bodies(&nats).await.len() == 2
    })
    .await;
    let payloads = nats.payloads().await;
    let of = |wanted: &str| {
        let found = payloads
            .iter()
            .find(|payload| body(payload).starts_with(wanted));
        found.expect("stored").clone()
    };
    assert_eq!(body(&of("xxx")).len(), 400_000);
    assert_eq!(
        of("last"),
        json!({"id": "m3", "partitionKey": "customer", "body": "bGFzdA==", "metadata": {"k": "v"}})
    );
    // What the bus does not take comes again.
    nats.down();
    hub.publish(1, &["later".to_owned()]);
    reported(&plane, &source, &bus, "").await;
    nats.up().await;
    drop(nats.bus().await);
    until("it is stored", || async { bodies(&nats).await.len() == 3 }).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_was_created_again_is_read_from_its_beginning() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let Some(mut hub) = EventHub::start(1, KEY, &certified()).await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let source = entry(&hub, &json!({}));
    seen(&plane, &source, &bus, &nats, &hub).await;
    hub.publish(0, &numbered(0..20));
    until("they are stored", || async {
        bodies(&nats).await.len() == 20
    })
    .await;
    hub.server.stop().await;
    hub.create_again(0);
    hub.publish(0, &["first".to_owned()]);
    hub.server.up().await;
    until("it is stored", || async {
        bodies(&nats).await.contains(&"first".to_owned())
    })
    .await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_checked_and_what_a_server_refuses_is_reported() {
    for (field, value) in [
        ("fqdn", json!("")),
        ("fqdn", json!("u:p@host")),
        ("fqdn", json!("host/path")),
        ("hubName", json!("")),
        ("hubName", json!("a'b")),
        ("sharedAccessKey", Value::Null),
        ("sharedAccessKeyName", Value::Null),
    ] {
        let error = refusal("azureEventsHub", &config("host", &json!({field: value})));
        let path = format!("spec.azureEventsHub.event.{field}: ");
        assert!(error.starts_with(&path), "{error}");
    }
    let Some(nats) = Nats::start().await else {
        return;
    };
    let Some(mut hub) = EventHub::start(1, KEY, &certified()).await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let keys = |fqdn: &str, key: &str| {
        source(
            "azureEventsHub",
            &["listen", key],
            &config(fqdn, &json!({})),
        )
    };
    let wrong = keys(&hub.address(), "s3cret-other");
    reported(
        &plane,
        &wrong,
        &bus,
        "is not accepted (401: InvalidSignature: *****",
    )
    .await;
    let absent = entry(&hub, &json!({"hubName": "other"}));
    reported(&plane, &absent, &bus, "there is no such hub (404").await;
    // Its certificate is signed by nobody.
    let tls = keys(&format!("localhost:{}", hub.server.tls_port), KEY);
    reported(&plane, &tls, &bus, "certificate").await;
    // The bus speaks another protocol.
    let url = nats.config().urls[0].replace("nats://", "");
    let other = keys(&format!("{url};UseDevelopmentEmulator=true"), KEY);
    reported(&plane, &other, &bus, "not that of a server of AMQP 1.0").await;
    let local = keys("169.254.169.254", KEY);
    reported(&plane, &local, &bus, "--allow-link-local").await;
    let good = entry(&hub, &json!({}));
    seen(&plane, &good, &bus, &nats, &hub).await;
    hub.server.stop().await;
    reported(&plane, &good, &bus, "127.0.0.1").await;
    plane.stop().await;
}
