//! A bus that has no room, as with a full disk: callers get errors, nothing that was accepted is dropped, and everything
//! flows again when there is room.

mod support;

use std::{collections::BTreeSet, sync::Arc};

use events::{
    bus::Bus,
    source::{CheckedSource, Endpoint, Webhook},
    worker::DataPlane,
};
use reconcile_core::object::ObjectKey;
use serde_json::json;

use support::{Nats, free_port, plane, ready, until};

/// Bytes that the bus holds.
const ROOM: i64 = 256 << 10;

fn source(port: u16) -> Arc<CheckedSource> {
    let webhook = Webhook {
        event: "push".to_owned(),
        port,
        endpoint: Endpoint::parse("/push").expect("a path"),
        method: "POST".parse().expect("a method"),
        token: None,
        tls: None,
        max_body: 64 << 10,
        metadata: std::collections::BTreeMap::new(),
        filter: None,
        hook: None,
    };
    Arc::new(CheckedSource {
        key: ObjectKey::new("ns", "src"),
        uid: "uid".into(),
        webhooks: vec![webhook],
        tasks: Vec::new(),
        service: false,
        contested: BTreeSet::new(),
    })
}

/// Status of the answer to event `n`.
async fn post(port: u16, n: u64) -> u16 {
    let request = reqwest::Client::new()
        .post(format!("http://127.0.0.1:{port}/push"))
        .json(&json!({"n": n, "padding": "x".repeat(8 << 10)}));
    request.send().await.expect("an answer").status().as_u16()
}

/// Why events do not arrive.
fn trouble(plane: &DataPlane, bus: &Arc<Bus>, source: &Arc<CheckedSource>) -> Option<String> {
    let health = plane.ensure_source(source, bus);
    health.interrupted.get("push").cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_without_room_refuses_callers_and_drops_nothing_that_it_accepted() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let mut config = nats.config();
    config.stream.max_bytes = ROOM;
    // New events are refused; old ones are not dropped.
    config.stream.discard = 1;
    let (bus, plane, port) = (ready(config).await, plane(), free_port());
    let source = source(port);
    plane.ensure_source(&source, &bus);
    let mut accepted = 0;
    for n in 0..100 {
        match post(port, n).await {
            200 => accepted += 1,
            refused => {
                assert_eq!(refused, 500);
                break;
            }
        }
    }
    assert!((10..100).contains(&accepted), "{accepted} events fit");
    assert_eq!(nats.count().await, accepted);
    let reason = trouble(&plane, &bus, &source).expect("it is said");
    assert!(reason.contains("maximum bytes exceeded"), "{reason}");
    // Room again: the callers come back.
    nats.stream().await.purge().await.expect("purged");
    until("events are accepted", || async {
        post(port, 100).await == 200
    })
    .await;
    assert_eq!(trouble(&plane, &bus, &source), None);
    plane.stop().await;
}
