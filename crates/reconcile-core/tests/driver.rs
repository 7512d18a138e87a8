//! The driver on a fake API server, with a kind made up for the purpose: a Lamp has a wanted colour and reports the
//! one that it shows, through a ConfigMap.
#![cfg(feature = "testkit")]

#[path = "driver/log.rs"]
mod log;
#[path = "driver/passes.rs"]
mod passes;
#[path = "driver/writes.rs"]
mod writes;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use kube::{
    Api,
    api::{ApiResource, DynamicObject},
    core::{GroupVersionKind, NamespaceResourceScope},
};
use reconcile_core::{
    apply::{self, ApplyError},
    clock::Clock,
    error::{Classify, ErrorClass},
    event::EventNote,
    object::{FieldError, Kind, ObjectKey, Root},
    operator::Operator,
    reconcile::{Controller, Done, Driver, DriverConfig, Plan, Report, RootPatch, Target},
    testkit::{FakeApi, FakeKind, Fault},
    watch::{Guarded, Index, Origin, Watch},
};
use serde::Deserialize;
use serde_json::{Value, json};

struct LampKind;

#[derive(Deserialize)]
struct LampSpec {
    colour: String,
}

impl Kind for LampKind {
    const GROUP: &'static str = "test.example";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Lamp";
    const PLURAL: &'static str = "lamps";
    type Scope = NamespaceResourceScope;
    type Spec = LampSpec;
    type Status = Value;
}

struct Lamps {
    client: kube::Client,
    maps: Index<String>,
    passes: Arc<AtomicUsize>,
    running: Arc<Overlap>,
    panics: bool,
}

/// Longest time of a pass in these tests; far more than any needs but the one that hangs.
const DEADLINE: Duration = Duration::from_secs(1);

/// Passes at the same time: now, and the most so far.
#[derive(Default)]
struct Overlap {
    now: AtomicUsize,
    most: AtomicUsize,
    begun: AtomicUsize,
}

struct Running(Arc<Overlap>);

impl Running {
    fn begin(overlap: &Arc<Overlap>) -> Self {
        let now = overlap.now.fetch_add(1, Ordering::SeqCst) + 1;
        overlap.most.fetch_max(now, Ordering::SeqCst);
        overlap.begun.fetch_add(1, Ordering::SeqCst);
        Self(overlap.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Seen {
    key: ObjectKey,
    colour: String,
    shown: Option<String>,
    status: Value,
}

#[derive(Debug)]
struct Paint(String);

impl fmt::Display for Paint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "paint {}", self.0)
    }
}

#[derive(Debug, thiserror::Error)]
enum LampError {
    #[error(transparent)]
    Field(#[from] FieldError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

impl Classify for LampError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Field(error) => error.class(),
            Self::Apply(error) => error.class(),
        }
    }
}

fn config_maps() -> ApiResource {
    apply::resource_of(&GroupVersionKind::gvk("", "v1", "ConfigMap"), "configmaps")
}

impl Controller for Lamps {
    type Kind = LampKind;
    type Observed = Seen;
    type Action = Paint;
    type Decision = Plan<Paint>;
    type Applied = String;
    type Error = LampError;
    const NAME: &'static str = "lamp";

    async fn observe(&self, root: &Root<LampKind>) -> Result<Seen, LampError> {
        self.passes.fetch_add(1, Ordering::SeqCst);
        assert!(
            !self.panics || root.key().name != "panics",
            "as the test wants"
        );
        if root.key().name == "stuck" {
            let _running = Running::begin(&self.running);
            tokio::time::sleep(DEADLINE / 2).await;
            // A call that cannot be cancelled, beyond the deadline. Timers of the runtime continue meanwhile.
            tokio::task::block_in_place(|| std::thread::sleep(3 * DEADLINE));
            tokio::time::sleep(DEADLINE).await;
        }
        Ok(Seen {
            key: root.key(),
            colour: root.parse_spec()?.colour,
            shown: self.maps.get(&root.key()).map(|shown| shown.to_string()),
            status: root.status_value(),
        })
    }

    fn plan(seen: &Seen, _: Timestamp) -> Plan<Paint> {
        let mut plan = Plan::new();
        if seen.colour == "restless" {
            plan.wake_at(Timestamp::UNIX_EPOCH);
        }
        if seen.shown.as_deref() == Some(&seen.colour) {
            plan.note("shows the wanted colour");
        } else {
            plan.note(format!("shows {:?}, wants {}", seen.shown, seen.colour));
            if seen.colour == "glossy" && seen.shown.is_none() {
                plan.act(Paint("primer".to_owned()));
            }
            plan.act(Paint(seen.colour.clone()));
        }
        plan
    }

    async fn apply(&self, seen: &Seen, action: &Paint) -> Result<String, LampError> {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": seen.key.name, "namespace": seen.key.namespace},
            "data": {"colour": action.0},
        });
        let written =
            apply::apply_forced(&self.client, &config_maps(), &seen.key, &object, "lamp").await?;
        self.maps.written(&written.metadata, action.0.clone());
        Ok(action.0.clone())
    }

    fn events(_: &Paint, colour: &String) -> Vec<EventNote> {
        vec![EventNote::normal("Painted", format!("now {colour}"))]
    }

    fn report(
        seen: &Seen,
        _: &Plan<Paint>,
        done: &[Done<String, LampError>],
        _: Timestamp,
    ) -> Report {
        let mut report = Report::default();
        let mut status = seen.status.clone();
        if status.is_null() {
            status = json!({});
        }
        for one in done {
            match &one.result {
                Ok(colour) => status["shows"] = json!(colour),
                Err(error) => status["error"] = json!(error.to_string()),
            }
        }
        report.status(&seen.status, &status);
        if seen.colour == "gold" && !report.patches.is_empty() {
            let body = json!({"metadata": {"annotations": {"worth": "much"}}});
            report.patches.insert(
                0,
                RootPatch {
                    target: Target::Main,
                    body,
                    guarded: true,
                },
            );
            report.patches[1].guarded = true;
        }
        report
    }

    fn reject(root: &Root<LampKind>, error: &LampError, _: Timestamp) -> Report {
        let mut report = Report::default();
        report.status(&root.status_value(), &json!({"error": error.to_string()}));
        report
    }
}

