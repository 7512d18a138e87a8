use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{event, now};
use crate::{
    event::CloudEvent,
    sensor::{
        CheckedSensor,
        checked::{Problems, check},
        dependency::{Discard, FilterOutcome},
    },
};
use reconcile_core::object::ObjectKey;

fn checked(dependency: &Value) -> (CheckedSensor, Problems) {
    let mut spec = json!({"name": "a", "eventSourceName": "src", "eventName": "e"});
    let members = dependency.as_object().expect("an object").clone();
    spec.as_object_mut().expect("an object").extend(members);
    let spec = json!({
        "dependencies": [spec],
        "triggers": [{"template": {"name": "t", "log": {}}}],
    });
    check(&ObjectKey::new("ns", "s"), "", &spec).expect("decodes")
}

fn judged(dependency: &Value, event: CloudEvent) -> FilterOutcome {
    let (sensor, problems) = checked(dependency);
    assert_eq!(problems, Problems::default());
    sensor.triggers[0].dependencies[0].judge(event, now())
}

fn transformed(script: &str, payload: &str) -> Result<Value, String> {
    match judged(&json!({"transform": {"script": script}}), event(payload)) {
        FilterOutcome::Accepted(event) => {
            assert_eq!(event.datacontenttype, "application/json");
            Ok(serde_json::from_slice(&event.data).expect("JSON"))
        }
        FilterOutcome::Discarded(discard) => Err(discard.reason),
        FilterOutcome::Failed(bug) => panic!("{bug}"),
    }
}

#[test]
fn a_script_admits_what_it_returns_true_for() {
    let payload = r#"{"ref": "refs/heads/main", "commits": [{"n": 1}, {"n": 2}]}"#;
    let said = |script: &str| match judged(&json!({"filters": {"script": script}}), event(payload))
    {
        FilterOutcome::Accepted(_) => "accepted".to_owned(),
        FilterOutcome::Discarded(discard) => discard.reason,
        FilterOutcome::Failed(bug) => panic!("{bug}"),
    };
    let cases = BTreeMap::from([
        ("return event.ref == 'refs/heads/main'", "accepted"),
        (
            "return event.ref:match('^refs/heads/(.+)$') == 'main'",
            "accepted",
        ),
        (
            "return #event.commits == 2 and event.commits[2].n == 2",
            "accepted",
        ),
        ("return event.absent == nil", "accepted"),
        ("return false", "script: does not return true"),
        ("return 1", "script: does not return true"),
        ("event.x = 1", "script: does not return true"),
        (
            "return event.absent.x",
            "script: line 1: attempt to index field 'absent' (a nil value)",
        ),
        (
            "while true do end",
            "script: the script runs longer than 200ms",
        ),
        (
            "return os.getenv('HOME') == nil",
            "script: line 1: attempt to call field 'getenv' (a nil value)",
        ),
    ]);
    for (script, expected) in cases {
        assert_eq!(said(script), expected, "{script}");
    }
    let big = said("local t = {} for i = 1, 1e9 do t[i] = i end");
    assert!(big.contains("memory") || big.contains("longer"), "{big}");
}

#[test]
fn a_script_sees_objects_only_and_passes_what_has_no_payload() {
    let script = json!({"filters": {"script": "return false"}});
    let reason = |payload: &str| match judged(&script, event(payload)) {
        FilterOutcome::Accepted(_) => "accepted".to_owned(),
        FilterOutcome::Discarded(discard) => discard.reason,
        FilterOutcome::Failed(bug) => panic!("{bug}"),
    };
    assert_eq!(reason("[1]"), "script: the payload is no JSON object");
    assert_eq!(reason("hello"), "script: the payload is not JSON");
    assert_eq!(reason(""), "accepted");
}

