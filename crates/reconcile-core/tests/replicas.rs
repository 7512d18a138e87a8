//! What a replica does that does not lead: local actions and nothing else.
#![cfg(feature = "testkit")]

use std::{fmt, sync::Arc, time::Duration};

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
    testkit::{FakeApi, FakeKind},
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);

struct GateKind;

impl Kind for GateKind {
    const GROUP: &'static str = "test.example";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Gate";
    const PLURAL: &'static str = "gates";
    type Scope = NamespaceResourceScope;
    type Spec = Value;
    type Status = Value;
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    Announce,
    Serve,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
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

/// Writes down what it is asked to do.
struct Gates(Arc<Mutex<Vec<Action>>>);

impl Controller for Gates {
    type Kind = GateKind;
    type Observed = ();
    type Action = Action;
    type Decision = Plan<Action>;
    type Applied = ();
    type Error = Never;

    const NAME: &'static str = "gate";
    const EVERY_REPLICA: bool = true;

    async fn observe(&self, _: &Root<GateKind>) -> Result<(), Never> {
        Ok(())
    }

    fn plan((): &(), _: Timestamp) -> Plan<Action> {
        let mut plan = Plan::new();
        plan.act(Action::Announce);
        plan.act(Action::Serve);
        plan
    }

    fn is_local(action: &Action) -> bool {
        *action == Action::Serve
    }

    async fn apply(&self, (): &(), action: &Action) -> Result<(), Never> {
        self.0.lock().push(action.clone());
        Ok(())
    }

    fn report((): &(), _: &Plan<Action>, _: &[Done<(), Never>], _: Timestamp) -> Report {
        let mut report = Report::default();
        report.status(&json!({}), &json!({ "served": true }));
        report
    }
}

#[tokio::test]
async fn a_replica_serves_without_the_lease_and_writes_once_it_leads() {
    let api = FakeApi::new().with_kind(FakeKind::new("test.example", "v1", "Gate", "gates"));
    api.put(&json!({
        "apiVersion": "test.example/v1", "kind": "Gate",
        "metadata": {"name": "a", "namespace": "ns"}, "spec": {},
    }));
    api.put(&json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "leader", "namespace": "default"},
        "spec": {"holderIdentity": "other", "leaseDurationSeconds": 3600},
    }));
    let operator = Operator::detached_candidate(
        api.client(),
        Clock::system(),
        "us".into(),
        Timing {
            retry_period: Duration::from_millis(20),
            ..Timing::default()
        },
    );
    let done = Arc::new(Mutex::new(Vec::new()));
    let driver = Driver::new(Gates(done.clone()), &operator, DriverConfig::default());
    let ready = operator.readiness.register("gates");
    operator.spawn(
        "gates",
        driver.watch_roots(operator.api(None)).ready(ready).run(),
    );
    operator.spawn_drained(driver.run());
    let stop = operator.shutdown.clone();
    let running = tokio::spawn(operator.run());

    let until = async |reached: &dyn Fn(&[Action]) -> bool| {
        let wait = async {
            while !reached(&done.lock()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        assert!(waited.is_ok(), "{:?}", done.lock());
    };
    until(&|done| !done.is_empty()).await;
    assert!(!done.lock().contains(&Action::Announce));
    let gate = api.get("gates", "ns", "a").expect("the gate");
    assert_eq!(gate.get("status"), None, "reported without the lease");

    api.edit("leases", "default", "leader", |lease| {
        lease["spec"]["holderIdentity"] = "".into();
    });
    until(&|done| done.contains(&Action::Announce)).await;
    let reported = async {
        while api
            .get("gates", "ns", "a")
            .is_none_or(|gate| gate["status"]["served"] != true)
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reported)
        .await
        .expect("a report");
    stop.cancel();
    running.await.expect("no panic").expect("a clean stop");
}
