//! Sensors on a real nats-server: acknowledgements, order, retries, dead letters, sets, crashes.

#[path = "bus/outages.rs"]
mod outages;
mod support;

use std::{collections::BTreeSet, time::Duration};

use events::{bus::BusState, event::CloudEvent};
use reconcile_core::clock::Clock;
use serde_json::json;

use support::{
    Nats, PATIENCE, Receiver, Stage, attached, http_trigger, plane, publish, sensor, until,
};

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_acted_on_once() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    stage.run(&stage.spec(&["a"])).await;
    for n in 0..200 {
        stage.publish("a", n).await;
        // The same id again: the bus drops it.
        if n % 10 == 0 {
            stage.publish("a", n).await;
        }
    }
    stage.receiver.wait_for(200).await;
    stage.plane.stop().await;
    assert_eq!(stage.receiver.sorted("a"), (0..200).collect::<Vec<u64>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn tries_are_spent_and_then_the_event_is_parked() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    *stage.receiver.answer.lock() = 503;
    let mut spec = stage.spec(&["a"]);
    spec["triggers"][0]["policy"] = json!({"status": {"allow": [200]}});
    spec["triggers"][0]["retryStrategy"] = json!({"steps": 3, "duration": "50ms", "jitter": 0});
    stage.run(&spec).await;
    stage.publish("a", 7).await;
    let letter = stage.letter().await;
    assert_eq!(letter.subject.as_str(), "dlq.s.t");
    let headers = letter.headers.clone().expect("headers");
    assert_eq!(
        headers.get("Tries").map(|value| value.as_str().to_owned()),
        Some("3".to_owned())
    );
    assert!(
        headers
            .get("Reason")
            .is_some_and(|value| value.as_str().contains("answered 503"))
    );
    assert_eq!(
        CloudEvent::decode(&letter.payload).expect("the event").data,
        r#"{"n":7}"#
    );
    assert_eq!(stage.receiver.count(), 3);
    // All tries carry the same identity.
    let keys: BTreeSet<String> = stage
        .receiver
        .calls
        .lock()
        .iter()
        .map(|call| call.key.clone())
        .collect();
    assert_eq!(keys.len(), 1);
    // Nothing is left behind, and later events are not held up.
    *stage.receiver.answer.lock() = 200;
    stage.publish("a", 8).await;
    stage.receiver.wait_for(4).await;
    stage.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_would_be_too_large_is_parked_without_its_payload() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let mut spec = stage.spec(&["a"]);
    spec["triggers"][0]["template"]["http"]["url"] = json!("http://127.0.0.1:1/");
    stage.run(&spec).await;
    // As large as the server takes, to within a hundred bytes: no room for the headers of a letter.
    let now = Clock::system().now();
    let event = |size: usize| {
        let data = format!("{{\"n\":\"{}\"}}", "x".repeat(size));
        CloudEvent::new("large".into(), "src", "test", "a", now, data.into())
    };
    let fixed = event(0).encode().len();
    let event = event((1024 * 1024 - 100 - fixed) / 4 * 3);
    stage
        .bus
        .publish("default.src.a", &event.id, event.encode())
        .await
        .expect("stored");
    let letter = stage.letter().await;
    let headers = letter.headers.clone().expect("headers");
    assert!(headers.get("Payload").is_some() && headers.get("Reason").is_some());
    let body: serde_json::Value = serde_json::from_slice(&letter.payload).expect("JSON");
    assert_eq!(body["a"]["id"], "large");
    stage.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_resort_runs_instead_of_parking() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let mut spec = stage.spec(&["a"]);
    let trigger = &mut spec["triggers"][0];
    trigger["template"]["http"]["url"] = json!("http://127.0.0.1:1/");
    trigger["atLeastOnce"] = json!(true);
    trigger["dlqTrigger"] = http_trigger("last", &format!("{}/last", stage.receiver.url), &["a"]);
    stage.run(&spec).await;
    stage.publish("a", 1).await;
    stage.receiver.wait_for(1).await;
    assert_eq!(stage.receiver.calls.lock()[0].path, "/last");
    stage.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_least_once_keeps_the_order_also_over_failures_and_changes() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let spec = |path: &str| {
        let mut spec = stage.spec(&["a"]);
        let trigger = &mut spec["triggers"][0];
        trigger["template"]["http"]["url"] = json!(format!("{}/{path}", stage.receiver.url));
        trigger["atLeastOnce"] = json!(true);
        trigger["policy"] = json!({"status": {"allow": [200]}});
        trigger["retryStrategy"] = json!({"steps": 5, "duration": "30ms", "jitter": 0});
        spec
    };
    stage.run(&spec("before")).await;
    *stage.receiver.failures.lock() = 2;
    for n in 0..60 {
        stage.publish("a", n).await;
        if n % 20 == 10 {
            stage.ensure(&spec(&format!("v{n}")));
        }
    }
    until("all events", || async {
        stage.receiver.numbers("a").contains(&59)
    })
    .await;
    stage.plane.stop().await;
    let mut seen = stage.receiver.numbers("a");
    assert_eq!(seen[..3], [0, 0, 0], "two failures and a success");
    // A change interrupts the pause between two tries; the event is tried again.
    seen.dedup();
    assert_eq!(seen, (0..60).collect::<Vec<u64>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_spaces_actions_and_not_what_filters_refuse() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let mut spec = stage.spec(&["a"]);
    spec["dependencies"][0]["filters"] =
        json!({"data": [{"path": "n", "type": "number", "comparator": ">=", "value": ["100"]}]});
    let mut limited = spec.clone();
    limited["triggers"][0]["rateLimit"] = json!({"unit": "Hour", "requestsPerUnit": 1});
    stage.run(&limited).await;
    for n in 0..=101 {
        stage.publish("a", n).await;
    }
    // 100 or 101 takes the turn of this hour, and 0 to 99 take none.
    stage.receiver.wait_for(1).await;
    let first = stage.receiver.numbers("a");
    // The other one stays untouched when the manifest changes: all its tries are left.
    *stage.receiver.answer.lock() = 503;
    spec["triggers"][0]["policy"] = json!({"status": {"allow": [200]}});
    spec["triggers"][0]["retryStrategy"] = json!({"steps": 3, "duration": "20ms", "jitter": 0});
    stage.ensure(&spec);
    let letter = stage.letter().await;
    assert_eq!(
        letter
            .headers
            .as_ref()
            .and_then(|all| all.get("Tries"))
            .map(async_nats::HeaderValue::as_str),
        Some("3")
    );
    stage.plane.stop().await;
    let second = 201 - first[0];
    assert_eq!(
        stage.receiver.numbers("a"),
        [first[0], second, second, second]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_spaces_sets() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let mut spec = stage.spec(&["a", "b"]);
    spec["triggers"][0]["rateLimit"] = json!({"unit": "Second", "requestsPerUnit": 2});
    stage.run(&spec).await;
    for n in 0..4 {
        stage.publish("a", n).await;
        stage.publish("b", n).await;
    }
    stage.receiver.wait_for(4).await;
    stage.plane.stop().await;
    let calls = stage.receiver.calls.lock();
    // Three gaps of half a second; how late a single call is depends on the machine.
    let took = calls[3].at.duration_since(calls[0].at);
    assert!(took >= Duration::from_millis(1200), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sets_fire_in_the_order_of_the_stream() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    stage.run(&stage.spec(&["a", "b"])).await;
    // Without order across the two subjects some a would overtake its b.
    for n in 0..100 {
        stage.publish("a", n).await;
        stage.publish("b", n).await;
    }
    stage.receiver.wait_for(100).await;
    stage.plane.stop().await;
    let pairs: Vec<_> = stage
        .receiver
        .calls
        .lock()
        .iter()
        .map(|call| (call.body["a"].as_u64(), call.body["b"].as_u64()))
        .collect();
    let expected: Vec<_> = (0..100).map(|n| (Some(n), Some(n))).collect();
    assert_eq!(pairs, expected);
}

#[test]
fn a_killed_process_fires_each_set_with_one_identity() {
    let check = tokio::runtime::Runtime::new().expect("a runtime");
    let Some(nats) = check.block_on(Nats::start()) else {
        return;
    };
    let receiver = check.block_on(Receiver::start());
    let sensor = sensor("s", &support::spec(&receiver.url, &["a", "b"]));
    let publisher = check.block_on(nats.bus());
    let mut sent = 0;
    for round in 0..4 {
        // A runtime of its own, dropped without any farewell in the middle of an action.
        let process = tokio::runtime::Runtime::new().expect("a runtime");
        process.block_on(async {
            let (bus, plane) = (nats.bus().await, plane());
            plane.ensure_sensor(&sensor, &bus);
            attached(&plane, "s").await;
            *receiver.delay.lock() = Duration::from_millis(if round < 3 { 30 } else { 0 });
            for _ in 0..10 {
                publish(&publisher, "a", sent).await;
                publish(&publisher, "b", sent).await;
                sent += 1;
            }
            if round < 3 {
                let before = receiver.count();
                receiver.wait_for(before + 3).await;
            } else {
                let keys = || {
                    receiver
                        .calls
                        .lock()
                        .iter()
                        .map(|call| call.key.clone())
                        .collect::<BTreeSet<_>>()
                        .len()
                };
                until("all sets fired", || async { keys() >= 40 }).await;
                plane.stop().await;
            }
        });
        process.shutdown_background();
    }
    let calls = receiver.calls.lock();
    let mut sets = BTreeSet::new();
    for call in calls.iter() {
        sets.insert((
            call.key.clone(),
            call.body["a"].as_u64(),
            call.body["b"].as_u64(),
        ));
    }
    let pairs: BTreeSet<_> = sets.iter().map(|(_, a, b)| (*a, *b)).collect();
    // Each identity stands for one set, each set is a pair of events that belong together.
    assert_eq!(sets.len(), pairs.len());
    assert_eq!(pairs.len(), 40);
    assert!(pairs.iter().all(|(a, b)| a == b), "{pairs:?}");
}
