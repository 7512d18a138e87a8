//! A real nats-server, a data plane beside it, and a receiver of calls.
#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]

mod event_hub;
mod forge;
mod grpc;
mod kafka;
mod nats;
mod nsq;
mod process;
mod pulsar;
mod receiver;
mod recording;
mod server;
mod ssh;
mod stage;
pub(crate) mod workers;

use std::{collections::BTreeSet, net::TcpListener, sync::Arc, time::Duration};

use events::{
    bus::{Bus, BusConfig, BusState},
    metrics::Metrics,
    sensor::{CheckedSensor, checked::check},
    source::{CheckedSource, Listeners, TaskEvent, files::WatchedFolders, registry},
    trigger::{Executor, secrets::Secrets},
    worker::{DataPlane, Parts},
};
use reconcile_core::{
    clock::Clock,
    egress::EgressPolicy,
    listen::Budget,
    object::ObjectKey,
    operator::{Operator, install_tls},
    reconcile::Queue,
    shards::Authority,
    testkit::FakeApi,
};
use serde_json::{Value, json};

pub(crate) use event_hub::EventHub;
pub(crate) use forge::Forge;
pub(crate) use grpc::{GrpcService, streaming, unary};
pub(crate) use kafka::Kafka;
pub(crate) use nats::{Nats, numbers, sorted_numbers};
pub(crate) use nsq::Nsq;
pub(crate) use process::Process;
use process::lines_of;
pub(crate) use pulsar::{Pulsar, token};
pub(crate) use receiver::{Call, Receiver};
pub(crate) use recording::Recording;
pub(crate) use server::{Certified, Server, certified};
pub(crate) use ssh::Sftp;
pub(crate) use stage::Stage;

/// Longer than anything here should take, even on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A port that is free, and below those that the kernel gives to connections: nobody takes it by chance
/// while a server is unreachable for a moment. An EventSource may name it, which it may not do with those above.
pub(crate) fn free_port() -> u16 {
    (0..1000)
        .map(|_| rand::random_range(10_000..20_000))
        .find(|port| TcpListener::bind(("0.0.0.0", *port)).is_ok())
        .expect("a port")
}

/// Waits until `check` holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(waited.await.is_ok(), "not in time: {what}");
}

/// `settings` with the fields of `more` in the place of its own.
pub(crate) fn with(mut settings: Value, more: &Value) -> Value {
    for (field, value) in more.as_object().expect("an object") {
        settings[field] = value.clone();
    }
    settings
}

/// The EventSource `ns/src` with one event of a source that is registered as `kind`, with its Secrets.
pub(crate) fn source(kind: &str, secrets: &[&str], config: &Value) -> Arc<CheckedSource> {
    let kind = registry::ALL.iter().find(|known| known.key == kind);
    let mut task = TaskEvent::check(kind.expect("a kind"), "event", config).expect("checked");
    task.secrets = secrets.iter().map(|secret| (*secret).into()).collect();
    Arc::new(CheckedSource {
        key: ObjectKey::new("ns", "src"),
        uid: "uid".into(),
        webhooks: Vec::new(),
        tasks: vec![task],
        service: false,
        contested: BTreeSet::new(),
    })
}

/// Why the check of this event refuses it.
pub(crate) fn refusal(kind: &str, config: &Value) -> String {
    let kind = registry::ALL.iter().find(|known| known.key == kind);
    let checked = TaskEvent::check(kind.expect("a kind"), "event", config);
    checked.expect_err("refused").to_string()
}

/// A bus that begins to connect.
pub(crate) async fn bus(config: BusConfig) -> Arc<Bus> {
    install_tls();
    Bus::start("test", config, || {})
        .await
        .expect("settings are good")
}

/// A bus that is connected.
pub(crate) async fn ready(config: BusConfig) -> Arc<Bus> {
    let bus = bus(config).await;
    let ready = tokio::time::timeout(PATIENCE, bus.ready()).await;
    assert!(ready.is_ok(), "not ready: {:?}", *bus.state().borrow());
    bus
}

