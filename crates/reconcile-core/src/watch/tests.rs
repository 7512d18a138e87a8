//! Tests of the index and the guard.

use kube::api::ObjectMeta;

use k8s_openapi::api::core::v1::ConfigMap;

use super::{Guarded, Index};
use crate::object::ObjectKey;

fn meta(name: &str, uid: &str, version: u64) -> ObjectMeta {
    ObjectMeta {
        namespace: Some("ns".into()),
        name: Some(name.into()),
        uid: Some(uid.into()),
        resource_version: Some(version.to_string()),
        ..ObjectMeta::default()
    }
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("ns", name)
}

#[test]
fn an_older_event_does_not_undo_an_own_write() {
    let index = Index::<u32>::default();
    index.written(&meta("a", "u1", 5), 1);
    index.written(&meta("a", "u1", 9), 2);
    assert!(index.written(&meta("a", "u1", 7), 3).is_none());
    assert_eq!(index.get(&key("a")).as_deref(), Some(&2));
}

#[test]
fn an_equal_value_is_no_change() {
    let index = Index::<u32>::default();
    assert!(index.written(&meta("a", "u1", 5), 1).is_some());
    assert!(index.written(&meta("a", "u1", 6), 1).is_none());
}

#[test]
fn a_late_event_does_not_bring_a_deleted_object_back() {
    let index = Index::<u32>::default();
    index.written(&meta("a", "u1", 5), 1);
    assert!(index.deleted(&key("a"), "u1").is_some());
    assert!(index.written(&meta("a", "u1", 6), 2).is_none());
    assert!(index.get(&key("a")).is_none());
    assert!(
        index.written(&meta("a", "u2", 7), 3).is_some(),
        "a new object of the name is taken"
    );
    assert!(
        index.deleted(&key("a"), "u1").is_none(),
        "a late deletion hits only its own object"
    );
    assert_eq!(index.get(&key("a")).as_deref(), Some(&3));
}

#[test]
fn a_list_removes_what_it_does_not_contain_but_not_what_was_written_meanwhile() {
    let index = Index::<u32>::default();
    index.written(&meta("kept", "u1", 1), 1);
    index.written(&meta("lost", "u2", 2), 2);
    index.begin_list();
    index.written(&meta("kept", "u1", 1), 1);
    index.written(&meta("own", "u3", 9), 3);
    let changes = index.end_list();
    let gone: Vec<_> = changes
        .iter()
        .map(|change| change.key.name.as_str())
        .collect();
    assert_eq!(gone, ["lost"]);
    assert_eq!(index.len(), 2);
}

#[test]
fn values_are_found_by_tag_until_they_lose_it() {
    let index = Index::new(|value: &&'static str| vec![(*value).to_owned()]);
    index.written(&meta("a", "u1", 1), "red");
    index.written(&meta("b", "u2", 2), "red");
    assert_eq!(index.tagged("red").len(), 2);
    index.written(&meta("a", "u1", 3), "blue");
    assert_eq!(index.tagged("red").len(), 1);
    index.deleted(&key("b"), "u2");
    assert!(index.tagged("red").is_empty());
}

#[test]
fn an_undecodable_object_keeps_its_metadata_and_names_the_field() {
    let text = r#"{"metadata":{"name":"bad","namespace":"ns"},"data":{"a":{"nested":1}}}"#;
    let object: Guarded<ConfigMap> = serde_json::from_str(text).expect("guarded decoding succeeds");
    let bad = object.0.expect_err("the value is no string");
    assert_eq!(ObjectKey::of_meta(&bad.metadata), key("bad"));
    assert!(bad.message.contains("data"), "{}", bad.message);
}

#[test]
fn managed_fields_are_dropped_at_the_door_and_nothing_else() {
    let text = r#"{"kind":"ConfigMap","metadata":{"name":"a","managedFields":[{"manager":"m","fieldsV1":{"f:data":{}}}],
        "labels":{"k":"\"managedFields\""}},"data":{"k\u0041":"{\"metadata\":{\"managedFields\":1}}"}}"#;
    let whole: ConfigMap = serde_json::from_str(text).expect("the text is a ConfigMap");
    let object: Guarded<ConfigMap> = serde_json::from_str(text).expect("guarded decoding succeeds");
    let object = object.0.expect("it is a ConfigMap");
    assert_eq!(object.metadata.managed_fields, None);
    assert_eq!(object.metadata.name, whole.metadata.name);
    assert_eq!(object.metadata.labels, whole.metadata.labels);
    assert_eq!(object.data, whole.data);
}
