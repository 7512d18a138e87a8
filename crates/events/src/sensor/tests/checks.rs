//! What is said about Sensors that cannot run as they are.

use reconcile_core::object::ObjectKey;
use serde_json::{Value, json};

use crate::sensor::{
    checked::{CheckedSensor, Problems, check},
    parameter::Events,
};

fn checked(spec: &Value) -> (CheckedSensor, Problems) {
    check(&ObjectKey::new("ns", "sensor"), "uid", spec).expect("decodes")
}

fn dependency(name: &str) -> Value {
    json!({"name": name, "eventSourceName": "src", "eventName": name})
}

fn trigger(name: &str) -> Value {
    json!({"template": {"name": name, "log": {}}})
}

#[test]
fn a_plain_sensor_waits_for_all_dependencies_as_the_default_account() {
    let (sensor, problems) = checked(&json!({
        "dependencies": [dependency("a"), dependency("b")],
        "triggers": [trigger("t")],
    }));
    assert_eq!(problems, Problems::default());
    assert_eq!(sensor.service_account, "default");
    assert_eq!(sensor.bus, "default");
    assert!(!sensor.triggers[0].acts_per_event());
    assert_eq!(sensor.triggers[0].dependencies.len(), 2);
    assert_eq!(
        sensor.triggers[0].dependencies[0].subject(),
        "default.src.a"
    );
}

#[test]
fn a_trigger_only_listens_to_what_its_condition_names() {
    let mut wanted = trigger("t");
    wanted["template"]["conditions"] = json!("a || b");
    let (sensor, problems) = checked(&json!({
        "dependencies": [dependency("a"), dependency("b"), dependency("c")],
        "triggers": [wanted],
    }));
    assert_eq!(problems, Problems::default());
    assert!(sensor.triggers[0].acts_per_event());
    let names: Vec<_> = sensor.triggers[0]
        .dependencies
        .iter()
        .map(|d| d.name.as_str())
        .collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn one_bad_part_does_not_stop_the_others() {
    let mut pulsar = trigger("to-pulsar");
    pulsar["template"] = json!({"name": "to-pulsar", "pulsar": {"url": "x"}});
    let mut unknown = trigger("unknown");
    unknown["template"]["conditions"] = json!("a && nobody");
    let mut on_bad = trigger("on-bad");
    on_bad["template"]["conditions"] = json!("scripted");
    let mut good = trigger("good");
    good["template"]["conditions"] = json!("a");
    let mut scripted = dependency("scripted");
    scripted["transform"] = json!({"jq": "input"});
    let mut wrong = dependency("wrong");
    wrong["eventName"] = json!("has.dot");
    let (sensor, problems) = checked(&json!({
        "dependencies": [dependency("a"), scripted, wrong, dependency("a"), {"name": 3}],
        "triggers": [
            pulsar, unknown, on_bad, good, trigger("good"),
            {"template": {"name": "http", "http": {"url": "ftp://x"}}},
            {"template": {"name": "k8s", "k8s": {"operation": "create", "source": {"resource": {"kind": "Pod"}}}}},
            {"template": {"name": "params", "http": {"url": "http://x", "parameters": [{"dest": "url"}]}}},
            {"template": {"name": "two", "log": {}, "http": {"url": "http://x"}}},
            {"template": {"name": "none"}},
            {"template": {"log": {}}},
            "nonsense",
        ],
    }));
    let names: Vec<_> = sensor
        .triggers
        .iter()
        .map(|trigger| trigger.name.as_str())
        .collect();
    assert_eq!(names, ["good"]);
    insta::assert_snapshot!(format!(
        "{}\n--\n{}",
        problems.dependencies.join("\n"),
        problems.triggers.join("\n")
    ));
}

#[test]
fn a_sensor_of_another_form_is_refused_with_the_path() {
    let key = ObjectKey::new("ns", "sensor");
    let error = check(&key, "uid", &json!({"dependencies": "all"})).expect_err("refused");
    assert!(
        error.to_string().starts_with("spec.dependencies: "),
        "{error}"
    );
    let (_, problems) = checked(&json!({}));
    assert_eq!(
        problems.dependencies,
        ["spec.dependencies: at least one is needed"]
    );
    assert_eq!(problems.triggers, ["spec.triggers: at least one is needed"]);
}

#[test]
fn nulls_are_absent_except_inside_embedded_resources() {
    let (sensor, problems) = checked(&json!({
        "dependencies": [{"name": "a", "eventSourceName": "s", "eventName": "e", "filters": null}],
        "triggers": [{
            "retryStrategy": null,
            "template": {"name": "t", "http": null, "k8s": {
                "operation": "patch",
                "source": {"resource": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"gone": null}}},
            }},
        }],
    }));
    assert_eq!(problems, Problems::default());
    let firing = crate::trigger::Firing {
        id: String::new(),
        sensor: sensor.key.clone(),
        trigger: "t".into(),
        service_account: String::new(),
        events: Events::new(),
        now: jiff::Timestamp::UNIX_EPOCH,
    };
    let shown = crate::trigger::preview(&sensor.triggers[0].task, &firing).expect("a preview");
    assert_eq!(shown["k8s"]["object"]["data"], json!({"gone": null}));
}

