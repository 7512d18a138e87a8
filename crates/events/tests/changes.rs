//! Sensors that change, break, come and go, on a real nats-server.

#[path = "changes/names.rs"]
mod names;
mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use events::{event::CloudEvent, sensor::checked::check};
use futures::StreamExt;
use reconcile_core::{clock::Clock, object::ObjectKey};
use serde_json::json;

use support::{PATIENCE, Stage, sensor, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_manifest_loses_no_event() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let spec = |path: &str| {
        let mut spec = stage.spec(&["a"]);
        spec["triggers"][0]["template"]["http"]["url"] =
            json!(format!("{}/{path}", stage.receiver.url));
        spec
    };
    stage.run(&spec("before")).await;
    for n in 0..300 {
        stage.publish("a", n).await;
        if n % 60 == 30 {
            stage.ensure(&spec(&format!("v{n}")));
        }
    }
    stage.receiver.wait_for(300).await;
    stage.plane.stop().await;
    assert_eq!(stage.receiver.sorted("a"), (0..300).collect::<Vec<u64>>());
    // A predecessor has finished before its successor begins, so the paths come in order.
    let calls = stage.receiver.calls.lock();
    let mut paths: Vec<&str> = calls.iter().map(|call| call.path.as_str()).collect();
    assert_eq!(paths.last(), Some(&"/v270"));
    paths.dedup();
    let distinct: BTreeSet<_> = paths.iter().collect();
    assert_eq!(paths.len(), distinct.len(), "{paths:?}");
}

