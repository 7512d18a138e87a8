//! Objects that cannot be decoded.

use k8s_openapi::api::core::v1::ConfigMap;

use super::key;
use crate::{object::ObjectKey, watch::Guarded};

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
