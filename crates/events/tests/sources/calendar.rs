//! Ticks of calendars.

use super::*;

#[test]
fn ticks_are_neither_lost_nor_doubled_over_a_crash() {
    let check = tokio::runtime::Runtime::new().expect("a runtime");
    let Some(nats) = check.block_on(Nats::start()) else {
        return;
    };
    let source = source("src", vec![], vec![calendar("tick")]);
    let process = |crash: bool, ticks: u64| {
        let process = tokio::runtime::Runtime::new().expect("a runtime");
        process.block_on(async {
            let (bus, plane) = (nats.bus().await, plane());
            assert!(run(&plane, &bus, &source).is_empty());
            until("ticks", || async { nats.count().await >= ticks }).await;
            if !crash {
                plane.stop().await;
            }
        });
        process.shutdown_background();
    };
    process(true, 4);
    std::thread::sleep(Duration::from_millis(900));
    process(true, 12);
    process(false, 16);
    let times: Vec<jiff::Timestamp> = check
        .block_on(nats.stored())
        .iter()
        .map(|event| {
            let payload: Value = serde_json::from_slice(&event.data).expect("JSON");
            assert_eq!(payload["metadata"]["k"], "v");
            let text = payload["eventTime"]
                .as_str()
                .expect("text")
                .replace(" +0000 UTC", "Z");
            text.parse().expect("a time")
        })
        .collect();
    for pair in times.windows(2) {
        assert_eq!(
            pair[1].duration_since(pair[0]),
            SignedDuration::from_millis(200),
            "{times:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_of_two_namespaces_remember_their_ticks_apart() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    for namespace in ["one", "two"] {
        let mut source = (*source("src", vec![], vec![calendar("tick:1")])).clone();
        source.key = ObjectKey::new(namespace, "src");
        source.uid = namespace.to_owned();
        assert!(run(&stage.plane, &stage.bus, &Arc::new(source)).is_empty());
    }
    let context = stage.jetstream().await;
    for key in ["one/src/tick=3A1", "two/src/tick=3A1"] {
        until(key, || async {
            match context.get_key_value("_ticks").await {
                Ok(bucket) => matches!(bucket.get(key).await, Ok(Some(_))),
                Err(_) => false,
            }
        })
        .await;
    }
    until("ticks", || async { stage.nats.count().await >= 4 }).await;
    stage.plane.stop().await;
}
