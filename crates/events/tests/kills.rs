//! Numbered events while processes and the bus are killed again and again: every one is acted upon, and what is repeated
//! has the idempotency key of the first time. `make kills EVENTS=100000` counts more of them.

mod support;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    time::Duration,
};

use events::{bus::Bus, event::CloudEvent};
use futures::StreamExt as _;
use reconcile_core::clock::Clock;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use support::{
    Nats, PATIENCE, Receiver, spec, until,
    workers::{Worker, api_with_bus, argo, is_deployed, shared_by, write_kubeconfig},
};

/// Events when nothing else is asked for.
const EVENTS: u64 = 3_000;
/// Events under way to the bus.
const UNDER_WAY: usize = 32;
/// Between two kills, and between the last one and the next event.
const PAUSE: Duration = Duration::from_millis(1_500);
/// The Sensors: one whose actions are in order, one whose are not.
const SENSORS: [(&str, bool); 2] = [("ordered", true), ("parallel", false)];

/// What kills and starts again.
struct Victims {
    nats: Nats,
    workers: BTreeMap<&'static str, Worker>,
    kubeconfig: PathBuf,
}

impl Victims {
    fn new(nats: Nats, kubeconfig: &Path) -> Self {
        let workers = ["a", "b"].map(|pod| (pod, Worker::start_in_pod(pod, kubeconfig)));
        Self {
            nats,
            workers: workers.into(),
            kubeconfig: kubeconfig.to_owned(),
        }
    }

    /// Kills one process after the other, the bus among them, until it is enough. Returns how many were killed.
    async fn kill_in_turn(&mut self, enough: &CancellationToken) -> usize {
        let mut kills = 0;
        for victim in ["a", "bus", "b"].into_iter().cycle() {
            let pause = tokio::time::sleep(PAUSE);
            if enough.run_until_cancelled(pause).await.is_none() {
                break;
            }
            kills += 1;
            if victim == "bus" {
                self.nats.down();
                self.nats.up().await;
            } else if let Some(worker) = self.workers.remove(victim) {
                worker.signal("-KILL");
                drop(worker);
                let worker = Worker::start_in_pod(victim, &self.kubeconfig);
                self.workers.insert(victim, worker);
            }
        }
        kills
    }
}

/// Stores an event, however often the bus is killed in the meantime. Its id is the same each time.
async fn stored(bus: &Bus, n: u64) {
    let event = CloudEvent::new(
        format!("n-{n}"),
        "src",
        "test",
        "a",
        Clock::system().now(),
        format!("{{\"n\":{n}}}").into(),
    );
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = bus
        .publish("default.src.a", &event.id, event.encode())
        .await
    {
        assert!(Instant::now() < deadline, "event {n}: {error}");
    }
}

/// What the target knows of one Sensor.
#[derive(Default)]
struct Received {
    /// Idempotency keys by number.
    keys: HashMap<u64, BTreeSet<String>>,
    calls: usize,
}

fn received(receiver: &Receiver, sensor: &str) -> Received {
    let mut found = Received::default();
    let path = format!("/{sensor}");
    for call in receiver
        .calls
        .lock()
        .iter()
        .filter(|call| call.path == path)
    {
        let number = call.body["a"].as_u64().expect("a number");
        found
            .keys
            .entry(number)
            .or_default()
            .insert(call.key.clone());
        found.calls += 1;
    }
    found
}

/// Waits until both Sensors have acted upon all events; fails when nothing arrives any more.
async fn complete(receiver: &Receiver, events: usize) {
    let (mut calls, mut since) = (0, Instant::now());
    loop {
        let counts = SENSORS.map(|(sensor, _)| received(receiver, sensor).keys.len());
        if counts.iter().all(|count| *count == events) {
            return;
        }
        if receiver.count() != calls {
            (calls, since) = (receiver.count(), Instant::now());
        }
        assert!(
            since.elapsed() < PATIENCE,
            "{counts:?} of {events} events arrived"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the count is for a person to read")]
async fn no_event_is_lost_while_processes_and_the_bus_are_killed() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let events = std::env::var("EVENTS").ok();
    let events = events.map_or(EVENTS, |count| count.parse().expect("EVENTS is a number"));
    let receiver = Receiver::start().await;
    let api = api_with_bus(&nats.config().urls[0]);
    for (name, ordered) in SENSORS {
        let mut spec = spec(&format!("{}/{name}", receiver.url), &["a"]);
        spec["triggers"][0]["atLeastOnce"] = ordered.into();
        spec["triggers"][0]["retryStrategy"] = serde_json::json!({"steps": 10, "duration": "1s"});
        api.put(&argo("Sensor", name, &spec));
    }
    let server = api.listen().await.expect("a port");
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = folder.path().join("kubeconfig");
    write_kubeconfig(&kubeconfig, &server.url);

    let controller = Worker::start("controller", &kubeconfig);
    let bus = nats.bus().await;
    let mut victims = Victims::new(nats, &kubeconfig);
    until("three processes share", || async { shared_by(&api, 3) }).await;
    until("both Sensors run", || async {
        SENSORS.iter().all(|(sensor, _)| is_deployed(&api, sensor))
    })
    .await;
    stored(&bus, 0).await;
    until("the first event arrives", || async {
        SENSORS
            .iter()
            .all(|(sensor, _)| received(&receiver, sensor).calls > 0)
    })
    .await;

    let enough = CancellationToken::new();
    let flow = async {
        let all = futures::stream::iter(1..events).map(|n| stored(&bus, n));
        all.buffered(UNDER_WAY).for_each(|()| async {}).await;
        complete(&receiver, usize::try_from(events).expect("a count")).await;
        enough.cancel();
    };
    let ((), kills) = tokio::join!(flow, victims.kill_in_turn(&enough));
    drop(controller);

    assert!(kills > 0, "nothing was killed");
    for (sensor, _) in SENSORS {
        let received = received(&receiver, sensor);
        let doubled = received.keys.values().filter(|keys| keys.len() != 1);
        assert_eq!(doubled.count(), 0, "{sensor}: events with two keys");
        let repeated = received.calls - received.keys.len();
        println!(
            "{sensor}: {events} events, {kills} kills, 0 lost, {repeated} calls repeated with the key of the first"
        );
    }
}
