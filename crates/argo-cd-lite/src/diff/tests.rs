//! The cheap look and the outcome of a dry-run.
#![expect(
    clippy::needless_pass_by_value,
    reason = "json!() literals read better in place"
)]

use serde_json::{Value, json};

use super::*;
use crate::{api::IgnoreDifference, cluster::ResourceId};

fn live(fields: Value, data: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": "n", "uid": "u",
            "managedFields": [{"manager": "argocd-controller", "operation": "Apply", "fieldsV1": fields}],
        },
        "data": data,
    })
}

fn desired(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "n"}, "data": data})
}

#[test]
fn equal_values_of_ours_look_the_same_whatever_others_added() {
    let found = live(
        json!({"f:data": {"f:a": {}}}),
        json!({"a": "1", "theirs": "2"}),
    );
    assert!(looks_same(&desired(json!({"a": "1"})), &found, &[]));
    assert!(!looks_same(&desired(json!({"a": "2"})), &found, &[]));
    assert!(!looks_same(
        &desired(json!({"a": "1", "b": "2"})),
        &found,
        &[]
    ));
}

#[test]
fn a_field_of_ours_that_git_dropped_is_a_difference() {
    let found = live(
        json!({"f:data": {"f:a": {}, "f:b": {}}}),
        json!({"a": "1", "b": "2"}),
    );
    assert!(!looks_same(&desired(json!({"a": "1"})), &found, &[]));
}

#[test]
fn an_object_that_we_never_applied_is_left_to_the_server() {
    let mut found = live(json!({}), json!({"a": "1"}));
    found["metadata"]["managedFields"] = json!([]);
    assert!(!looks_same(&desired(json!({"a": "1"})), &found, &[]));
}

#[test]
fn keyed_lists_are_understood() {
    let fields = json!({"f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}}});
    let found = json!({
        "metadata": {"managedFields": [{"manager": "argocd-controller", "operation": "Apply", "fieldsV1": fields}]},
        "spec": {"ports": [{"port": 80, "protocol": "TCP"}]},
    });
    assert!(looks_same(
        &json!({"spec": {"ports": [{"port": 80}]}}),
        &found,
        &[]
    ));
    assert!(!looks_same(
        &json!({"spec": {"ports": [{"port": 81}]}}),
        &found,
        &[]
    ));
}

#[test]
fn counters_and_status_are_no_difference() {
    let one = json!({"metadata": {"name": "n", "resourceVersion": "1", "generation": 1, "annotations": {}}, "spec": {"a": 1}, "status": {"x": 1}});
    let two = json!({"metadata": {"name": "n", "resourceVersion": "2", "managedFields": []}, "spec": {"a": 1}});
    assert!(equal_outcome(&one, &two, &[]));
    assert!(!equal_outcome(
        &one,
        &json!({"metadata": {"name": "n"}, "spec": {"a": 2}}),
        &[]
    ));
    assert!(equal_outcome(
        &one,
        &json!({"metadata": {"name": "n"}, "spec": {"a": 2}}),
        &["/spec/a"]
    ));
}

/// A live object with fields of ours and of others.
fn shared_object() -> Value {
    json!({
        "metadata": {
            "labels": {"ours": "1", "seen": "10:00"},
            "finalizers": ["ours", "theirs"],
        },
        "spec": {
            "replicas": 1, "selector": {"x": "y"},
            "containers": [{"name": "a", "image": "i"}, {"name": "sidecar", "image": "s1"}],
        },
    })
}

/// What a dry-run answers: `object`, with the fields that are ours.
fn answer(mut object: Value) -> Value {
    let fields = json!({
        "f:metadata": {
            "f:labels": {"f:ours": {}},
            "f:finalizers": {".": {}, "v:\"ours\"": {}},
        },
        "f:spec": {
            "f:replicas": {},
            "f:selector": {},
            "f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:image": {}, "f:name": {}}},
        },
    });
    object["metadata"]["managedFields"] =
        json!([{"manager": "argocd-controller", "operation": "Apply", "fieldsV1": fields}]);
    object
}

/// True when an answer that has `value` at `pointer` is no difference.
fn is_no_difference(pointer: &str, value: &Value) -> bool {
    let mut predicted = shared_object();
    let place = predicted.pointer_mut(pointer).expect("a place");
    *place = value.clone();
    equal_outcome(&answer(predicted), &shared_object(), &[])
}

