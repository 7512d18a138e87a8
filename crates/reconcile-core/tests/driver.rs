//! The driver on a fake API server, with a kind made up for the purpose: a Lamp has a wanted colour and reports the
//! one that it shows, through a ConfigMap.
#![cfg(feature = "testkit")]

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
    object::{FieldError, Kind, ObjectKey, Root},
    operator::Operator,
    reconcile::{
        Classify, Controller, Done, Driver, DriverConfig, ErrorClass, EventNote, Plan, Report,
        RootPatch, Target,
    },
    testkit::{FakeApi, FakeKind, Fault},
    watch::{Guarded, Index, Watch},
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
    panics: bool,
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
        let written = apply::server_side(
            &self.client,
            &config_maps(),
            &seen.key,
            &object,
            "lamp",
            true,
            false,
        )
        .await?;
        self.maps.written(&written.metadata, action.0.clone());
        Ok(action.0.clone())
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
                Ok(colour) => {
                    status["shows"] = json!(colour);
                    report.event(EventNote::normal("Painted", format!("now {colour}")));
                }
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

struct Room {
    api: FakeApi,
    driver: Arc<Driver<Lamps>>,
    operator: Operator,
    passes: Arc<AtomicUsize>,
}

fn lamp(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "test.example/v1", "kind": "Lamp", "metadata": {"name": name, "namespace": "room"}, "spec": spec})
}

