//! Names on the bus: those of upstream, and those of two objects that collide.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_upstream_has_saved_counts() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let bucket = async_nats::jetstream::kv::Config {
        bucket: "s".into(),
        history: 1,
        ..Default::default()
    };
    let store = stage.jetstream().await.create_key_value(bucket).await;
    let store = store.expect("a bucket");
    let now = Clock::system().now();
    let event = CloudEvent::new("7".into(), "src", "test", "a", now, r#"{"n":7}"#.into());
    let event: serde_json::Value = serde_json::from_slice(&event.encode()).expect("JSON");
    let saved =
        json!({"StreamSeq": 0, "ConsumerSeq": 1, "Timestamp": now.to_string(), "Event": event});
    for (key, value) in [
        ("t/Expression", "(a && b)".to_owned()),
        ("t/a", saved.to_string()),
    ] {
        store.put(key, value.into()).await.expect("put");
    }
    stage.run(&stage.spec(&["a", "b"])).await;
    stage.publish("b", 8).await;
    stage.receiver.wait_for(1).await;
    stage.plane.stop().await;
    assert_eq!(stage.receiver.calls.lock()[0].body, json!({"a": 7, "b": 8}));
}

#[tokio::test(flavor = "multi_thread")]
async fn sensors_whose_consumers_have_the_same_upstream_name_get_all_events_each() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let run = async |namespace: &str, name: &str, trigger: &str| {
        let mut spec = stage.spec(&["a"]);
        spec["triggers"][0]["template"]["name"] = json!(trigger);
        spec["triggers"][0]["template"]["http"]["url"] =
            json!(format!("{}/{namespace}/{name}", stage.receiver.url));
        let mut sensor = (*sensor(name, &spec)).clone();
        sensor.key.namespace = namespace.into();
        sensor.uid = format!("{namespace}-{name}");
        let key = sensor.key.clone();
        stage.plane.ensure_sensor(&Arc::new(sensor), &stage.bus);
        until("attached", || async {
            let health = stage.plane.sensor_health(&key);
            health.is_some_and(|health| health.detached.is_empty())
        })
        .await;
        key
    };
    run("ns", "col", "a-b").await;
    run("ns", "col-a", "b").await;
    let other = run("other", "col", "a-b").await;
    for n in 0..20 {
        stage.publish("a", n).await;
    }
    stage.receiver.wait_for(60).await;
    let got = |path: &str| {
        let calls = stage.receiver.calls.lock();
        calls.iter().filter(|call| call.path == path).count()
    };
    assert_eq!(
        ["/ns/col", "/ns/col-a", "/other/col"].map(got),
        [20, 20, 20]
    );
    // Deleting one leaves the others attached.
    stage.plane.remove_sensor(&other);
    stage.consumers(2).await;
    stage.publish("a", 20).await;
    until("both get the next one", || async {
        got("/ns/col") == 21 && got("/ns/col-a") == 21
    })
    .await;
    stage.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sensors_of_two_namespaces_keep_their_saved_events_apart() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    for namespace in ["one", "two"] {
        let path = format!("{}/{namespace}", stage.receiver.url);
        let mut spec = stage.spec(&["a", "b"]);
        spec["triggers"][0]["template"]["http"]["url"] = json!(path);
        let mut sensor = (*sensor("s", &spec)).clone();
        sensor.key.namespace = namespace.into();
        sensor.uid = namespace.into();
        let key = sensor.key.clone();
        stage.plane.ensure_sensor(&Arc::new(sensor), &stage.bus);
        until("attached", || async {
            let health = stage.plane.sensor_health(&key);
            health.is_some_and(|health| health.detached.is_empty())
        })
        .await;
    }
    for n in 0..5 {
        stage.publish("a", n).await;
        stage.publish("b", n).await;
    }
    stage.receiver.wait_for(10).await;
    stage.plane.stop().await;
    let mut pairs: Vec<_> = {
        let calls = stage.receiver.calls.lock();
        let pair = |call: &support::Call| {
            (
                call.path.clone(),
                call.body["a"].clone(),
                call.body["b"].clone(),
            )
        };
        calls.iter().map(pair).collect()
    };
    pairs.sort_by_key(|(path, a, _)| (path.clone(), a.as_u64()));
    let expected = ["/one", "/two"]
        .into_iter()
        .flat_map(|path| (0..5).map(move |n| (path.to_owned(), json!(n), json!(n))));
    assert_eq!(pairs, expected.collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_another_namespace_do_not_count_beside_an_own_source() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    // Namespace `two` has an EventSource `src` of its own, and `one` has none.
    for namespace in ["one", "two"] {
        let path = format!("{}/{namespace}", stage.receiver.url);
        let mut spec = stage.spec(&["a"]);
        spec["triggers"][0]["template"]["http"]["url"] = json!(path);
        let mut sensor = (*sensor("s", &spec)).clone();
        sensor.key.namespace = namespace.into();
        let key = sensor.key.clone();
        stage.plane.ensure_sensor(&Arc::new(sensor), &stage.bus);
        until("attached", || async {
            let health = stage.plane.sensor_health(&key);
            health.is_some_and(|health| health.detached.is_empty())
        })
        .await;
    }
    for (n, namespace) in [(1, Some("three")), (2, Some("two")), (3, None)] {
        let mut headers = async_nats::HeaderMap::new();
        if let Some(namespace) = namespace {
            headers.insert(events::bus::NAMESPACE, namespace);
        }
        let now = Clock::system().now();
        let data = format!("{{\"n\":{n}}}").into();
        let event = CloudEvent::new(n.to_string(), "src", "test", "a", now, data);
        stage
            .bus
            .publish_with("default.src.a", &event.id, event.encode(), headers)
            .await
            .expect("stored");
    }
    stage.receiver.wait_for(5).await;
    stage.plane.stop().await;
    let mut got: Vec<_> = {
        let calls = stage.receiver.calls.lock();
        let seen = |call: &support::Call| (call.path.clone(), call.body["a"].as_u64());
        calls.iter().map(seen).collect()
    };
    got.sort();
    let expected = [
        ("/one", 1),
        ("/one", 2),
        ("/one", 3),
        ("/two", 2),
        ("/two", 3),
    ];
    assert_eq!(got, expected.map(|(path, n)| (path.to_owned(), Some(n))));
}