#[test]
fn what_a_webhook_writes_at_each_dry_run_is_no_difference() {
    let more =
        json!([{"name": "a", "image": "i"}, {"name": "sidecar", "image": "s1"}, {"name": "other"}]);
    for (pointer, value) in [
        ("/metadata/labels/seen", json!("10:01")),
        (
            "/metadata/labels",
            json!({"ours": "1", "seen": "10:00", "more": "x"}),
        ),
        ("/metadata/finalizers", json!(["ours", "theirs", "more"])),
        ("/spec/containers/1/image", json!("s2")),
        ("/spec/containers", more),
    ] {
        assert!(is_no_difference(pointer, &value), "{pointer}: {value}");
    }
}

#[test]
fn what_is_ours_in_the_answer_and_what_goes_counts() {
    for (pointer, value) in [
        ("/metadata/labels/ours", json!("2")),
        ("/metadata/labels", json!({"ours": "1"})),
        ("/metadata/finalizers", json!(["theirs"])),
        ("/metadata/finalizers", json!(["ours", "other"])),
        ("/spec/replicas", json!(2)),
        ("/spec/selector/x", json!("z")),
        ("/spec/containers/0/image", json!("other")),
        ("/spec/containers", json!([{"name": "a", "image": "i"}])),
        (
            "/spec/containers",
            json!([{"name": "a", "image": "i"}, {"name": "other"}]),
        ),
    ] {
        assert!(!is_no_difference(pointer, &value), "{pointer}: {value}");
    }
    let mut without = shared_object();
    without["spec"]["containers"] = json!([{"name": "sidecar", "image": "s1"}]);
    assert!(
        !equal_outcome(&answer(shared_object()), &without, &[]),
        "an item of ours that is missing"
    );
}

#[test]
fn rules_choose_objects_by_glob_and_name() {
    let rule = |group: &str, kind: &str, name: &str| IgnoreDifference {
        group: group.into(),
        kind: kind.into(),
        name: name.into(),
        json_pointers: vec!["/spec/replicas".into()],
        ..IgnoreDifference::default()
    };
    let id = ResourceId::new("apps", "Deployment", "ns", "web");
    for (rule, expected) in [
        (rule("apps", "Deployment", ""), 1),
        (rule("*", "*", ""), 1),
        (rule("apps", "Deployment", "web"), 1),
        (rule("apps", "Deployment", "other"), 0),
        (rule("", "Deployment", ""), 0),
    ] {
        assert_eq!(IgnoreRules::new(&[rule]).pointers(&id).len(), expected);
    }
}

#[test]
fn ignored_fields_are_copied_from_the_live_object() {
    let mut target = json!({"spec": {"replicas": 1, "list": [{"a": 1}]}});
    let live = json!({"spec": {"replicas": 5, "list": [{"a": 7}], "new": {"deep": true}}, "status": {"x": 1}});
    for pointer in [
        "/spec/replicas",
        "/spec/list/0/a",
        "/spec/new/deep",
        "/spec/absent",
        "/status/x",
    ] {
        keep_live(&mut target, &live, pointer);
    }
    assert_eq!(
        target,
        json!({"spec": {"replicas": 5, "list": [{"a": 7}], "new": {"deep": true}}})
    );
}

#[test]
fn fields_of_client_side_apply_become_ours() {
    let found = json!({"metadata": {
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"data\":{\"a\":\"1\",\"old\":\"x\"}}"},
        "managedFields": [
            {"manager": "kubectl-client-side-apply", "operation": "Update", "fieldsV1": {"f:data": {"f:old": {}}}},
            {"manager": "argocd-controller", "operation": "Apply", "fieldsV1": {"f:data": {"f:a": {}}}},
            {"manager": "kubelet", "operation": "Update", "subresource": "status", "fieldsV1": {}},
        ]}, "data": {"a": "1", "old": "x"}});
    assert!(has_legacy_manager(&found));
    assert!(
        leftover(&json!({"data": {"a": "1"}}), &found),
        "the old field must go"
    );
    assert!(!leftover(&json!({"data": {"a": "1", "old": "x"}}), &found));
    let managers = take_over(&found).expect("something to take over");
    assert_eq!(managers.as_array().map(Vec::len), Some(2));
    assert_eq!(
        managers[0]["fieldsV1"],
        json!({"f:data": {"f:a": {}, "f:old": {}}})
    );
}
