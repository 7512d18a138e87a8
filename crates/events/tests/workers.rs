//! Processes that share Sensors by shards: one is killed, one joins, one stops, and every event is acted upon.

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    time::Duration,
};

use reconcile_core::testkit::FakeApi;
use tokio_util::sync::CancellationToken;

use support::{
    Nats, Receiver, publish, spec, until,
    workers::{Worker, api_with_bus, argo, is_deployed, shared_by, write_kubeconfig},
};

const SENSORS: usize = 6;
/// First number of the events while nobody dies.
const FLOW: u64 = 1000;

fn deployed(api: &FakeApi) -> bool {
    (0..SENSORS).all(|n| is_deployed(api, &format!("s{n}")))
}

/// The numbers that each Sensor sent, in the order of the calls.
fn numbers(receiver: &Receiver) -> BTreeMap<String, Vec<u64>> {
    let mut all: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for call in receiver.calls.lock().iter() {
        let number = call.body["a"].as_u64().expect("a number");
        all.entry(call.path.clone()).or_default().push(number);
    }
    all
}

/// Whether every Sensor has sent every one of these numbers.
fn complete(receiver: &Receiver, wanted: Range<u64>) -> bool {
    let wanted: BTreeSet<u64> = wanted.collect();
    let all = numbers(receiver);
    all.len() == SENSORS
        && all
            .values()
            .all(|numbers| numbers.iter().copied().collect::<BTreeSet<_>>() == wanted)
}

/// A cluster with a bus and Sensors that send to the receiver.
fn cluster(url: &str, receiver: &Receiver) -> FakeApi {
    let api = api_with_bus(url);
    for n in 0..SENSORS {
        let mut spec = spec(&format!("{}/s{n}", receiver.url), &["a"]);
        spec["triggers"][0]["atLeastOnce"] = true.into();
        api.put(&argo("Sensor", &format!("s{n}"), &spec));
    }
    api
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_acted_upon_while_workers_are_killed_join_and_stop() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let receiver = Receiver::start().await;
    let api = cluster(&nats.config().urls[0], &receiver);
    let server = api.listen().await.expect("a port");
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = folder.path().join("kubeconfig");
    write_kubeconfig(&kubeconfig, &server.url);

    let first = Worker::start("controller", &kubeconfig);
    let second = Worker::start("worker", &kubeconfig);
    until("two processes share", || async { shared_by(&api, 2) }).await;
    until("all Sensors run", || async { deployed(&api) }).await;
    let bus = nats.bus().await;

    for n in 0..150 {
        publish(&bus, "a", n).await;
        if n == 75 {
            second.signal("-KILL");
        }
    }
    until("the shards of the dead process are taken", || async {
        shared_by(&api, 1)
    })
    .await;
    until("150 events each", || async { complete(&receiver, 0..150) }).await;
    let repeated: usize = numbers(&receiver)
        .values()
        .map(|numbers| numbers.len() - 150)
        .sum();
    // Each trigger of the dead process had one action under way.
    assert!(repeated <= SENSORS, "{repeated} actions repeated");

    // From here on nobody dies: neither lost nor repeated.
    receiver.calls.lock().clear();
    let third = Worker::start("worker", &kubeconfig);
    let quiet = CancellationToken::new();
    let flow = tokio::spawn({
        let (bus, quiet) = (bus.clone(), quiet.clone());
        async move {
            // Numbers of their own: the bus knows the ids of those before.
            let mut n = FLOW;
            while !quiet.is_cancelled() {
                publish(&bus, "a", n).await;
                n += 1;
                // A machine that hands over slowly gets fewer events, so that it can act upon all of them in time.
                let pause = if n - FLOW < 500 { 10 } else { 200 };
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            n
        }
    });
    until("the new process has its share", || async {
        shared_by(&api, 2)
    })
    .await;
    first.signal("-TERM");
    until("its shards are handed over", || async {
        shared_by(&api, 1)
    })
    .await;
    quiet.cancel();
    let count = flow.await.expect("published");
    until("all events of the flow", || async {
        complete(&receiver, FLOW..count)
    })
    .await;
    let wanted: Vec<u64> = (FLOW..count).collect();
    for (sensor, numbers) in numbers(&receiver) {
        assert_eq!(numbers, wanted, "{sensor}");
    }
    drop(third);
}
