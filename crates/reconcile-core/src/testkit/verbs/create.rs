//! Creating objects.

use serde_json::{Value, json};

use super::{Answer, failure, id_of, shown};
use crate::testkit::{
    call::Call,
    kinds::FakeKind,
    ownership::Owners,
    store::{Id, Store, set_meta},
};

pub(super) fn create(store: &mut Store, call: &Call, kind: &FakeKind) -> Answer {
    let Ok(mut object) = serde_json::from_slice::<Value>(&call.body) else {
        return failure(400, "BadRequest", "the body is not JSON");
    };
    let meta = &object["metadata"];
    if meta["name"].as_str().is_none_or(str::is_empty) {
        let Some(prefix) = meta["generateName"].as_str().map(str::to_owned) else {
            return failure(
                422,
                "Invalid",
                "metadata.name: Required value: name or generateName is required",
            );
        };
        let name = format!("{prefix}{}", store.next_suffix());
        set_meta(&mut object, "name", json!(name));
    }
    let name = object["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let id = Id {
        name,
        ..id_of(call)
    };
    if store.objects.contains_key(&id) {
        let message = format!("{} {:?} already exists", call.plural, id.name);
        return failure(409, "AlreadyExists", &message);
    }
    let object = born(store, &id, object, kind);
    let mut owners = Owners::default();
    owners.updated(call.manager(), &Value::Null, &object);
    if call.is_dry_run() {
        return (201, shown(object, call));
    }
    (201, shown(store.commit(&id, object, owners), call))
}

/// Fills in what the server gives to every new object.
pub(in crate::testkit) fn born(
    store: &mut Store,
    id: &Id,
    mut object: Value,
    kind: &FakeKind,
) -> Value {
    object["apiVersion"] = json!(kind.api_version());
    object["kind"] = json!(kind.kind);
    let (uid, now) = (store.next_uid(), store.now());
    set_meta(&mut object, "uid", json!(uid));
    set_meta(&mut object, "creationTimestamp", json!(now));
    set_meta(&mut object, "generation", json!(1));
    if kind.namespaced {
        set_meta(&mut object, "namespace", json!(id.namespace));
    }
    if let Some(map) = object.as_object_mut().filter(|_| kind.status) {
        map.remove("status");
    }
    object
}
