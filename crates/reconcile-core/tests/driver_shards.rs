//! The driver over objects that processes share by shards: each object has passes where its shard is held, and nowhere
//! else.
#![cfg(feature = "testkit")]

use std::{collections::BTreeSet, convert::Infallible, sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::{Api, core::NamespaceResourceScope};
use parking_lot::Mutex;
use reconcile_core::{
    clock::Clock,
    lease::Timing,
    object::{FieldError, Kind, ObjectKey, Root},
    operator::Operator,
    reconcile::{Controller, Done, Driver, DriverConfig, Plan, Report},
    shards::{Authority, ShardConfig, Shards, shard_of},
    testkit::{FakeApi, FakeKind},
};
use serde_json::{Value, json};

const SHARDS: u32 = 4;
const LAMPS: usize = 24;
/// Longest wait for something that must happen, in the time of the runtime.
const PATIENCE: Duration = Duration::from_secs(120);

struct LampKind;

impl Kind for LampKind {
    const GROUP: &'static str = "test.example";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Lamp";
    const PLURAL: &'static str = "lamps";
    type Scope = NamespaceResourceScope;
    type Spec = Value;
    type Status = Value;
}

type Keys = Arc<Mutex<BTreeSet<String>>>;

/// Writes the name of its process into the status.
struct Lamps {
    process: &'static str,
    passes: Keys,
    let_go: Keys,
}

struct Seen {
    process: &'static str,
    status: Value,
}

impl Controller for Lamps {
    type Kind = LampKind;
    type Observed = Seen;
    type Action = Infallible;
    type Decision = Plan<Infallible>;
    type Applied = ();
    type Error = FieldError;
    const NAME: &'static str = "lamp";

    async fn observe(&self, root: &Root<LampKind>) -> Result<Seen, FieldError> {
        self.passes.lock().insert(root.key().name);
        Ok(Seen {
            process: self.process,
            status: root.status_value(),
        })
    }

    fn plan(_: &Seen, _: Timestamp) -> Plan<Infallible> {
        Plan::new()
    }

    async fn apply(&self, _: &Seen, action: &Infallible) -> Result<(), FieldError> {
        match *action {}
    }

    fn report(
        seen: &Seen,
        _: &Plan<Infallible>,
        _: &[Done<(), FieldError>],
        _: Timestamp,
    ) -> Report {
        let mut report = Report::default();
        report.status(&seen.status, &json!({"by": seen.process}));
        report
    }

    fn let_go(&self, key: &ObjectKey) {
        self.let_go.lock().insert(key.name.clone());
    }
}

struct Process {
    shards: Shards,
    passes: Keys,
    let_go: Keys,
}

impl Process {
    fn start(api: &FakeApi, name: &'static str) -> Self {
        let clock = Clock::running("2026-01-01T00:00:00Z".parse().expect("a time"));
        let operator =
            Operator::detached_candidate(api.client(), clock, name.into(), Timing::default());
        let config = ShardConfig {
            prefix: "pool".to_owned(),
            count: SHARDS,
            weigh: None,
            role: None,
        };
        let shards = Shards::start(&operator, config).expect("a pool");
        let (passes, let_go) = (Keys::default(), Keys::default());
        let lamps = Lamps {
            process: name,
            passes: passes.clone(),
            let_go: let_go.clone(),
        };
        let config = DriverConfig {
            authority: Some(Authority::Shards(shards.clone())),
            ..DriverConfig::default()
        };
        let driver = Driver::new(lamps, &operator, config);
        operator.spawn("lamps", driver.watch_roots(Api::all(api.client())).run());
        operator.spawn_drained(driver.run());
        tokio::spawn(async move { drop(operator.run().await) });
        Self {
            shards,
            passes,
            let_go,
        }
    }

    /// The lamps of its shards.
    fn share(&self) -> BTreeSet<String> {
        let held = self.shards.held();
        let all = (0..LAMPS).map(name);
        all.filter(|name| held.contains(&shard_of(&ObjectKey::new("room", name.clone()), SHARDS)))
            .collect()
    }
}

fn name(n: usize) -> String {
    format!("lamp-{n}")
}

/// The lamps whose status this process wrote last.
fn written_by(api: &FakeApi, process: &str) -> BTreeSet<String> {
    let lamps = (0..LAMPS).map(name);
    lamps
        .filter(|name| {
            let lamp = api.get("lamps", "room", name).unwrap_or_default();
            lamp["status"]["by"] == process
        })
        .collect()
}

async fn until(what: &str, reached: impl Fn() -> bool) {
    let reached = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let reached = tokio::time::timeout(PATIENCE, reached).await;
    assert!(reached.is_ok(), "not in time: {what}");
}

#[tokio::test(start_paused = true)]
async fn objects_have_passes_where_their_shard_is_held_and_are_let_go_with_it() {
    let api = FakeApi::new().with_kind(FakeKind::new("test.example", "v1", "Lamp", "lamps"));
    for n in 0..LAMPS {
        api.put(&json!({
            "apiVersion": "test.example/v1", "kind": "Lamp",
            "metadata": {"name": name(n), "namespace": "room"}, "spec": {},
        }));
    }
    let first = Process::start(&api, "first");
    until("the first has all", || {
        written_by(&api, "first").len() == LAMPS
    })
    .await;
    assert_eq!(*first.let_go.lock(), BTreeSet::new());

    let second = Process::start(&api, "second");
    until("the second has its half", || {
        second.shards.held().len() == 2
    })
    .await;
    let (ours, theirs) = (first.share(), second.share());
    assert_eq!(ours.len() + theirs.len(), LAMPS);
    until("the second has written its share", || {
        written_by(&api, "second") == theirs
    })
    .await;
    assert_eq!(
        *first.let_go.lock(),
        theirs,
        "what goes is let go, and nothing else"
    );
    assert_eq!(
        *second.passes.lock(),
        theirs,
        "no pass over what the first holds"
    );

    // A change is seen by both and reaches the one that holds the shard.
    for name in ours.iter().chain(&theirs) {
        api.edit("lamps", "room", name, |lamp| lamp["status"] = Value::Null);
    }
    until("both have written again", || {
        written_by(&api, "first") == ours && written_by(&api, "second") == theirs
    })
    .await;
    assert_eq!(*second.passes.lock(), theirs);
}
