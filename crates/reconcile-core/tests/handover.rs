//! Passes that do not end do not hold up a shard for ever.
#![cfg(feature = "testkit")]

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::core::NamespaceResourceScope;
use parking_lot::Mutex;
use reconcile_core::{
    clock::Clock,
    error::{Classify, ErrorClass},
    lease::Timing,
    object::{Kind, Root},
    operator::Operator,
    reconcile::{Controller, Done, Driver, DriverConfig, Plan, Report},
    shards::{Authority, ShardConfig},
    testkit::{FakeApi, FakeKind},
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(120);
const OBJECTS: usize = 8;

struct Valve;

impl Kind for Valve {
    const GROUP: &'static str = "test.example";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Valve";
    const PLURAL: &'static str = "valves";
    type Scope = NamespaceResourceScope;
    type Spec = Value;
    type Status = Value;
}

#[derive(Clone, Debug, PartialEq)]
struct Turn;

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("turn")
    }
}

#[derive(Debug, thiserror::Error)]
#[error("never")]
struct Never;

impl Classify for Never {
    fn class(&self) -> ErrorClass {
        ErrorClass::Bug
    }
}

/// Objects whose pass is under way.
type UnderWay = Arc<Mutex<BTreeSet<String>>>;

/// Begins a pass over each object, which never ends.
struct Valves(UnderWay);

/// A pass until it is dropped.
struct Pass(UnderWay, String);

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

impl Controller for Valves {
    type Kind = Valve;
    type Observed = String;
    type Action = Turn;
    type Decision = Plan<Turn>;
    type Applied = ();
    type Error = Never;

    const NAME: &'static str = "valve";

    async fn observe(&self, root: &Root<Valve>) -> Result<String, Never> {
        Ok(root.key().name)
    }

    fn plan(_: &String, _: Timestamp) -> Plan<Turn> {
        let mut plan = Plan::new();
        plan.act(Turn);
        plan
    }

    async fn apply(&self, name: &String, _: &Turn) -> Result<(), Never> {
        self.0.lock().insert(name.clone());
        let _pass = Pass(self.0.clone(), name.clone());
        std::future::pending().await
    }

    fn report(_: &String, _: &Plan<Turn>, _: &[Done<(), Never>], _: Timestamp) -> Report {
        Report::default()
    }
}

/// A process of a pool of two shards; the objects that it works on.
fn start(api: &FakeApi, identity: &str) -> UnderWay {
    let clock = Clock::running("2026-01-01T00:00:00Z".parse().expect("a time"));
    let operator =
        Operator::detached_candidate(api.client(), clock, identity.into(), Timing::default());
    let pool = ShardConfig {
        prefix: "pool".to_owned(),
        count: 2,
        weigh: None,
        role: None,
    };
    let config = DriverConfig {
        authority: Some(Authority::start(&operator, Some(pool)).expect("a pool")),
        // The end of a pass is not what ends them here.
        pass_deadline: Duration::from_secs(24 * 3600),
        ..DriverConfig::default()
    };
    let under_way = UnderWay::default();
    let driver = Driver::new(Valves(under_way.clone()), &operator, config);
    let ready = operator.readiness.register("valves");
    let watch = driver.watch_roots(operator.api(None)).ready(ready);
    operator.spawn("valves", watch.run());
    operator.spawn_drained(driver.run());
    // The leader of these processes is of no interest.
    tokio::spawn(async move { drop(operator.run().await) });
    under_way
}

async fn until(reached: impl Fn() -> bool) {
    let wait = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    assert!(waited.is_ok(), "not in time");
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_does_not_end_is_dropped_with_its_shard() {
    let api = FakeApi::new().with_kind(FakeKind::new("test.example", "v1", "Valve", "valves"));
    for n in 0..OBJECTS {
        api.put(&json!({
            "apiVersion": "test.example/v1", "kind": "Valve",
            "metadata": {"name": format!("valve-{n}"), "namespace": "ns"}, "spec": {},
        }));
    }
    let first = start(&api, "first");
    until(|| first.lock().len() == OBJECTS).await;
    let second = start(&api, "second");
    until(|| !second.lock().is_empty() && first.lock().len() + second.lock().len() == OBJECTS)
        .await;
    assert!(!first.lock().is_empty(), "the other shard stays");
    assert!(first.lock().is_disjoint(&second.lock()));
}
