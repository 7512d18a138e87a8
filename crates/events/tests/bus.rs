//! Sensors on a real nats-server: acknowledgements, retries, dead letters, sets, crashes.

mod support;

use std::{collections::BTreeSet, time::Duration};

use events::bus::{BusState, DEAD_LETTERS};
use futures::StreamExt;
use serde_json::json;

use support::{
    Nats, PATIENCE, Receiver, attached, dependency, http_trigger, plane, publish, sensor, until,
};

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_acted_on_once() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, receiver, plane) = (nats.bus().await, Receiver::start().await, plane());
    let spec = json!({"dependencies": [dependency("a")], "triggers": [http_trigger("t", &receiver.url, &["a"])]});
    plane.ensure_sensor(&sensor("s", &spec), &bus);
    attached(&plane, "s").await;
    for n in 0..200 {
        publish(&bus, "a", n).await;
        // The same id again: the bus drops it.
        if n % 10 == 0 {
            publish(&bus, "a", n).await;
        }
    }
    receiver.wait_for(200).await;
    plane.stop().await;
    let seen: BTreeSet<u64> = receiver
        .calls
        .lock()
        .iter()
        .filter_map(|call| call.body["a"].as_u64())
        .collect();
    assert_eq!(seen.len(), 200);
    assert_eq!(receiver.count(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn tries_are_spent_and_then_the_event_is_parked() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, receiver, plane) = (nats.bus().await, Receiver::start().await, plane());
    *receiver.answer.lock() = 503;
    let mut trigger = http_trigger("t", &receiver.url, &["a"]);
    trigger["policy"] = json!({"status": {"allow": [200]}});
    trigger["retryStrategy"] = json!({"steps": 3, "duration": "50ms", "jitter": 0});
    let spec = json!({"dependencies": [dependency("a")], "triggers": [trigger]});
    plane.ensure_sensor(&sensor("s", &spec), &bus);
    attached(&plane, "s").await;
    publish(&bus, "a", 7).await;
    let client = async_nats::connect(nats.config().urls[0].as_str())
        .await
        .expect("connected");
    let stream = async_nats::jetstream::new(client)
        .get_stream(DEAD_LETTERS)
        .await
        .expect("a stream");
    let mut letters = stream
        .create_consumer(async_nats::jetstream::consumer::pull::Config::default())
        .await
        .expect("a consumer")
        .messages()
        .await
        .expect("messages");
    let letter = tokio::time::timeout(PATIENCE, letters.next())
        .await
        .expect("in time")
        .expect("one")
        .expect("good");
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
        events::event::CloudEvent::decode(&letter.payload)
            .expect("the event")
            .data,
        r#"{"n":7}"#
    );
    assert_eq!(receiver.count(), 3);
    // All tries carry the same identity.
    let keys: BTreeSet<String> = receiver
        .calls
        .lock()
        .iter()
        .map(|call| call.key.clone())
        .collect();
    assert_eq!(keys.len(), 1);
    // Nothing is left behind, and later events are not held up.
    *receiver.answer.lock() = 200;
    publish(&bus, "a", 8).await;
    receiver.wait_for(4).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_resort_runs_instead_of_parking() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, receiver, plane) = (nats.bus().await, Receiver::start().await, plane());
    let mut trigger = http_trigger("t", "http://127.0.0.1:1/", &["a"]);
    trigger["atLeastOnce"] = json!(true);
    trigger["dlqTrigger"] = http_trigger("last", &format!("{}/last", receiver.url), &["a"]);
    let spec = json!({"dependencies": [dependency("a")], "triggers": [trigger]});
    plane.ensure_sensor(&sensor("s", &spec), &bus);
    attached(&plane, "s").await;
    publish(&bus, "a", 1).await;
    receiver.wait_for(1).await;
    assert_eq!(receiver.calls.lock()[0].path, "/last");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_manifest_loses_no_event() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, receiver, plane) = (nats.bus().await, Receiver::start().await, plane());
    let spec = |path: &str| {
        let url = format!("{}/{path}", receiver.url);
        json!({"dependencies": [dependency("a")], "triggers": [http_trigger("t", &url, &["a"])]})
    };
    plane.ensure_sensor(&sensor("s", &spec("before")), &bus);
    attached(&plane, "s").await;
    for n in 0..300 {
        publish(&bus, "a", n).await;
        if n % 60 == 30 {
            plane.ensure_sensor(&sensor("s", &spec(&format!("v{n}"))), &bus);
        }
    }
    receiver.wait_for(300).await;
    plane.stop().await;
    let calls = receiver.calls.lock();
    let seen: BTreeSet<u64> = calls
        .iter()
        .filter_map(|call| call.body["a"].as_u64())
        .collect();
    assert_eq!((seen.len(), calls.len()), (300, 300));
    assert_eq!(calls.last().map(|call| call.path.as_str()), Some("/v270"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_trigger_catches_up_once_it_is_mended() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, receiver, plane) = (nats.bus().await, Receiver::start().await, plane());
    let good = json!({"dependencies": [dependency("a")], "triggers": [http_trigger("t", &receiver.url, &["a"])]});
    let mut broken = good.clone();
    broken["triggers"][0]["template"]["http"]["url"] = json!("ftp://nowhere");
    plane.ensure_sensor(&sensor("s", &good), &bus);
    attached(&plane, "s").await;
    publish(&bus, "a", 1).await;
    receiver.wait_for(1).await;
    let key = reconcile_core::object::ObjectKey::new("ns", "s");
    let (half, problems) = events::sensor::checked::check(&key, "uid-1", &broken).expect("decodes");
    assert_eq!((half.triggers.len(), problems.triggers.len()), (0, 1));
    plane.ensure_sensor(&std::sync::Arc::new(half), &bus);
    publish(&bus, "a", 2).await;
    plane.pause_sensor(&key);
    publish(&bus, "a", 3).await;
    plane.ensure_sensor(&sensor("s", &good), &bus);
    receiver.wait_for(3).await;
    // Deleted and made anew: what came between is gone, what comes after is acted on.
    plane.remove_sensor(&key);
    plane.ensure_sensor(&sensor("s", &good), &bus);
    attached(&plane, "s").await;
    publish(&bus, "a", 4).await;
    receiver.wait_for(4).await;
    plane.stop().await;
    let seen: Vec<_> = receiver
        .calls
        .lock()
        .iter()
        .filter_map(|call| call.body["a"].as_u64())
        .collect();
    assert_eq!(seen, [1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sets_fire_in_the_order_of_the_stream() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, receiver, plane) = (nats.bus().await, Receiver::start().await, plane());
    let trigger = http_trigger("t", &receiver.url, &["a", "b"]);
    let spec = json!({"dependencies": [dependency("a"), dependency("b")], "triggers": [trigger]});
    plane.ensure_sensor(&sensor("s", &spec), &bus);
    attached(&plane, "s").await;
    // Without order across the two subjects some a would overtake its b.
    for n in 0..100 {
        publish(&bus, "a", n).await;
        publish(&bus, "b", n).await;
    }
    receiver.wait_for(100).await;
    plane.stop().await;
    let pairs: Vec<_> = receiver
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
    let trigger = http_trigger("t", &receiver.url, &["a", "b"]);
    let spec = json!({"dependencies": [dependency("a"), dependency("b")], "triggers": [trigger]});
    let sensor = sensor("s", &spec);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_loses_nothing_and_doubles_nothing() {
    let Some(mut nats) = Nats::start().await else {
        return;
    };
    let (bus, receiver, plane) = (nats.bus().await, Receiver::start().await, plane());
    let spec = json!({"dependencies": [dependency("a")], "triggers": [http_trigger("t", &receiver.url, &["a"])]});
    plane.ensure_sensor(&sensor("s", &spec), &bus);
    attached(&plane, "s").await;
    for n in 0..50 {
        publish(&bus, "a", n).await;
    }
    nats.down();
    let mut state = bus.state();
    tokio::time::timeout(
        PATIENCE,
        state.wait_for(|state| matches!(state, BusState::Away(_))),
    )
    .await
    .expect("noticed")
    .expect("the bus lives");
    let waiting = tokio::spawn({
        let bus = bus.clone();
        async move {
            for n in 50..100 {
                publish(&bus, "a", n).await;
            }
        }
    });
    nats.up().await;
    waiting.await.expect("published");
    receiver.wait_for(100).await;
    plane.stop().await;
    let calls = receiver.calls.lock();
    let seen: BTreeSet<u64> = calls
        .iter()
        .filter_map(|call| call.body["a"].as_u64())
        .collect();
    assert_eq!((seen.len(), calls.len()), (100, 100));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_sensor_leaves_nothing_on_the_bus() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let trigger = http_trigger("t", "http://127.0.0.1:1/", &["a", "b"]);
    let spec = json!({"dependencies": [dependency("a"), dependency("b")], "triggers": [trigger]});
    let sensor = sensor("s", &spec);
    plane.ensure_sensor(&sensor, &bus);
    attached(&plane, "s").await;
    publish(&bus, "a", 1).await;
    let client = async_nats::connect(nats.config().urls[0].as_str())
        .await
        .expect("connected");
    let context = async_nats::jetstream::new(client);
    until("the event is saved", || async {
        match context.get_key_value("s").await {
            Ok(bucket) => matches!(bucket.get("t/a").await, Ok(Some(_))),
            Err(_) => false,
        }
    })
    .await;
    plane.remove_sensor(&sensor.key);
    until("the bucket is gone", || async {
        context.get_key_value("s").await.is_err()
    })
    .await;
    until("the consumers are gone", || async {
        let mut stream = context.get_stream("default").await.expect("a stream");
        stream
            .info()
            .await
            .is_ok_and(|info| info.state.consumer_count == 0)
    })
    .await;
}
