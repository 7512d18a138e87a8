use std::{collections::BTreeMap, sync::Arc};

use reconcile_core::object::ObjectKey;
use serde_json::{Value, json};

use super::{conditions, now, object};
use crate::{
    api::findings::sensor_findings,
    bus::BusState,
    controller::{
        conditions::dedicated_pod,
        dedicated::Elsewhere,
        object_state::PodReport,
        sensor::{Action, Observed, plan::plan, status::report},
    },
    sensor::checked::check,
    worker::{LastError, LastEvent, SensorHealth, TriggerActivity},
};

fn observed(spec: &Value) -> Observed {
    let checked = check(&ObjectKey::new("ns", "s"), "uid-1", spec);
    Observed {
        object: object("s", sensor_findings(spec)),
        spec: checked.map(|(sensor, problems)| (Arc::new(sensor), problems)),
        bus_key: ObjectKey::new("ns", "default"),
        bus: Some(BusState::Ready { stream: 1 }),
        elsewhere: None,
    }
}

fn reported(observed: &Observed, detached: &[(&str, &str)]) -> String {
    let detached = detached
        .iter()
        .map(|(place, why)| ((*place).to_owned(), (*why).to_owned()))
        .collect();
    let health = SensorHealth {
        detached,
        ..SensorHealth::default()
    };
    conditions(&report(
        observed,
        &plan(observed, now()),
        Some(&health),
        None,
        now(),
    ))
}

fn good() -> Value {
    json!({
        "dependencies": [{"name": "a", "eventSourceName": "src", "eventName": "e"}],
        "triggers": [{"template": {"name": "t", "log": {}}}],
    })
}

#[test]
fn a_good_sensor_runs() {
    let sensor = observed(&good());
    assert_eq!(plan(&sensor, now()).actions, [Action::Run]);
    assert_eq!(
        reported(&sensor, &[]),
        "DependenciesProvided=True\nDeployed=True\nTriggersProvided=True"
    );
    assert_eq!(
        reported(&sensor, &[("t/a", "the bus is not connected")])
            .lines()
            .nth(1),
        Some("Deployed=False NoEvents t/a: the bus is not connected")
    );
    // A trigger that was changed a moment ago has not failed.
    assert_eq!(
        reported(&sensor, &[("t/a", "connecting")]).lines().nth(1),
        Some("Deployed=Unknown Connecting t/a: connecting")
    );
}

#[test]
fn fields_without_effect_are_named() {
    let mut spec = good();
    spec["template"] = json!({"serviceAccountName": "x", "container": {"image": "y"}});
    spec["loggingFields"] = json!({"a": "b"});
    spec["replicas"] = json!(2);
    spec["triggers"][0]["unheardOf"] = json!(1);
    let reported = reported(&observed(&spec), &[]);
    insta::assert_snapshot!(reported);
}

#[test]
fn triggers_that_are_not_supported_are_named_and_the_rest_runs() {
    let mut spec = good();
    spec["triggers"] = json!([
        {"template": {"name": "t", "log": {}}},
        {"template": {"name": "w", "k8s": {"operation": "create", "source": {"file": {"path": "/etc/x"}}}}},
    ]);
    let sensor = observed(&spec);
    assert_eq!(plan(&sensor, now()).actions, [Action::Run]);
    insta::assert_snapshot!(reported(&sensor, &[]));
}

#[test]
fn an_unreadable_spec_stops_the_sensor_and_says_where() {
    let sensor = observed(&json!({"dependencies": 5}));
    assert_eq!(plan(&sensor, now()).actions, [Action::Pause]);
    assert!(
        reported(&sensor, &[])
            .starts_with("DependenciesProvided=False InvalidSpec spec.dependencies: ")
    );
}

