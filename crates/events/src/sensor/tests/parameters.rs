use serde_json::{Value, json};

use super::{event, now};
use crate::{
    api::trigger::Parameter,
    sensor::parameter::{self, Events, Inputs},
};

const BODY: &str = r#"{"body": {"n": 7, "s": "text", "o": {"k": [1, 2]}, "t": true, "nil": null}}"#;

fn events() -> Events {
    Events::from([("dep".to_owned(), event(BODY))])
}

fn parameters(list: Value) -> Vec<Parameter> {
    serde_json::from_value(list).expect("parameters")
}

fn apply(document: Value, list: Value) -> Result<Value, String> {
    let events = events();
    let inputs = Inputs {
        events: &events,
        now: now(),
    };
    parameter::apply(document, &parameters(list), inputs).map_err(|error| error.to_string())
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "reads better where it is called"
)]
fn one(src: Value) -> Result<Value, String> {
    apply(json!({}), json!([{"src": src, "dest": "x"}])).map(|document| document["x"].clone())
}

#[test]
fn values_are_strings_unless_raw_data_is_asked_for() {
    let dep =
        |key: &str, raw: bool| json!({"dependencyName": "dep", "dataKey": key, "useRawData": raw});
    assert_eq!(one(dep("body.n", false)), Ok(json!("7")));
    assert_eq!(one(dep("body.n", true)), Ok(json!(7)));
    assert_eq!(one(dep("body.s", true)), Ok(json!("text")));
    assert_eq!(one(dep("body.t", true)), Ok(json!(true)));
    assert_eq!(one(dep("body.o", false)), Ok(json!(r#"{"k": [1, 2]}"#)));
    assert_eq!(one(dep("body.o", true)), Ok(json!({"k": [1, 2]})));
    assert_eq!(one(dep("body.nil", true)), Ok(Value::Null));
    assert_eq!(one(dep("body.nil", false)), Ok(json!("null")));
}

#[test]
fn templates_win_over_keys_and_keys_stand_in_for_failed_templates() {
    let template = |template: &str, key: Option<&str>| json!({"dependencyName": "dep", "dataTemplate": template, "dataKey": key});
    assert_eq!(
        one(template("{{ .Input.body.s | upper }}!", None)),
        Ok(json!("TEXT!"))
    );
    assert_eq!(
        one(template("{{ .Input.body.absent }}", Some("body.s"))),
        Ok(json!("text"))
    );
    assert_eq!(one(template("{{ ", Some("body.s"))), Ok(json!("text")));
    assert!(one(template("{{ .Input.body.absent }}", None)).is_err());
}

#[test]
fn data_wins_over_context() {
    let src = json!({"dependencyName": "dep", "contextKey": "source", "dataKey": "body.s"});
    assert_eq!(one(src), Ok(json!("text")));
    assert_eq!(
        one(json!({"dependencyName": "dep", "contextKey": "subject"})),
        Ok(json!("push"))
    );
    let src =
        json!({"dependencyName": "dep", "contextTemplate": "{{ .Input.type }}/{{ .Input.id }}"});
    assert_eq!(one(src), Ok(json!("webhook/id-1")));
}

#[test]
fn the_default_is_the_last_resort() {
    let src = json!({"dependencyName": "dep", "dataKey": "body.absent", "value": "d"});
    assert_eq!(one(src), Ok(json!("d")));
    let error =
        one(json!({"dependencyName": "dep", "dataKey": "body.absent"})).expect_err("no value");
    assert_eq!(
        error,
        r#"parameter 0 ("x"): data of dep: nothing at "body.absent""#
    );
    // A dependency without an event: the default, or nothing at all.
    assert_eq!(
        one(json!({"dependencyName": "other", "dataKey": "a", "value": "d"})),
        Ok(json!("d"))
    );
    assert_eq!(
        one(json!({"dependencyName": "other", "dataKey": "a"})),
        Ok(Value::Null)
    );
}

#[test]
fn without_key_or_template_the_whole_event_is_the_value() {
    assert_eq!(
        one(json!({"dependencyName": "dep", "value": "v"})),
        Ok(json!("v"))
    );
    let whole = one(json!({"dependencyName": "dep"})).expect("a value");
    let whole: Value = serde_json::from_str(whole.as_str().expect("text")).expect("JSON");
    assert_eq!(whole["context"]["source"], "src");
    assert_eq!(whole["data"], {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(BODY)
    });
}

#[test]
fn values_are_put_where_the_path_says() {
    let put = |dest: &str, operation: &str| {
        let document = json!({"a": {"list": ["x"], "s": "old"}, "n.m": 1});
        let src = json!({"dependencyName": "dep", "dataKey": "body.s"});
        apply(
            document,
            json!([{"src": src, "dest": dest, "operation": operation}]),
        )
        .expect("applied")
    };
    assert_eq!(put("a.s", "")["a"]["s"], "text");
    assert_eq!(put("a.s", "append")["a"]["s"], "oldtext");
    assert_eq!(put("a.s", "prepend")["a"]["s"], "textold");
    assert_eq!(put("a.new.deep", "append")["a"]["new"]["deep"], "text");
    assert_eq!(put("a.list.0", "")["a"]["list"], json!(["text"]));
    assert_eq!(put("a.list.-1", "")["a"]["list"], json!(["x", "text"]));
    assert_eq!(put(r"n\.m", "")["n.m"], "text");
}

#[test]
fn a_payload_is_built_from_nothing_or_is_one_value_as_it_is() {
    let events = events();
    let inputs = Inputs {
        events: &events,
        now: now(),
    };
    let src = json!({"dependencyName": "dep", "dataKey": "body.n", "useRawData": true});
    let built = parameters(json!([{"src": src, "dest": "a.b"}]));
    assert_eq!(
        parameter::payload(&built, inputs).expect("payload"),
        br#"{"a":{"b":7}}"#
    );
    let src = json!({"dependencyName": "dep", "dataKey": "body"});
    let whole = parameters(json!([{"src": src, "dest": ""}, {"src": src, "dest": "ignored"}]));
    let body = parameter::payload(&whole, inputs).expect("payload");
    assert_eq!(
        serde_json::from_slice::<Value>(&body).expect("JSON")["n"],
        7
    );
}

#[test]
fn the_body_is_the_first_one_that_has_an_event() {
    let events = events();
    let inputs = Inputs {
        events: &events,
        now: now(),
    };
    // As a trigger with `other || dep` needs it.
    let src = |dependency: &str| json!({"dependencyName": dependency, "dataKey": "body.s"});
    let either =
        parameters(json!([{"src": src("other"), "dest": ""}, {"src": src("dep"), "dest": ""}]));
    assert_eq!(
        parameter::payload(&either, inputs).expect("payload"),
        b"text"
    );
    let neither = parameters(json!([{"src": src("other"), "dest": ""}]));
    assert_eq!(parameter::payload(&neither, inputs).expect("payload"), b"");
}

#[test]
fn raw_data_keeps_its_type_where_there_is_nothing_to_append_to() {
    let src = json!({"dependencyName": "dep", "dataKey": "body.n", "useRawData": true});
    let put = |dest: &str| {
        let list = json!([{"src": src, "dest": dest, "operation": "append"}]);
        apply(json!({"s": "v"}), list).expect("applied")
    };
    assert_eq!(put("new"), json!({"s": "v", "new": 7}));
    assert_eq!(put("s"), json!({"s": "v7"}));
}

#[test]
fn odd_json_passes_as_it_is() {
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let bodies = [
        r#"{"s":"ok \ud83d cut","t":"fine"}"#,
        r#"{"n":1e400}"#,
        r#"{"id":123456789012345678901234567890}"#,
        deep.as_str(),
    ];
    for body in bodies {
        let events = Events::from([("dep".to_owned(), event(&format!(r#"{{"body":{body}}}"#)))]);
        let inputs = Inputs {
            events: &events,
            now: now(),
        };
        let built = |raw: bool, dest: &str| {
            let src = json!({"dependencyName": "dep", "dataKey": "body", "useRawData": raw});
            let list = parameters(json!([{"src": src, "dest": dest}]));
            let payload = parameter::payload(&list, inputs).expect("payload");
            String::from_utf8(payload).expect("text")
        };
        assert_eq!(built(true, "all"), format!(r#"{{"all":{body}}}"#));
        assert_eq!(built(false, ""), body);
    }
    let events = Events::from([("dep".to_owned(), event(bodies[0]))]);
    let src = json!({"dependencyName": "dep", "dataTemplate": "{{ .Input.s }}, {{ .Input.t }}"});
    let list = parameters(json!([{"src": src, "dest": ""}]));
    let inputs = Inputs {
        events: &events,
        now: now(),
    };
    assert_eq!(
        parameter::payload(&list, inputs).expect("payload"),
        "ok \u{fffd} cut, fine".as_bytes()
    );
}
