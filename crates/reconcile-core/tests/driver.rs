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

#[tokio::test]
async fn a_conflict_is_read_again_and_an_outage_is_retried() {
    let room = Lab::new();
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
    let room = Lab::new();
    room.api.put(&lamp("a", &json!({"colour": "red"})));
    room.until("red", |room| {
        room.get("lamps", "a")["status"]["shows"] == "red"
    })
    .await;
    room.rest().await;
    // The status write is held up, and the spec changes just before it lands. Its answer is all that calls for another
    // pass: the watches are late.
    room.api.hold_watches("configmaps");
    room.api
        .fail(Fault::delay("patch", "lamps/status", Duration::from_millis(200)).times(1));
    room.api.edit("lamps", "room", "a", |lamp| {
        lamp["spec"]["colour"] = json!("blue");
    });
    room.until("blue", |room| {
        room.get("configmaps", "a")["data"]["colour"] == "blue"
    })
    .await;
    room.api.hold_watches("lamps");
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
    let room = Lab::new();
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
    let room = Lab::new();
    room.api
        .fail(Fault::delay("patch", "configmaps", Duration::from_millis(300)).times(1));
    room.api.put(&lamp("a", &json!({"colour": "red"})));
    room.until("a pass has begun", |room| {
        room.passes.load(Ordering::SeqCst) > 0
    })
    .await;
    room.operator.shutdown.cancel();
    let Lab { api, operator, .. } = room;
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
    let room = Lab::new();
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
    let room = Lab::new();
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
    let room = Lab::new();
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

#[tokio::test]
async fn a_second_listener_hears_of_a_change_that_hides_in_the_answer_to_a_status_write() {
    let room = Lab::new();
    let heard = Arc::<AtomicUsize>::default();
    let ear = heard.clone();
    room.driver.roots().on_change(move |change| {
        let new = change.new.map(|root| root.spec_value());
        if new.is_some_and(|spec| spec["colour"] == "green") {
            ear.fetch_add(1, Ordering::SeqCst);
        }
    });
    room.api.put(&lamp("a", &json!({"colour": "red"})));
    room.until("red", |room| {
        room.get("lamps", "a")["status"]["shows"] == "red"
    })
    .await;
    room.rest().await;
    // Only the answer to the status write tells of green: events come too late.
    let first = Fault::delay("patch", "lamps/status", Duration::from_millis(200));
    room.api.fail(first.times(1));
    room.api.edit("lamps", "room", "a", |lamp| {
        lamp["spec"]["colour"] = json!("blue");
    });
    room.until("blue", |room| {
        room.get("configmaps", "a")["data"]["colour"] == "blue"
    })
    .await;
    room.api.hold_watches("lamps");
    room.api.edit("lamps", "room", "a", |lamp| {
        lamp["spec"]["colour"] = json!("green");
    });
    room.until("green arrives", |_| heard.load(Ordering::SeqCst) > 0)
        .await;
    room.until("green", |room| {
        room.get("lamps", "a")["status"]["shows"] == "green"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn passes_over_one_object_never_overlap_even_after_the_deadline() {
    let room = Lab::new();
    room.api.put(&lamp("stuck", &json!({"colour": "red"})));
    room.until("a second try", |room| {
        room.running.begun.load(Ordering::SeqCst) > 1
    })
    .await;
    assert_eq!(room.running.most.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn events_of_actions_before_a_conflict_are_not_lost() {
    let room = Lab::new();
    room.api
        .fail(Fault::delay("patch", "configmaps", Duration::ZERO).times(1));
    room.api
        .fail(Fault::status("patch", "configmaps", 409, "Conflict").times(1));
    room.api.put(&lamp("a", &json!({"colour": "glossy"})));
    room.until("glossy", |room| {
        room.get("lamps", "a")["status"]["shows"] == "glossy"
    })
    .await;
    room.operator.events.flush().await;
    assert_eq!(room.event_notes(), ["now primer", "now glossy"]);
}

#[tokio::test]
async fn a_kind_without_the_status_endpoint_is_an_error_that_the_object_shows() {
    let kind = FakeKind::new("test.example", "v1", "Lamp", "lamps").without_status();
    let room = Lab::of(kind);
    room.api.put(&lamp("a", &json!({"colour": "red"})));
    room.until("an Event that names the cause", |room| {
        let mut notes = room.event_notes().into_iter();
        notes.any(|note| {
            note.contains("lamps.test.example of this cluster has no status subresource")
        })
    })
    .await;
}

/// Takes what this thread logs until the guard is dropped.
fn logged() -> (Log, tracing::subscriber::DefaultGuard) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_ansi(false)
        .finish();
    (log, tracing::subscriber::set_default(subscriber))
}

/// Several passes over one object that nobody changes.
async fn pass_repeatedly(room: &Lab, name: &str) {
    for passes in 1..4 {
        room.until("another pass", |room| {
            room.passes.load(Ordering::SeqCst) >= passes
        })
        .await;
        room.rest().await;
        room.driver.queue().add(ObjectKey::new("room", name));
    }
    room.rest().await;
}

#[tokio::test]
async fn what_only_a_fix_of_the_program_helps_is_logged_once() {
    let (log, _guard) = logged();
    let kind = FakeKind::new("test.example", "v1", "Lamp", "lamps").without_status();
    let room = Lab::of(kind);
    room.api.put(&lamp("a", &json!({"colour": "red"})));
    pass_repeatedly(&room, "a").await;
    assert_eq!(log.count("only a fix of the program"), 1);
}

#[tokio::test]
async fn an_invalid_object_is_logged_once_per_reason() {
    let (log, _guard) = logged();
    let room = Lab::new();
    room.api.put(&lamp("bad", &json!({"colour": 7})));
    pass_repeatedly(&room, "bad").await;
    assert_eq!(log.count("invalid object"), 1);
    room.api.edit("lamps", "room", "bad", |lamp| {
        lamp["spec"]["colour"] = json!([]);
    });
    room.until("another reason is logged", |_| {
        log.count("invalid object") == 2
    })
    .await;
}

/// What was logged by this thread.
#[derive(Clone, Default)]
struct Log(Arc<parking_lot::Mutex<Vec<u8>>>);

impl Log {
    fn count(&self, text: &str) -> usize {
        String::from_utf8_lossy(&self.0.lock())
            .matches(text)
            .count()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl tracing_subscriber::fmt::MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
