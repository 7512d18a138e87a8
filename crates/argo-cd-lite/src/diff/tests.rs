//! The cheap look and the outcome of a dry-run.
#![expect(
    clippy::needless_pass_by_value,
    reason = "json!() literals read better in place"
)]

mod ignored;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ApiResource, DynamicObject};
use reconcile_core::testkit::FakeApi;
use serde_json::{Value, json};

use super::*;
use crate::{
    api::IgnoreDifference,
    clusters::{Live, ResourceId},
    health::Checks,
    render::{Placement, Scope, build},
};

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
    assert!(looks_same(
        &desired(json!({"a": "1"})),
        &found,
        &IgnoredPlaces::default()
    ));
    assert!(!looks_same(
        &desired(json!({"a": "2"})),
        &found,
        &IgnoredPlaces::default()
    ));
    assert!(!looks_same(
        &desired(json!({"a": "1", "b": "2"})),
        &found,
        &IgnoredPlaces::default()
    ));
}

#[test]
fn a_field_of_ours_that_git_dropped_is_a_difference() {
    let found = live(
        json!({"f:data": {"f:a": {}, "f:b": {}}}),
        json!({"a": "1", "b": "2"}),
    );
    assert!(!looks_same(
        &desired(json!({"a": "1"})),
        &found,
        &IgnoredPlaces::default()
    ));
}

#[test]
fn an_object_that_we_never_applied_is_left_to_the_server() {
    let mut found = live(json!({}), json!({"a": "1"}));
    found["metadata"]["managedFields"] = json!([]);
    assert!(!looks_same(
        &desired(json!({"a": "1"})),
        &found,
        &IgnoredPlaces::default()
    ));
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
        &IgnoredPlaces::default()
    ));
    assert!(!looks_same(
        &json!({"spec": {"ports": [{"port": 81}]}}),
        &found,
        &IgnoredPlaces::default()
    ));
}

