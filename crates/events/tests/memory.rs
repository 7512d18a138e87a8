//! How much of a stream a Sensor takes into memory.

mod support;

use std::sync::atomic::Ordering::SeqCst;

use async_nats::jetstream::consumer::pull;
use events::event::CloudEvent;
use reconcile_core::clock::Clock;

use support::{Stage, until};

/// Bytes of an event, and how many there are: far more than a trigger may hold.
const SIZE: usize = 700_000;
const COUNT: usize = 40;
/// What a trigger holds, and what one or two requests to the server may bring beside it, in events.
const MOST: usize = (4 << 20) / SIZE + 3 * (2 << 20) / SIZE + 1;

#[tokio::test(flavor = "multi_thread")]
async fn large_events_stay_on_the_bus_until_there_is_room_and_each_is_acted_on_once() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let mut spec = stage.spec(&["a"]);
    spec["triggers"][0]["atLeastOnce"] = true.into();
    stage.run(&spec).await;
    *stage.receiver.delay.lock() = std::time::Duration::from_millis(50);
    for n in 0..COUNT {
        let body = format!(r#"{{"n":{n},"padding":"{}"}}"#, "x".repeat(SIZE));
        let now = Clock::system().now();
        let event = CloudEvent::new(format!("{n}"), "src", "test", "a", now, body.into());
        let published = stage
            .bus
            .publish("default.src.a", &event.id, event.encode())
            .await;
        published.expect("stored");
    }
    let stream = stage.jetstream().await.get_stream("default").await;
    let stream = stream.expect("a stream");
    let name = events::bus::durable("s", "t", "a");
    let most = std::sync::atomic::AtomicUsize::new(0);
    until("all events", || async {
        let consumer = stream.get_consumer::<pull::Config>(&name).await;
        let consumer = consumer.expect("the consumer of the trigger");
        most.fetch_max(consumer.cached_info().num_ack_pending, SeqCst);
        stage.receiver.count() >= COUNT
    })
    .await;
    let most = most.into_inner();
    assert!(most <= MOST, "{most} of {COUNT} events were in memory");
    stage.plane.stop().await;
    let all: Vec<u64> = (0..).take(COUNT).collect();
    assert_eq!(stage.receiver.numbers("a"), all);
}