#[test]
fn of_a_sensor_with_a_pod_of_its_own_only_the_pod_is_told() {
    let mut sensor = observed(&good());
    let ours = json!({
        "type": "Deployed", "status": "True", "lastTransitionTime": "2026-01-02T03:00:00Z",
        "reason": "", "message": "",
    });
    sensor.object.status = json!({"conditions": [ours]});
    sensor.elsewhere = Some(Elsewhere::PodMissing("no pod".into()));
    sensor.object.pod = PodReport::Condition(dedicated_pod(Some("no pod")));
    assert_eq!(plan(&sensor, now()).actions, [Action::Leave]);
    assert_eq!(
        reported(&sensor, &[]),
        "DedicatedPod=False NotAvailable no pod\nDeployed=True"
    );
    // In the pod: the condition is another process's, also when the rest is reported.
    let theirs = json!({
        "type": "DedicatedPod", "status": "False", "lastTransitionTime": "2026-01-02T03:00:00Z",
        "reason": "NotAvailable", "message": "no pod",
    });
    sensor.object.status = json!({"conditions": [theirs]});
    sensor.elsewhere = None;
    sensor.object.pod = PodReport::Theirs;
    let all = reported(&sensor, &[]);
    assert!(
        all.starts_with("DedicatedPod=False NotAvailable no pod\n"),
        "{all}"
    );
    // The shared processes forget it with the pod.
    sensor.object.pod = PodReport::None;
    let all = reported(&sensor, &[]);
    assert!(
        !all.contains("DedicatedPod") && all.contains("Deployed=True"),
        "{all}"
    );
}

#[test]
fn a_second_report_of_the_same_says_nothing() {
    let mut sensor = observed(&good());
    let plan = plan(&sensor, now());
    let first = report(&sensor, &plan, Some(&SensorHealth::default()), None, now());
    sensor.object.status = first.patches[0].body["status"].clone();
    let later = "2026-01-02T04:00:00Z".parse().expect("a time");
    assert!(
        report(&sensor, &plan, Some(&SensorHealth::default()), None, later)
            .patches
            .is_empty()
    );
}

#[test]
fn the_status_shows_what_each_trigger_did_lately() {
    let mut sensor = observed(&good());
    let at = |text: &str| text.parse().expect("a time");
    let activity = |event: Option<LastEvent>| TriggerActivity {
        last_event: event,
        last_error: Some(LastError {
            message: "http://x: refused".into(),
            time: at("2026-01-02T03:00:00Z"),
        }),
        pending: BTreeMap::from([("a".to_owned(), 4)]),
    };
    let health = |event: Option<LastEvent>| SensorHealth {
        activity: BTreeMap::from([("t".to_owned(), activity(event))]),
        ..SensorHealth::default()
    };
    let event = LastEvent {
        id: "7".into(),
        source: "src/e".into(),
        outcome: "http://x answered 200".into(),
        time: at("2026-01-02T03:01:00Z"),
    };
    let plan = plan(&sensor, now());
    let first = report(&sensor, &plan, Some(&health(Some(event))), None, now());
    let status = first.patches[0].body["status"].clone();
    let shown = json!([{
        "name": "t",
        "lastEvent": {
            "id": "7", "source": "src/e", "outcome": "http://x answered 200", "time": "2026-01-02T03:01:00Z",
        },
        "lastError": {"message": "http://x: refused", "time": "2026-01-02T03:00:00Z"},
        "pending": 4,
    }]);
    assert_eq!(status["triggers"], shown);
    // The next process has not seen the event, and keeps what is known of it.
    sensor.object.status = status;
    let second = report(&sensor, &plan, Some(&health(None)), None, now());
    assert!(second.patches.is_empty());
}

#[test]
fn a_field_that_does_not_exist_is_reported() {
    let mut spec = good();
    spec["triggers"][0]["template"]["http"]["serverURL"] = json!("x");
    spec["triggers"][0]["template"]["http"]["payload"] = json!([{"src": {"dependencyName": "a", "dataKey": "x", "operation": "append"}, "dest": "x"}]);
    let found: Vec<String> = sensor_findings(&spec)
        .into_iter()
        .map(|finding| finding.path)
        .collect();
    for path in ["http.serverURL", "src.operation"] {
        assert!(found.iter().any(|found| found.ends_with(path)), "{found:?}");
    }
}

#[test]
fn the_note_of_a_plan_counts_triggers_in_english() {
    let mut spec = good();
    let notes = |spec: &Value| plan(&observed(spec), now()).to_string();
    let one = notes(&spec);
    assert!(
        one.contains("1 trigger") && !one.contains("1 triggers"),
        "{one}"
    );
    spec["triggers"] = json!([
        {"template": {"name": "t", "log": {}}}, {"template": {"name": "u", "log": {}}},
    ]);
    assert!(notes(&spec).contains("2 triggers"));
}