/// What was pulled and not begun goes to the successor. The bus delivers nothing twice, which it would do only
/// after 10 s.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_under_steady_flow_delays_no_event() {
    for (dependencies, at_least_once) in [
        (&["a"][..], false),
        (&["a"][..], true),
        (&["a", "b"][..], false),
    ] {
        let Some(stage) = Stage::start().await else {
            return;
        };
        let spec = |n: u64| {
            let mut spec = stage.spec(dependencies);
            spec["triggers"][0]["atLeastOnce"] = json!(at_least_once);
            spec["triggers"][0]["template"]["http"]["url"] =
                json!(format!("{}/v{n}", stage.receiver.url));
            spec
        };
        stage.run(&spec(0)).await;
        for n in 0..400 {
            for dependency in dependencies {
                stage.publish(dependency, n).await;
            }
            if n % 5 == 3 {
                stage.ensure(&spec(n));
            }
        }
        stage.receiver.wait_for(400).await;
        let stream = stage.jetstream().await.get_stream("default").await;
        let stream = stream.expect("a stream");
        let mut consumers = stream.consumers();
        while let Some(consumer) = consumers.next().await {
            let delivered = consumer.expect("a consumer").delivered;
            assert_eq!(delivered.consumer_sequence, 400, "delivered twice");
        }
        stage.plane.stop().await;
        assert_eq!(stage.receiver.sorted("a"), (0..400).collect::<Vec<u64>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_trigger_catches_up_once_it_is_fixed() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let (plane, receiver) = (&stage.plane, &stage.receiver);
    let good = stage.spec(&["a"]);
    let mut broken = good.clone();
    broken["triggers"][0]["template"]["http"]["url"] = json!("ftp://nowhere");
    stage.run(&good).await;
    stage.publish("a", 1).await;
    receiver.wait_for(1).await;
    let key = ObjectKey::new("ns", "s");
    let (half, problems) = check(&key, "uid-1", &broken).expect("decodes");
    assert_eq!((half.triggers.len(), problems.triggers.len()), (0, 1));
    plane.ensure_sensor(&Arc::new(half), &stage.bus);
    stage.publish("a", 2).await;
    plane.pause_sensor(&key);
    stage.publish("a", 3).await;
    stage.ensure(&good);
    receiver.wait_for(3).await;
    assert_eq!(receiver.sorted("a"), [1, 2, 3]);
    // Deleted and created again: what came between is gone, what comes after is acted on.
    plane.remove_sensor(&key);
    stage.consumers(0).await;
    stage.publish("a", 100).await;
    stage.run(&good).await;
    stage.publish("a", 4).await;
    receiver.wait_for(4).await;
    plane.stop().await;
    assert_eq!(receiver.sorted("a"), [1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sensor_that_is_recreated_at_once_acts_on_later_events() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let spec = stage.spec(&["a"]);
    stage.run(&spec).await;
    let mut seen = Vec::new();
    for n in 0..20 {
        stage.plane.remove_sensor(&ObjectKey::new("ns", "s"));
        stage.run(&spec).await;
        stage.publish("a", n).await;
        // An event that is not acted on yet goes with its sensor.
        stage.receiver.wait_for(seen.len() + 1).await;
        seen.push(n);
    }
    stage.plane.stop().await;
    assert_eq!(stage.receiver.numbers("a"), seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sensor_that_is_deleted_while_it_attaches_leaves_no_consumer() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let spec = stage.spec(&["a"]);
    for n in 0..60 {
        let sensor = sensor(&format!("s{n}"), &spec);
        stage.plane.ensure_sensor(&sensor, &stage.bus);
        tokio::time::sleep(Duration::from_micros(50 * n)).await;
        stage.plane.remove_sensor(&sensor.key);
    }
    // Whatever was under way has ended with its task.
    stage.plane.stop().await;
    stage.consumers(0).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    stage.consumers(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_at_the_moment_when_a_set_has_fired_holds_nothing_up() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let mut fired = 1..;
    for n in 0..40 {
        let mut spec = stage.spec(&["a", "b"]);
        spec["triggers"][0]["template"]["http"]["url"] =
            json!(format!("{}/v{n}", stage.receiver.url));
        stage.run(&spec).await;
        stage.publish("a", n).await;
        stage.publish("b", n).await;
        stage
            .receiver
            .wait_for(fired.next().unwrap_or_default())
            .await;
        // The action ends in this very moment, at another place relative to the change each time.
        tokio::time::sleep(Duration::from_micros(40 * n)).await;
    }
    tokio::time::timeout(PATIENCE, stage.plane.stop())
        .await
        .expect("stopped");
    assert_eq!(stage.receiver.numbers("a"), (0..40).collect::<Vec<u64>>());
    assert_eq!(stage.receiver.numbers("b"), (0..40).collect::<Vec<u64>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_no_key_can_hold_work_too() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let mut spec = stage.spec(&["a", "b"]);
    spec["triggers"][0]["template"]["name"] = json!("größer & besser");
    stage.run(&spec).await;
    stage.publish("a", 1).await;
    stage.publish("b", 1).await;
    stage.receiver.wait_for(1).await;
    stage.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn saved_events_that_cannot_be_read_are_reported() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    // Somebody else's stream has the subjects of the bucket.
    let context = stage.jetstream().await;
    let blocker = async_nats::jetstream::stream::Config {
        name: "blocker".into(),
        subjects: vec!["$KV.s.>".into()],
        ..Default::default()
    };
    context.create_stream(blocker).await.expect("a stream");
    stage.ensure(&stage.spec(&["a", "b"]));
    let problems = || {
        let health = stage.plane.sensor_health(&ObjectKey::new("ns", "s"));
        health.map(|health| health.detached).unwrap_or_default()
    };
    until("the problem is reported", || async {
        problems().contains_key("t/saved events")
    })
    .await;
    context.delete_stream("blocker").await.expect("deleted");
    until("the problem is gone", || async {
        problems() == BTreeMap::new()
    })
    .await;
    stage.publish("a", 1).await;
    stage.publish("b", 1).await;
    stage.receiver.wait_for(1).await;
    stage.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_sensor_leaves_nothing_on_the_bus() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    stage.run(&stage.spec(&["a", "b"])).await;
    stage.publish("a", 1).await;
    let context = stage.jetstream().await;
    until("the event is saved", || async {
        match context.get_key_value("s").await {
            Ok(bucket) => matches!(bucket.get("t/a").await, Ok(Some(_))),
            Err(_) => false,
        }
    })
    .await;
    stage.plane.remove_sensor(&ObjectKey::new("ns", "s"));
    until("the bucket is gone", || async {
        context.get_key_value("s").await.is_err()
    })
    .await;
    stage.consumers(0).await;
}