impl Room {
    fn new() -> Self {
        let api = FakeApi::new().with_kind(FakeKind::new("test.example", "v1", "Lamp", "lamps"));
        let operator = Operator::detached(api.client(), Clock::system());
        let passes = Arc::<AtomicUsize>::default();
        let maps = Index::<String>::default();
        let lamps = Lamps {
            client: api.client(),
            maps: maps.clone(),
            passes: passes.clone(),
            panics: true,
        };
        let driver = Driver::new(lamps, &operator, DriverConfig::default());
        let queue = driver.queue().clone();
        let watch = Watch::named(
            "configmaps",
            Api::<Guarded<DynamicObject>>::all_with(api.client(), &config_maps()),
            maps,
            |object: DynamicObject| Some(object.data["data"]["colour"].as_str()?.to_owned()),
        )
        .on_change(move |change| queue.add(change.key));
        operator.spawn("configmaps", watch.run());
        operator.spawn("lamps", driver.watch_roots(Api::all(api.client())).run());
        operator.spawn_drained(driver.clone().run());
        Self {
            api,
            driver,
            operator,
            passes,
        }
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
    let room = Room::new();
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
    let room = Room::new();
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
async fn a_wrong_field_is_told_on_the_object_and_others_go_on() {
    let room = Room::new();
    room.api.put(&lamp("bad", &json!({"colour": 7})));
    room.api.put(&lamp("panics", &json!({"colour": "red"})));
    room.api.put(&lamp("good", &json!({"colour": "red"})));
    room.until("good", |room| {
        room.get("lamps", "good")["status"]["shows"] == "red"
    })
    .await;
    room.until("told", |room| {
        room.get("lamps", "bad")["status"]["error"].is_string()
    })
    .await;
    let error = room.get("lamps", "bad")["status"]["error"].to_string();
    assert!(error.contains("spec.colour"), "{error}");
    room.api.edit("lamps", "room", "bad", |lamp| {
        lamp["spec"]["colour"] = json!("green");
    });
    room.until("mended", |room| {
        room.get("lamps", "bad")["status"]["shows"] == "green"
    })
    .await;
}

#[tokio::test]
async fn a_conflict_is_read_again_and_an_outage_is_retried() {
    let room = Room::new();
    room.api
        .fail(Fault::status("patch", "configmaps", 409, "Conflict").times(1));
    room.api.put(&lamp("a", &json!({"colour": "red"})));
    room.until("red after a conflict", |room| {
        room.get("lamps", "a")["status"]["shows"] == "red"
    })
    .await;
    assert!(
        room.get("lamps", "a")["status"]["error"].is_null(),
        "a single conflict is nobody's business"
    );
    room.api
        .fail(Fault::status("patch", "configmaps", 500, "InternalError").times(3));
    room.api.put(&lamp("b", &json!({"colour": "red"})));
    room.until("red after an outage", |room| {
        room.get("lamps", "b")["status"]["shows"] == "red"
    })
    .await;
}

#[tokio::test]
async fn a_spec_change_that_hides_in_the_answer_to_a_status_write_is_not_lost() {
    let room = Room::new();
    room.api.put(&lamp("a", &json!({"colour": "red"})));
    room.until("red", |room| {
        room.get("lamps", "a")["status"]["shows"] == "red"
    })
    .await;
    room.rest().await;
    // The status write is held up, and the spec changes just before it lands: its answer carries the new spec, and
    // the event of the change itself is older than that answer.
    room.api
        .fail(Fault::delay("patch", "lamps/status", Duration::from_millis(200)).times(1));
    room.api.edit("lamps", "room", "a", |lamp| {
        lamp["spec"]["colour"] = json!("blue");
    });
    room.until("blue", |room| {
        room.get("configmaps", "a")["data"]["colour"] == "blue"
    })
    .await;
    room.api.edit("lamps", "room", "a", |lamp| {
        lamp["spec"]["colour"] = json!("green");
    });
    room.until("green", |room| {
        room.get("lamps", "a")["status"]["shows"] == "green"
    })
    .await;
    assert_eq!(room.get("configmaps", "a")["data"]["colour"], "green");
}

#[tokio::test]
async fn a_broken_watch_and_a_compacted_history_lose_nothing() {
    let room = Room::new();
    room.api.put(&lamp("a", &json!({"colour": "red"})));
    room.until("red", |room| {
        room.get("lamps", "a")["status"]["shows"] == "red"
    })
    .await;
    room.api.drop_watches();
    room.api.compact();
    room.api.put(&lamp("b", &json!({"colour": "red"})));
    room.api.delete("lamps", "room", "a");
    room.until("b", |room| {
        room.get("lamps", "b")["status"]["shows"] == "red"
    })
    .await;
    room.until("a forgotten", |room| {
        room.driver
            .roots()
            .get(&ObjectKey::new("room", "a"))
            .is_none()
    })
    .await;
}

#[tokio::test]
async fn a_stop_ends_the_pass_in_flight() {
    let room = Room::new();
    room.api
        .fail(Fault::delay("patch", "configmaps", Duration::from_millis(300)).times(1));
    room.api.put(&lamp("a", &json!({"colour": "red"})));
    room.until("a pass has begun", |room| {
        room.passes.load(Ordering::SeqCst) > 0
    })
    .await;
    room.operator.shutdown.cancel();
    let Room { api, operator, .. } = room;
    operator.run().await.expect("nobody took the lease");
    let shown = api.get("configmaps", "room", "a").unwrap_or_default();
    assert_eq!(shown["data"]["colour"], "red", "the pass was cut off");
    assert_eq!(
        api.get("lamps", "room", "a").unwrap_or_default()["status"]["shows"],
        "red"
    );
}

#[tokio::test]
async fn nothing_is_planned_before_all_parts_are_ready() {
    let room = Room::new();
    let ready = room.operator.readiness.register("a part that is late");
    room.api.put(&lamp("a", &json!({"colour": "red"})));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(room.passes.load(Ordering::SeqCst), 0);
    ready.set();
    room.until("red", |room| {
        room.get("lamps", "a")["status"]["shows"] == "red"
    })
    .await;
}

#[tokio::test]
async fn guarded_patches_of_one_report_do_not_stand_in_each_others_way() {
    let room = Room::new();
    room.api.put(&lamp("a", &json!({"colour": "gold"})));
    room.until("gold", |room| {
        room.get("lamps", "a")["status"]["shows"] == "gold"
    })
    .await;
    assert_eq!(
        room.get("lamps", "a")["metadata"]["annotations"]["worth"],
        "much"
    );
    let conflicts = room.api.requests();
    let conflicts = conflicts.iter().filter(|request| request.code == 409);
    assert_eq!(conflicts.count(), 0);
}

#[tokio::test]
async fn a_plan_that_is_always_late_does_not_take_a_whole_core() {
    let room = Room::new();
    room.api.put(&lamp("a", &json!({"colour": "restless"})));
    room.until("shown", |room| {
        room.get("lamps", "a")["status"]["shows"] == "restless"
    })
    .await;
    let before = room.passes.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let passes = room.passes.load(Ordering::SeqCst) - before;
    assert!((2..=31).contains(&passes), "{passes} passes in 300 ms");
}