#[test]
fn a_script_is_one_filter_among_the_others() {
    let filters = |operator: &str| {
        json!({"filtersLogicalOperator": operator, "filters": {
            "script": "return event.n == 2",
            "data": [{"path": "n", "type": "number", "value": ["1"]}],
        }})
    };
    let accepted = |operator: &str, payload: &str| {
        matches!(
            judged(&filters(operator), event(payload)),
            FilterOutcome::Accepted(_)
        )
    };
    assert!(!accepted("and", r#"{"n": 1}"#));
    assert!(accepted("or", r#"{"n": 1}"#) && accepted("or", r#"{"n": 2}"#));
    assert!(!accepted("or", r#"{"n": 3}"#));
}

#[test]
fn a_transform_comes_before_the_filters_and_changes_the_event() {
    assert_eq!(
        transformed(
            "event.greeting = 'hello ' .. event.name return event",
            r#"{"name": "ann", "tags": [], "map": {}}"#
        ),
        Ok(json!({"name": "ann", "greeting": "hello ann", "tags": [], "map": {}}))
    );
    assert_eq!(
        transformed("return {list = {1, 2}, empty = {}}", "{}"),
        Ok(json!({"list": [1, 2], "empty": {}}))
    );
    assert_eq!(
        transformed("return 7", "{}"),
        Err("transform: the script returns no table".into())
    );
    assert_eq!(
        transformed("return event", "[1]"),
        Err("transform: the payload is no JSON object".into())
    );
    let both = json!({
        "transform": {"script": "event.n = event.n + 1 return event"},
        "filters": {"data": [{"path": "n", "type": "number", "value": ["8"]}]},
    });
    assert!(matches!(
        judged(&both, event(r#"{"n": 7}"#)),
        FilterOutcome::Accepted(_)
    ));
    assert!(matches!(
        judged(&both, event(r#"{"n": 8}"#)),
        FilterOutcome::Discarded(_)
    ));
}

#[test]
fn scripts_are_checked_with_the_manifest() {
    let problems = |dependency: Value| checked(&dependency).1.dependencies.join("\n");
    let said = problems(json!({"filters": {"script": "return return"}}));
    assert!(
        said.starts_with("spec.dependencies[0].filters.script: line 1: "),
        "{said}"
    );
    let said = problems(json!({"transform": {"script": "x ="}}));
    assert!(
        said.starts_with("spec.dependencies[0].transform.script: line 1: "),
        "{said}"
    );
    let long = "-".repeat(70_000);
    assert!(problems(json!({"filters": {"script": long}})).contains("more than 65536 bytes"));
    let said = problems(json!({"transform": {"jq": "env.HOME"}}));
    assert_eq!(
        said,
        "spec.dependencies[0].transform.jq: jq expression \"env.HOME\": function env is not supported"
    );
}

#[test]
fn jq_changes_the_payload_before_the_filters_and_wins_over_a_script() {
    let dependency = |jq: &str| {
        json!({
            "transform": {"jq": jq, "script": "return 3"},
            "filters": {"data": [{"path": "total", "type": "number", "value": ["3"]}]},
        })
    };
    let payload = r#"{"items": [1, 2], "id": 12345678901234567}"#;
    let accepted = judged(&dependency("{total: (.items | add), id}"), event(payload));
    let FilterOutcome::Accepted(changed) = accepted else {
        panic!("{accepted:?}");
    };
    assert_eq!(
        std::str::from_utf8(&changed.data),
        Ok(r#"{"id":12345678901234567,"total":3}"#)
    );
    for (jq, payload, reason) in [
        ("{total: 4}", payload, "data"),
        (
            ".items",
            payload,
            "transform: the first output of jq is no JSON object",
        ),
        (
            "empty",
            payload,
            "transform: the first output of jq is no JSON object",
        ),
        (".items.x", payload, "transform: jq expression does not fit"),
        (".", "[]", "transform: the payload is no JSON object"),
    ] {
        let FilterOutcome::Discarded(Discard { reason: said, .. }) =
            judged(&dependency(jq), event(payload))
        else {
            panic!("{jq} accepted");
        };
        assert!(said.contains(reason), "{jq}: {said}");
    }
}