#[test]
fn values_without_a_dependency_are_named() {
    let http = |extra: (&str, Value)| {
        let mut template = json!({"name": "t", "http": {"url": "http://x"}});
        template["http"][extra.0] = extra.1;
        let (_, problems) = checked(&json!({
            "dependencies": [dependency("a")], "triggers": [{"template": template}],
        }));
        problems.triggers
    };
    let none: Vec<String> = Vec::new();
    let whole = json!([{"src": {"dependencyName": "a"}, "dest": ""}]);
    assert_eq!(http(("payload", whole)), none);
    assert_eq!(
        http(("payload", json!([{"dest": "x"}]))),
        ["spec.triggers[0].template.http.payload[0].src.dependencyName: must not be empty"]
    );
    let nameless = json!([{"src": {"dependencyName": "a"}}]);
    assert_eq!(
        http(("dynamicHeaders", nameless)),
        ["spec.triggers[0].template.http.dynamicHeaders[0].dest: must not be empty"]
    );
}

#[test]
fn an_invalid_header_name_is_reported_at_its_own_field() {
    let problems = |extra: (&str, Value)| {
        let mut template = json!({"name": "t", "http": {"url": "http://x"}});
        template["http"][extra.0] = extra.1;
        let spec = json!({"dependencies": [dependency("a")], "triggers": [{"template": template}]});
        checked(&spec).1.triggers
    };
    let http = "spec.triggers[0].template.http";
    let dynamic =
        |dest: &str| json!([{"src": {"dependencyName": "a", "dataKey": "n"}, "dest": dest}]);
    let secure = |name: &str| json!([{"name": name, "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]);
    for name in ["X Token", "X:Token", "Tök", "X\r\nHost"] {
        let reason = format!("{name:?} is not the name of a header");
        assert_eq!(
            problems(("headers", json!({name: "v"}))),
            [format!("{http}.headers: {reason}")]
        );
        assert_eq!(
            problems(("secureHeaders", secure(name))),
            [format!("{http}.secureHeaders[0].name: {reason}")]
        );
        assert_eq!(
            problems(("dynamicHeaders", dynamic(name))),
            [format!("{http}.dynamicHeaders[0].dest: {reason}")]
        );
    }
    assert_eq!(
        problems(("headers", json!({"X-Token": "a\r\nHost: b"}))),
        [format!(
            "{http}.headers.X-Token: must not hold control characters"
        )]
    );
    for right in [
        ("headers", json!({"X-Token": "v"})),
        ("secureHeaders", secure("X-Token")),
        ("dynamicHeaders", dynamic("X-Token")),
    ] {
        assert_eq!(problems(right), [""; 0]);
    }
}

#[test]
fn an_unknown_time_zone_is_reported_at_its_own_field() {
    let reset = |by_time: Value| {
        let template = json!({"name": "t", "log": {}, "conditionsReset": [{"byTime": by_time}]});
        let spec = json!({"dependencies": [dependency("a")], "triggers": [{"template": template}]});
        checked(&spec).1.triggers
    };
    let path = "spec.triggers[0].template.conditionsReset[0].byTime";
    assert_eq!(
        reset(json!({"cron": "0 0 * * *", "timezone": "Mars/North"})),
        [format!("{path}.timezone: unknown time zone `Mars/North`")]
    );
    assert_eq!(
        reset(json!({"cron": "TZ=Mars/North 0 0 * * *", "timezone": "Asia/Tokyo"})),
        [format!("{path}.cron: unknown time zone `Mars/North`")]
    );
    assert_eq!(
        reset(json!({"cron": "0 0 * *", "timezone": "Asia/Tokyo"})),
        [format!(
            "{path}.cron: schedule `0 0 * *` must have 5 fields, found 4"
        )]
    );
    let mut filtered = dependency("a");
    filtered["filters"] =
        json!({"time": {"start": "08:00:00", "stop": "09:00:00", "timezone": "Mars/North"}});
    let (_, problems) = checked(&json!({"dependencies": [filtered], "triggers": [trigger("t")]}));
    assert_eq!(
        problems.dependencies,
        ["spec.dependencies[0].filters.time.timezone: \"Mars/North\" is not a time zone"]
    );
}

#[test]
fn an_inline_manifest_is_one_object_of_bounded_size() {
    let problem = |inline: &str| {
        let template = json!({"name": "t", "k8s": {"source": {"inline": inline}}});
        let decoded = crate::trigger::decode_template("template", &template);
        decoded.map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(problem("{kind: ConfigMap, apiVersion: v1}"), Ok(()));
    assert_eq!(
        problem("kind: A\n---\nkind: B\n"),
        Err("template.k8s.source.inline: holds 2 documents; a trigger acts on one object".into())
    );
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..5 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        let line = format!("a{level}: &a{level} [{}]\n", before.trim_end_matches(", "));
        bomb.push_str(&line);
    }
    let refused = problem(&bomb).expect_err("refused");
    assert!(
        refused.ends_with("the input has more than 20000 nodes"),
        "{refused}"
    );
}

#[test]
fn logging_fields_are_pairs_in_the_order_of_their_names() {
    let mut spec = json!({"dependencies": [dependency("a")], "triggers": [trigger("t")]});
    assert_eq!(checked(&spec).0.logging_fields, None);
    spec["loggingFields"] = json!({"team": "a b", "cell": 7});
    let fields = checked(&spec).0.logging_fields;
    assert_eq!(fields.as_deref(), Some("cell=7 team=a b"));
}
