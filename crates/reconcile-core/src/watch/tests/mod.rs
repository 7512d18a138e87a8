//! Tests of the index, the guard and the watch.

mod guard;
mod index;
mod stream;

use kube::api::ObjectMeta;

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