struct Lab {
    api: FakeApi,
    driver: Arc<Driver<Lamps>>,
    operator: Operator,
    passes: Arc<AtomicUsize>,
    running: Arc<Overlap>,
}

fn lamp(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "test.example/v1", "kind": "Lamp", "metadata": {"name": name, "namespace": "room"}, "spec": spec})
}

impl Lab {
    fn new() -> Self {
        Self::of(FakeKind::new("test.example", "v1", "Lamp", "lamps"))
    }

    fn of(kind: FakeKind) -> Self {
        let api = FakeApi::new().with_kind(kind);
        let running = Arc::<Overlap>::default();
        let operator = Operator::detached(api.client(), Clock::system());
        let passes = Arc::<AtomicUsize>::default();
        let maps = Index::<String>::default();
        let lamps = Lamps {
            client: api.client(),
            maps: maps.clone(),
            passes: passes.clone(),
            running: running.clone(),
            panics: true,
        };
        let config = DriverConfig {
            pass_deadline: DEADLINE,
            ..DriverConfig::default()
        };
        let driver = Driver::new(lamps, &operator, config);
        let queue = driver.queue().clone();
        let watch = Watch::named(
            "configmaps",
            Api::<Guarded<DynamicObject>>::all_with(api.client(), &config_maps()),
            maps,
            |object: DynamicObject| Some(object.data["data"]["colour"].as_str()?.to_owned()),
        )
        .on_change(move |change| {
            // What the controller wrote itself is no reason for another pass, which would hide that one is missing.
            if change.origin == Origin::Watch {
                queue.add(change.key);
            }
        });
        operator.spawn("configmaps", watch.run());
        operator.spawn("lamps", driver.watch_roots(Api::all(api.client())).run());
        operator.spawn_drained(driver.clone().run());
        Self {
            api,
            driver,
            operator,
            passes,
            running,
        }
    }

    fn event_notes(&self) -> Vec<String> {
        let events = self.api.list("events");
        let note = |event: &Value| event["note"].as_str().unwrap_or_default().to_owned();
        events.iter().map(note).collect()
    }

    fn get(&self, plural: &str, name: &str) -> Value {
        self.api.get(plural, "room", name).unwrap_or(Value::Null)
    }

    async fn until(&self, what: &str, reached: impl Fn(&Self) -> bool) {
        let wait = async {
            while !reached(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let late = tokio::time::timeout(Duration::from_secs(20), wait)
            .await
            .is_err();
        assert!(
            !late,
            "not reached: {what}\n{}",
            self.api.writes().join("\n")
        );
    }

    /// Waits until no pass runs and none was added for a while.
    async fn rest(&self) -> usize {
        loop {
            let before = self.passes.load(Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(100)).await;
            if before == self.passes.load(Ordering::SeqCst) && self.driver.queue().depth() == 0 {
                return before;
            }
        }
    }
}

#[tokio::test]
async fn a_new_object_is_applied_reported_and_then_left_alone() {
    let room = Lab::new();
    room.api.put(&lamp("a", &json!({"colour": "red"})));
    room.until("red", |room| {
        room.get("lamps", "a")["status"]["shows"] == "red"
    })
    .await;
    let passes = room.rest().await;
    room.api.clear_requests();
    assert!(passes <= 3, "{passes} passes for one change");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(
        room.api.writes().is_empty(),
        "an object at rest was written: {:?}",
        room.api.writes()
    );
}

#[tokio::test]
async fn a_change_by_somebody_else_is_put_right() {
    let room = Lab::new();
    room.api.put(&lamp("a", &json!({"colour": "red"})));
    room.until("red", |room| {
        room.get("configmaps", "a")["data"]["colour"] == "red"
    })
    .await;
    room.rest().await;
    room.api.edit("configmaps", "room", "a", |map| {
        map["data"]["colour"] = json!("blue");
    });
    room.until("red again", |room| {
        room.get("configmaps", "a")["data"]["colour"] == "red"
    })
    .await;
}

#[tokio::test]
async fn a_wrong_field_is_reported_on_the_object_and_others_continue() {
    let room = Lab::new();
    room.api.put(&lamp("bad", &json!({"colour": 7})));
    room.api.put(&lamp("panics", &json!({"colour": "red"})));
    room.api.put(&lamp("good", &json!({"colour": "red"})));
    room.until("good", |room| {
        room.get("lamps", "good")["status"]["shows"] == "red"
    })
    .await;
    room.until("reported", |room| {
        room.get("lamps", "bad")["status"]["error"].is_string()
    })
    .await;
    let error = room.get("lamps", "bad")["status"]["error"].to_string();
    assert!(error.contains("spec.colour"), "{error}");
    room.api.edit("lamps", "room", "bad", |lamp| {
        lamp["spec"]["colour"] = json!("green");
    });
    room.until("fixed", |room| {
        room.get("lamps", "bad")["status"]["shows"] == "green"
    })
    .await;
}