#[test]
fn counters_and_status_are_no_difference() {
    let one = json!({"metadata": {"name": "n", "resourceVersion": "1", "generation": 1, "annotations": {}}, "spec": {"a": 1}, "status": {"x": 1}});
    let two = json!({"metadata": {"name": "n", "resourceVersion": "2", "managedFields": []}, "spec": {"a": 1}});
    assert!(equal_outcome(
        &one,
        &two,
        &IgnoredPlaces::default(),
        WebhookChanges::Ignore
    ));
    assert!(!equal_outcome(
        &one,
        &json!({"metadata": {"name": "n"}, "spec": {"a": 2}}),
        &IgnoredPlaces::default(),
        WebhookChanges::Ignore
    ));
    assert!(equal_outcome(
        &one,
        &json!({"metadata": {"name": "n"}, "spec": {"a": 2}}),
        &IgnoredPlaces::at(&["/spec/a"]),
        WebhookChanges::Ignore
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
    equal_outcome(
        &answer(predicted),
        &shared_object(),
        &IgnoredPlaces::default(),
        WebhookChanges::Ignore,
    )
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
        !equal_outcome(
            &answer(shared_object()),
            &without,
            &IgnoredPlaces::default(),
            WebhookChanges::Ignore
        ),
        "an item of ours that is missing"
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

#[test]
fn webhook_changes_count_when_asked_for() {
    let mut predicted = shared_object();
    predicted["metadata"]["labels"]["seen"] = json!("10:01");
    let answer = answer(predicted);
    let same = |webhooks| {
        equal_outcome(
            &answer,
            &shared_object(),
            &IgnoredPlaces::default(),
            webhooks,
        )
    };
    assert!(same(WebhookChanges::Ignore));
    assert!(!same(WebhookChanges::Count));
    let id = ResourceId::new("", "ConfigMap", "ns", "a");
    let hash = |webhooks| IgnoreRules::new(&[], webhooks).hash(&id);
    assert_ne!(hash(WebhookChanges::Ignore), hash(WebhookChanges::Count));
}

/// A live object as kubectl applied it.
fn client_side_applied(applied: &Value, spec: Value) -> Value {
    json!({
        "metadata": {
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied.to_string()},
            "managedFields": [
                {"manager": "kubectl-client-side-apply", "operation": "Update", "fieldsV1": {}},
            ],
        },
        "spec": spec,
    })
}

#[test]
fn list_items_that_were_dropped_after_client_side_apply_are_leftovers() {
    let env = |names: &[&str]| {
        let items: Vec<Value> = names
            .iter()
            .map(|name| json!({"name": name, "value": "1"}))
            .collect();
        json!({"containers": [{"name": "c", "env": items}], "args": ["a", "b"]})
    };
    let applied = json!({"spec": env(&["A", "B"])});
    let live = client_side_applied(&applied, env(&["A", "B", "INJECTED"]));
    assert!(!leftover(&json!({"spec": env(&["A", "B"])}), &live));
    assert!(!leftover(&json!({"spec": env(&["B", "A", "C"])}), &live));
    assert!(leftover(&json!({"spec": env(&["A"])}), &live), "a variable");
    let mut fewer = env(&["A", "B"]);
    fewer["args"] = json!(["a"]);
    assert!(leftover(&json!({"spec": fewer}), &live), "an argument");
    let mut other = env(&["A", "B"]);
    other["containers"][0]["name"] = json!("renamed");
    assert!(leftover(&json!({"spec": other}), &live), "a container");
}

#[test]
fn large_integers_are_not_compared_as_floats() {
    let object = |number: u64| live(json!({"f:data": {"f:a": {}}}), json!({"a": number}));
    assert!(looks_same(
        &desired(json!({"a": 9_007_199_254_740_993_u64})),
        &object(9_007_199_254_740_993),
        &IgnoredPlaces::default()
    ));
    assert!(!looks_same(
        &desired(json!({"a": 9_007_199_254_740_993_u64})),
        &object(9_007_199_254_740_992),
        &IgnoredPlaces::default()
    ));
    assert!(looks_same(
        &desired(json!({"a": 1.0})),
        &object(1),
        &IgnoredPlaces::default()
    ));
}

#[test]
fn a_three_way_patch_changes_and_removes_what_is_ours() {
    let before = json!({"spec": {"a": 1, "gone": 2, "env": [{"name": "A"}, {"name": "A"}]}});
    let after = json!({"metadata": {}, "spec": {"a": 3, "env": [{"name": "A"}, {"name": "A"}]}});
    let found =
        json!({"a": 1, "gone": 2, "theirs": 4, "env": [{"name": "A", "def": 1}, {"name": "A"}]});
    let mut live = client_side_applied(&before, found);
    let patch = client_side_patch(&after, &live).expect("a change");
    assert_eq!(patch["spec"], json!({"a": 3, "gone": null}));
    let note =
        &patch["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"];
    assert_eq!(
        serde_json::from_str::<Value>(note.as_str().expect("a note")).expect("JSON"),
        after
    );
    live["spec"]["a"] = json!(3);
    live["spec"].as_object_mut().expect("a map").remove("gone");
    assert_eq!(client_side_patch(&after, &live), None);
}

#[tokio::test]
async fn an_answer_is_kept_for_the_state_that_was_read() {
    reconcile_core::operator::install_tls();
    let api = FakeApi::new();
    let object = |value: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "n", "namespace": "ns"}, "data": {"a": value},
        })
    };
    let live = |object: &Value| {
        let object: DynamicObject = serde_json::from_value(object.clone()).expect("an object");
        let resource = ApiResource::erase::<ConfigMap>(&());
        Live::of(&Checks::default(), &resource, &object)
    };
    // The watch has not seen the second value yet.
    let (seen, stored) = (live(&object("1")), live(&api.put(&object("2"))));
    let placement = Placement {
        instance: "app".into(),
        namespace: "ns".into(),
        ..Placement::default()
    };
    let set = build(vec![object("1")], &placement, |_, _| Scope::Namespaced);
    let target = &set.targets[0];
    let differ = Differ::new(api.client(), DiffCache::default());
    let resource = ApiResource::erase::<ConfigMap>(&());
    let same = differ
        .same(target, &seen, &resource, &IgnoreRules::default())
        .await
        .expect("an answer");
    assert!(!same);
    let kept = |live: &Live| differ.cache().get(&target.id, live.hash, target.hash);
    assert_eq!(kept(&seen), None, "nothing is known of the older state");
    assert_eq!(kept(&stored), Some(false));
}