/// Waits until the bus says why it is not connected, in words that hold `part`.
pub(crate) async fn away(config: BusConfig, part: &str) {
    let bus = bus(config).await;
    let state = bus.state();
    let said = || match &*state.borrow() {
        BusState::Away(why) => why.to_lowercase(),
        BusState::Ready { .. } => String::new(),
    };
    let reported = tokio::time::timeout(PATIENCE, async {
        while !said().contains(part) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(reported.await.is_ok(), "{:?} and not {part}", said());
}

/// Waits until the source reports a problem with `part` in it, and none of the secrets that tests use.
pub(crate) async fn reported(
    plane: &DataPlane,
    source: &Arc<CheckedSource>,
    bus: &Arc<Bus>,
    part: &str,
) {
    until(part, || async {
        let health = plane.ensure_source(source, bus);
        let reason = health.interrupted.get("event").cloned().unwrap_or_default();
        assert!(!reason.contains("s3cret"), "{reason}");
        reason.contains(part)
    })
    .await;
}

/// A data plane that acts against a cluster in memory.
pub(crate) fn plane() -> DataPlane {
    plane_with(Budget::new(1024, 64 << 20))
}

/// As [`plane`], with listeners of this budget.
pub(crate) fn plane_with(budget: Budget) -> DataPlane {
    plane_of(&FakeApi::new(), budget, |_, _| {})
}

/// As [`plane`], against this API and with an executor that `change` prepares.
pub(crate) fn plane_of(
    api: &FakeApi,
    budget: Budget,
    change: impl FnOnce(&Operator, &mut Executor),
) -> DataPlane {
    DataPlane::new(parts_of(api, budget, change))
}

/// As [`plane`], with sources that may watch these folders.
pub(crate) fn plane_watching(folders: WatchedFolders) -> DataPlane {
    let parts = parts_of(&FakeApi::new(), Budget::new(1024, 64 << 20), |_, _| {});
    DataPlane::new(Parts { folders, ..parts })
}

fn parts_of(api: &FakeApi, budget: Budget, change: impl FnOnce(&Operator, &mut Executor)) -> Parts {
    install_tls();
    let client = api.client();
    let clock = Clock::system();
    let operator = Operator::detached(client.clone(), clock.clone());
    let mut executor = Executor::new(&operator, Secrets::new(client));
    change(&operator, &mut executor);
    Parts {
        executor,
        listeners: Listeners::new([], budget),
        metrics: Metrics::register(&operator.registry).expect("a fresh registry"),
        clock,
        config: operator.config.clone(),
        authority: Authority::leader(&operator),
        events: operator.events.clone(),
        source_queue: Queue::new(),
        sensor_queue: Queue::new(),
        has_source: Arc::new(|key| key.namespace == "two"),
        egress: EgressPolicy::of_flag("--allow-link-local", false),
        folders: WatchedFolders::default(),
    }
}

/// A sensor of the namespace `ns` without problems.
pub(crate) fn sensor(name: &str, spec: &Value) -> Arc<CheckedSensor> {
    let (sensor, problems) = check(&ObjectKey::new("ns", name), "uid-1", spec).expect("decodes");
    assert_eq!(problems, events::sensor::checked::Problems::default());
    Arc::new(sensor)
}

/// A dependency on event `name` of source `src`.
pub(crate) fn dependency(name: &str) -> Value {
    json!({"name": name, "eventSourceName": "src", "eventName": name})
}

/// An http trigger that sends `n` of each event under the name of its dependency.
pub(crate) fn http_trigger(name: &str, url: &str, dependencies: &[&str]) -> Value {
    let payload: Vec<Value> = dependencies
        .iter()
        .map(|name| json!({"src": {"dependencyName": name, "dataKey": "n", "useRawData": true}, "dest": name}))
        .collect();
    json!({"template": {"name": name, "http": {"url": url, "payload": payload}}})
}

/// The spec of a sensor with one http trigger `t` for all of these dependencies.
pub(crate) fn spec(url: &str, dependencies: &[&str]) -> Value {
    json!({
        "dependencies": dependencies.iter().map(|name| dependency(name)).collect::<Vec<_>>(),
        "triggers": [http_trigger("t", url, dependencies)],
    })
}

/// Waits until all triggers of a sensor get events.
pub(crate) async fn attached(plane: &DataPlane, name: &str) {
    let key = ObjectKey::new("ns", name);
    until("the sensor is attached", || async {
        plane
            .sensor_health(&key)
            .is_some_and(|health| health.detached.is_empty())
    })
    .await;
}

/// Publishes event `name` of source `src` with payload `{"n": n}`.
pub(crate) async fn publish(bus: &Bus, name: &str, n: u64) {
    let now = Clock::system().now();
    let body = format!("{{\"n\":{n}}}");
    let event = events::event::CloudEvent::new(
        format!("{name}-{n}"),
        "src",
        "test",
        name,
        now,
        body.into(),
    );
    bus.publish(&format!("default.src.{name}"), &event.id, event.encode())
        .await
        .expect("stored");
}
