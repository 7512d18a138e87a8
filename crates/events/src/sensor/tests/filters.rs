use serde_json::{Value, json};

use super::{event, now};
use crate::{api::sensor, event::CloudEvent, sensor::filter::Filters};

fn filters(value: Value, operator: Option<&str>) -> Filters {
    let raw: sensor::Filters = serde_json::from_value(value).expect("filters");
    Filters::check("spec.dependencies[0].filters", &raw, operator).expect("valid filters")
}

fn admits(value: Value, event: &CloudEvent) -> bool {
    filters(value, None).admit(event, now()).is_ok()
}

fn data(path: &str, kind: &str, comparator: &str, values: &[&str]) -> Value {
    json!({"data": [{"path": path, "type": kind, "comparator": comparator, "value": values}]})
}

#[test]
fn data_filters_compare_by_type() {
    let event = event(r#"{"n": 7, "s": "release/1.2", "b": true, "t": "12.5"}"#);
    let cases = [
        (data("n", "number", ">=", &["7"]), true),
        (data("n", "number", ">", &["7"]), false),
        (data("n", "number", "<", &["3", "8"]), true),
        (data("n", "number", "!=", &["7"]), false),
        (data("n", "number", "", &["7.0"]), true),
        (data("t", "number", "=", &["12.5"]), true),
        (data("s", "number", "=", &["1"]), false),
        (data("b", "bool", "", &["true"]), true),
        (data("b", "bool", "!=", &["true"]), true),
        (data("b", "bool", "", &["false"]), false),
        // Regular expressions match anywhere in the text.
        (data("s", "string", "", &["1.2"]), true),
        (data("s", "string", "", &["^1.2"]), false),
        (data("s", "string", "!=", &["1.2"]), false),
        (data("s", "string", "!=", &["1.2", "nothing"]), true),
        (data("s", "string", ">", &["a"]), false),
        (data("absent", "string", "", &["x"]), false),
    ];
    for (filter, expected) in cases {
        assert_eq!(admits(filter.clone(), &event), expected, "{filter}");
    }
}

#[test]
fn a_template_makes_a_text_that_is_compared_by_type() {
    let event = event(r#"{"n": 7, "s": "Hello"}"#);
    let filter = |kind: &str, comparator: &str, value: &str, template: &str| {
        json!({"data": [{
            "path": "s", "type": kind, "comparator": comparator, "value": [value], "template": template,
        }]})
    };
    let upper = "{{ .Input | upper }}";
    assert!(admits(filter("string", "", "^HELLO$", upper), &event));
    assert!(!admits(filter("number", "", "1", upper), &event));
    let length = "{{ len .Input }}";
    assert!(admits(filter("number", ">", "4", length), &event));
    assert!(!admits(filter("number", ">", "5", length), &event));
    let known = "{{ has .Input (list \"Hello\") }}";
    assert!(admits(filter("bool", "", "true", known), &event));
    // A template that gives nothing refuses, whatever the comparator.
    let nothing = "{{ if false }}x{{ end }}";
    assert!(!admits(filter("string", "!=", "x", nothing), &event));
}

#[test]
fn values_of_other_types_are_read_as_upstream_reads_them() {
    let event = event(r#"{"yes": true, "word": "True", "two": 2, "nil": null, "o": {}, "s": "x"}"#);
    let cases = [
        (data("yes", "number", "=", &["1"]), true),
        (data("s", "number", "<", &["1"]), true),
        (data("nil", "number", "=", &["0"]), true),
        (data("o", "number", ">", &["0"]), false),
        (data("word", "bool", "", &["true"]), true),
        (data("two", "bool", "", &["true"]), true),
        (data("s", "bool", "", &["false"]), true),
    ];
    for (filter, expected) in cases {
        assert_eq!(admits(filter.clone(), &event), expected, "{filter}");
    }
}

#[test]
fn data_filters_are_joined_by_their_operator() {
    let event = event(r#"{"a": 1}"#);
    let both = json!([
        {"path": "a", "type": "number", "value": ["1"]},
        {"path": "a", "type": "number", "value": ["2"]},
    ]);
    assert!(!admits(json!({"data": both}), &event));
    assert!(admits(
        json!({"data": both, "dataLogicalOperator": "or"}),
        &event
    ));
}

#[test]
fn expressions_speak_of_named_values() {
    let event = event(r#"{"n": 7, "s": "x"}"#);
    let expr = |text: &str, fields: Value| json!({"exprs": [{"expr": text, "fields": fields}]});
    let n = json!([{"path": "n", "name": "n"}]);
    assert!(admits(expr("n > 6 && n < 8", n.clone()), &event));
    assert!(!admits(expr("n == 8", n.clone()), &event));
    assert!(admits(
        expr("s == \"x\"", json!([{"path": "s", "name": "s"}])),
        &event
    ));
    // Without values it is skipped; with a value that is not there it refuses.
    assert!(admits(expr("n == 8", json!([])), &event));
    assert!(!admits(
        expr("m == 8", json!([{"path": "m", "name": "m"}])),
        &event
    ));
}

#[test]
fn the_context_must_match_exactly_where_it_is_given() {
    let event = event("{}");
    assert!(admits(
        json!({"context": {"source": "src", "type": ""}}),
        &event
    ));
    assert!(!admits(json!({"context": {"source": "sr"}}), &event));
    assert!(!admits(json!({"context": {"subject": "pull"}}), &event));
}

#[test]
fn the_time_window_includes_its_start_and_may_wrap() {
    let at = |time: &str| CloudEvent {
        time: time.into(),
        ..event("{}")
    };
    let window = json!({"time": {"start": "03:04:05", "stop": "04:00:00"}});
    assert!(admits(window.clone(), &at("2026-01-02T03:04:05Z")));
    assert!(!admits(window.clone(), &at("2026-01-02T03:04:04Z")));
    assert!(!admits(window, &at("2026-01-02T04:00:00Z")));
    let night = json!({"time": {"start": "22:00:00", "stop": "06:00:00"}});
    assert!(admits(night.clone(), &at("2026-01-02T23:00:00Z")));
    assert!(admits(night.clone(), &at("2026-01-02T05:59:59Z")));
    assert!(!admits(night, &at("2026-01-02T12:00:00Z")));
    let there =
        json!({"time": {"start": "08:00:00", "stop": "09:00:00", "timezone": "Asia/Tokyo"}});
    assert!(admits(there, &at("2026-01-01T23:30:00Z")));
}

#[test]
fn the_kinds_of_filters_are_joined_by_the_operator_of_the_dependency() {
    let event = event(r#"{"a": 1}"#);
    let raw = json!({
        "data": [{"path": "a", "type": "number", "value": ["2"]}],
        "context": {"source": "src"},
    });
    assert!(filters(raw.clone(), None).admit(&event, now()).is_err());
    assert!(filters(raw, Some("or")).admit(&event, now()).is_ok());
    // An operator without filters admits everything.
    assert!(filters(json!({}), Some("or")).admit(&event, now()).is_ok());
}

#[test]
fn events_without_payload_pass_what_looks_at_payloads() {
    let event = CloudEvent {
        data: bytes::Bytes::new(),
        ..event("")
    };
    assert!(admits(data("a", "number", "", &["1"]), &event));
    assert!(!admits(json!({"context": {"source": "other"}}), &event));
}

#[test]
fn a_payload_that_is_no_json_is_refused_with_the_reason() {
    let refusal = filters(data("a", "string", "", &["x"]), None).admit(&event("hello"), now());
    let refusal = refusal.expect_err("a refusal");
    assert_eq!(refusal.to_string(), "the payload is not JSON");
    let yaml = CloudEvent {
        datacontenttype: "application/yaml".into(),
        ..event("a: x\n")
    };
    assert!(admits(data("a", "string", "", &["x"]), &yaml));
}

#[test]
fn what_is_wrong_with_a_filter_is_said_with_its_path() {
    let check = |value: Value| {
        let raw: sensor::Filters = serde_json::from_value(value).expect("filters");
        Filters::check("f", &raw, None)
            .expect_err("refused")
            .to_string()
    };
    assert!(
        check(json!({"data": [{"path": "a", "type": "number", "value": ["x"]}]}))
            .starts_with("f.data[0].value[0]: ")
    );
    assert!(
        check(json!({"data": [{"path": "a", "type": "date", "value": ["x"]}]}))
            .starts_with("f.data[0].type: ")
    );
    assert!(
        check(json!({"data": [{"path": "a", "type": "string", "value": ["("]}]}))
            .starts_with("f.data[0].value[0]: ")
    );
    assert!(
        check(json!({"data": [{"path": "a", "type": "string", "value": []}]}))
            .starts_with("f.data[0].value: ")
    );
    assert!(
        check(json!({"exprs": [{"expr": "a ==", "fields": []}]})).starts_with("f.exprs[0].expr: ")
    );
    assert!(check(json!({"time": {"start": "1", "stop": "2"}})).starts_with("f.time.start: "));
    assert!(
        check(json!({"time": {"start": "01:00:00", "stop": "01:00:00"}}))
            .starts_with("f.time.stop: ")
    );
    assert!(check(json!({"dataLogicalOperator": "xor"})).starts_with("f.dataLogicalOperator: "));
    assert!(check(json!({"script": "return return"})).starts_with("f.script: "));
}

#[test]
fn joined_by_or_an_error_is_a_filter_that_does_not_pass_unless_errors_discard() {
    let both = json!({
        "data": [{"path": "absent", "type": "string", "value": ["x"]}],
        "context": {"source": "src"},
    });
    let event = event(r#"{"n": 1}"#);
    let usual = filters(both.clone(), Some("or"));
    assert!(usual.admit(&event, now()).is_ok());
    let mut strict = filters(both, Some("or"));
    strict.discard_on_error();
    let refusal = strict.admit(&event, now()).expect_err("discarded");
    assert_eq!(refusal.to_string(), "data: nothing at \"absent\"");
    // A filter that says no is no error, nor is one beside another that passes in the same list.
    let no = json!({
        "data": [{"path": "n", "type": "number", "value": ["2"]}],
        "exprs": [
            {"expr": "m == 1", "fields": [{"path": "m", "name": "m"}]},
            {"expr": "n == 1", "fields": [{"path": "n", "name": "n"}]},
        ],
        "exprLogicalOperator": "or",
    });
    let mut strict = filters(no, Some("or"));
    strict.discard_on_error();
    assert!(strict.admit(&event, now()).is_ok());
}
