//! The verbs of the API on the store.

mod create;
mod delete;
mod list;
mod update;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    call::Call,
    store::{Id, Store},
};

pub(super) use create::born;
pub(super) use list::Filter;

/// A status code and a body.
pub(super) type Answer = (u16, Value);

pub(super) fn failure(code: u16, reason: &str, message: &str) -> Answer {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": message,
    });
    (code, body)
}

fn not_found(call: &Call) -> Answer {
    let message = format!("{} {:?} not found", call.plural, call.name);
    failure(404, "NotFound", &message)
}

fn conflict(call: &Call, why: &str) -> Answer {
    let message = format!(
        "Operation cannot be fulfilled on {} {:?}: {why}",
        call.plural, call.name
    );
    failure(409, "Conflict", &message)
}

/// Everything but `watch`.
pub(super) fn handle(store: &mut Store, call: &Call) -> Answer {
    if call.plural.ends_with("accessreviews") && call.verb == "create" {
        return review(call);
    }
    let Some(kind) = store.kind(call).cloned() else {
        return failure(
            404,
            "NotFound",
            "the server could not find the requested resource",
        );
    };
    if call.subresource == "status" && !kind.status {
        return failure(
            404,
            "NotFound",
            "the server could not find the requested resource",
        );
    }
    let answer = match call.verb {
        "get" => get(store, call),
        "list" => list::list(store, call, &kind),
        "create" if call.subresource == "token" => token(store),
        "create" if call.subresource == "eviction" => delete::delete(store, call),
        "create" => create::create(store, call, &kind),
        "update" => update::update(store, call, &kind),
        "patch" => update::patch_verb(store, call, &kind),
        "delete" => delete::delete(store, call),
        "deletecollection" => delete::delete_collection(store, call),
        _ => failure(
            405,
            "MethodNotAllowed",
            "the server does not allow this method",
        ),
    };
    store.collect_garbage();
    answer
}

fn review(call: &Call) -> Answer {
    let mut body: Value = serde_json::from_slice(&call.body).unwrap_or(Value::Null);
    body["status"] = json!({"allowed": true});
    (201, body)
}

fn token(store: &mut Store) -> Answer {
    let token = format!("token-{}", store.next_suffix());
    let status = json!({"token": token, "expirationTimestamp": "2100-01-01T00:00:00Z"});
    (
        201,
        json!({
            "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "metadata": {},
            "spec": {"audiences": []}, "status": status,
        }),
    )
}

fn id_of(call: &Call) -> Id {
    Id {
        group: call.group.clone(),
        plural: call.plural.clone(),
        namespace: call.namespace.clone(),
        name: call.name.clone(),
    }
}

fn get(store: &Store, call: &Call) -> Answer {
    match store.objects.get(&id_of(call)) {
        Some(stored) => (200, shown(stored.object.clone(), call)),
        None => not_found(call),
    }
}

/// The object, or only its metadata when that was asked for.
pub(super) fn shown(object: Value, call: &Call) -> Value {
    if !call.metadata_only {
        return object;
    }
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}

/// Labels as a map, for tests and listings.
pub(super) fn labels_of(object: &Value) -> BTreeMap<String, String> {
    let map = object["metadata"]["labels"].as_object();
    map.into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}
