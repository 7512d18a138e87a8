//! Servers that stop, and processes that are killed.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_loses_nothing_and_doubles_nothing() {
    let Some(mut stage) = Stage::start().await else {
        return;
    };
    stage.run(&stage.spec(&["a"])).await;
    for n in 0..50 {
        stage.publish("a", n).await;
    }
    stage.nats.down();
    let mut state = stage.bus.state();
    tokio::time::timeout(
        PATIENCE,
        state.wait_for(|state| matches!(state, BusState::Away(_))),
    )
    .await
    .expect("noticed")
    .expect("the bus lives");
    let waiting = tokio::spawn({
        let bus = stage.bus.clone();
        async move {
            for n in 50..100 {
                publish(&bus, "a", n).await;
            }
        }
    });
    stage.nats.up().await;
    waiting.await.expect("published");
    stage.receiver.wait_for(100).await;
    stage.plane.stop().await;
    assert_eq!(stage.receiver.sorted("a"), (0..100).collect::<Vec<u64>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_comes_back_empty_loses_nothing_that_it_acknowledges_then() {
    let Some(mut stage) = Stage::start().await else {
        return;
    };
    stage.run(&stage.spec(&["a"])).await;
    for n in 0..20 {
        stage.publish("a", n).await;
    }
    stage.receiver.wait_for(20).await;
    let BusState::Ready { stream: first } = *stage.bus.state().borrow() else {
        unreachable!("the bus was used a moment ago");
    };
    stage.nats.lose_everything();
    stage.nats.up().await;
    let mut state = stage.bus.state();
    let another =
        |state: &BusState| matches!(state, BusState::Ready { stream } if *stream != first);
    tokio::time::timeout(PATIENCE, state.wait_for(another))
        .await
        .expect("noticed")
        .expect("the bus lives");
    // At once, whether the sensor is attached again or not.
    for n in 100..200 {
        stage.publish("a", n).await;
    }
    stage.receiver.wait_for(120).await;
    stage.plane.stop().await;
    let expected: Vec<u64> = (0..20).chain(100..200).collect();
    assert_eq!(stage.receiver.sorted("a"), expected);
}

#[test]
fn a_crash_loop_repeats_no_more_than_what_was_under_way() {
    let check = tokio::runtime::Runtime::new().expect("a runtime");
    let Some(nats) = check.block_on(Nats::start()) else {
        return;
    };
    let receiver = check.block_on(Receiver::start());
    let mut spec = support::spec(&receiver.url, &["a"]);
    spec["triggers"][0]["atLeastOnce"] = json!(true);
    let sensor = sensor("s", &spec);
    let publisher = check.block_on(nats.bus());
    for round in 0..4 {
        // A runtime of its own, dropped without any farewell.
        let process = tokio::runtime::Runtime::new().expect("a runtime");
        process.block_on(async {
            let (bus, plane) = (nats.bus().await, plane());
            plane.ensure_sensor(&sensor, &bus);
            attached(&plane, "s").await;
            *receiver.delay.lock() = Duration::from_millis(if round < 3 { 10 } else { 0 });
            if round == 0 {
                for n in 0..60 {
                    publish(&publisher, "a", n).await;
                }
            }
            let before = receiver.count();
            if round < 3 {
                receiver.wait_for(before + 10).await;
            } else {
                until("all events", || async {
                    receiver.numbers("a").contains(&59)
                })
                .await;
                plane.stop().await;
            }
        });
        process.shutdown_background();
    }
    let calls = receiver.numbers("a");
    let distinct: BTreeSet<u64> = calls.iter().copied().collect();
    assert_eq!(distinct, (0..60).collect());
    // Each of the three crashes interrupts one action; its acknowledgement may be lost with one more.
    assert!(
        calls.len() <= 60 + 2 * 3,
        "{} calls: {calls:?}",
        calls.len()
    );
}
