//! Updates, patches and server-side apply.

use serde_json::{Map, Value, json};

use super::{Answer, conflict, create::born, failure, id_of, not_found, shown};
use crate::testkit::{
    call::Call,
    kinds::FakeKind,
    ownership::Owners,
    patch,
    store::{Id, Store, Stored, finalizers, set_meta},
};

pub(super) fn update(store: &mut Store, call: &Call, kind: &FakeKind) -> Answer {
    let Ok(new) = serde_json::from_slice::<Value>(&call.body) else {
        return failure(400, "BadRequest", "the body is not JSON");
    };
    let id = id_of(call);
    let Some(stored) = store.objects.get(&id).cloned() else {
        return not_found(call);
    };
    let mut owners = stored.owners.clone();
    let next = match settle(&stored.object, new, call, kind) {
        Ok(next) => next,
        Err(answer) => return answer,
    };
    owners.updated(call.manager(), &stored.object, &next);
    write(store, call, &id, &stored.object, next, owners)
}

pub(super) fn patch_verb(store: &mut Store, call: &Call, kind: &FakeKind) -> Answer {
    let Ok(body) = serde_json::from_slice::<Value>(&call.body) else {
        return failure(400, "BadRequest", "the body is not JSON");
    };
    if call.content_type.contains("apply-patch") {
        return apply(store, call, kind, &body);
    }
    let id = id_of(call);
    let Some(stored) = store.objects.get(&id).cloned() else {
        return not_found(call);
    };
    let mut next = stored.object.clone();
    if call.content_type.contains("json-patch") {
        let operations: json_patch::Patch = match serde_json::from_value(body) {
            Ok(operations) => operations,
            Err(error) => return failure(400, "BadRequest", &error.to_string()),
        };
        if let Err(error) = json_patch::patch(&mut next, &operations) {
            return failure(422, "Invalid", &error.to_string());
        }
    } else if call.content_type.contains("strategic-merge") {
        patch::overlay(&mut next, &body, "", patch::Nulls::Delete);
    } else {
        patch::merge(&mut next, &body);
    }
    // A patch that names a version is conditional; one that does not is never in conflict.
    if body_version(&call.body).is_none() {
        next["metadata"]["resourceVersion"] = stored.object["metadata"]["resourceVersion"].clone();
    }
    let next = match settle(&stored.object, next, call, kind) {
        Ok(next) => next,
        Err(answer) => return answer,
    };
    let mut owners = stored.owners.clone();
    owners.updated(call.manager(), &stored.object, &next);
    write(store, call, &id, &stored.object, next, owners)
}

fn body_version(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    value["metadata"]["resourceVersion"]
        .as_str()
        .map(str::to_owned)
}

fn apply(store: &mut Store, call: &Call, kind: &FakeKind, wanted: &Value) -> Answer {
    let id = id_of(call);
    let manager = call.manager().to_owned();
    let force = call.parameter("force") == "true";
    let Some(stored) = store.objects.get(&id).cloned() else {
        if !call.subresource.is_empty() {
            return not_found(call);
        }
        let mut object = born(store, &id, wanted.clone(), kind);
        set_meta(&mut object, "name", json!(id.name));
        let mut owners = Owners::default();
        owners.applied(&manager, &Value::Null, wanted);
        if call.is_dry_run() {
            return (201, with_owners(object, &owners));
        }
        return (201, store.commit(&id, object, owners));
    };
    let mut wanted = wanted.clone();
    if call.subresource == "status" {
        wanted = json!({"status": wanted["status"]});
    } else if kind.status
        && let Some(map) = wanted.as_object_mut()
    {
        map.remove("status");
    }
    let conflicts = stored.owners.conflicts(&manager, &stored.object, &wanted);
    if let (false, Some(first)) = (force, conflicts.first()) {
        let message = format!(
            "Apply failed with {} conflicts: conflict with {:?}: {}",
            conflicts.len(),
            first.manager,
            first.field
        );
        return failure(409, "Conflict", &message);
    }
    let mut next = stored.object.clone();
    patch::remove_all(&mut next, &stored.owners.abandoned(&manager, &wanted));
    patch::overlay(&mut next, &wanted, "", patch::Nulls::Ignore);
    let mut owners = stored.owners.clone();
    owners.applied(&manager, &stored.object, &wanted);
    let next = match settle(&stored.object, next, call, kind) {
        Ok(next) => next,
        Err(answer) => return answer,
    };
    write(store, call, &id, &stored.object, next, owners)
}

/// What may change: checks versions, keeps server-owned fields, separates status.
fn settle(before: &Value, mut next: Value, call: &Call, kind: &FakeKind) -> Result<Value, Answer> {
    let current = &before["metadata"];
    let sent = next["metadata"]["resourceVersion"].as_str();
    if sent.is_some_and(|version| !version.is_empty() && current["resourceVersion"] != version) {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        return Err(conflict(call, why));
    }
    if next["metadata"]["uid"]
        .as_str()
        .is_some_and(|uid| current["uid"] != uid)
    {
        return Err(conflict(call, "the UID in the precondition does not match"));
    }
    for name in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "resourceVersion",
        "generation",
    ] {
        if let Some(value) = current.get(name) {
            set_meta(&mut next, name, value.clone());
        }
    }
    for name in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
    ] {
        match current.get(name) {
            Some(value) => set_meta(&mut next, name, value.clone()),
            None => drop(next["metadata"].as_object_mut().map(|map| map.remove(name))),
        }
    }
    next["apiVersion"] = before["apiVersion"].clone();
    next["kind"] = before["kind"].clone();
    if call.subresource == "status" {
        let status = next.get("status").cloned();
        next = before.clone();
        match status {
            Some(status) => next["status"] = status,
            None => drop(next.as_object_mut().map(|map| map.remove("status"))),
        }
    } else if kind.status {
        match before.get("status") {
            Some(status) => next["status"] = status.clone(),
            None => drop(next.as_object_mut().map(|map| map.remove("status"))),
        }
    }
    Ok(next)
}

/// Stores `next` when it differs; erases it when its last finalizer went.
fn write(
    store: &mut Store,
    call: &Call,
    id: &Id,
    before: &Value,
    mut next: Value,
    owners: Owners,
) -> Answer {
    if desired(before) != desired(&next) {
        let generation = before["metadata"]["generation"].as_i64().unwrap_or(1) + 1;
        set_meta(&mut next, "generation", json!(generation));
    }
    if call.is_dry_run() {
        return (200, shown(with_owners(next, &owners), call));
    }
    let known = |stored: &Stored| stored.owners == owners;
    if *before == next && store.objects.get(id).is_some_and(known) {
        // A write that changes nothing, not even who owns what, makes no new version and no event.
        return (200, shown(next, call));
    }
    let next = store.commit(id, next, owners);
    let deleting = next["metadata"].get("deletionTimestamp").is_some();
    if deleting && finalizers(&next).is_empty() {
        store.erase(id);
    }
    (200, shown(next, call))
}

/// The part of an object whose change counts as a new generation.
fn desired(object: &Value) -> Map<String, Value> {
    let mut map = object.as_object().cloned().unwrap_or_default();
    map.remove("metadata");
    map.remove("status");
    map
}

/// The answer of a dry run shows whose the fields would be.
fn with_owners(mut object: Value, owners: &Owners) -> Value {
    let api_version = object["apiVersion"].as_str().unwrap_or_default().to_owned();
    set_meta(
        &mut object,
        "managedFields",
        owners.managed_fields(&api_version),
    );
    object
}
