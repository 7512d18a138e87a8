//! The verbs of the API on the store.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    call::Call,
    kinds::FakeKind,
    ownership::Owners,
    patch,
    store::{Id, Store, finalizers, set_meta},
};
use crate::kube_types::Selector;

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
    let answer = match call.verb {
        "get" => get(store, call),
        "list" => list(store, call, &kind),
        "create" if call.subresource == "token" => token(store),
        "create" => create(store, call, &kind),
        "update" => update(store, call, &kind),
        "patch" => patch_verb(store, call, &kind),
        "delete" => delete(store, call),
        "deletecollection" => delete_collection(store, call),
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

/// Label and field selectors of a request.
pub(super) struct Filter {
    labels: Selector,
    fields: Vec<(String, String, bool)>,
    pub(super) group: String,
    pub(super) plural: String,
    pub(super) namespace: String,
}

impl Filter {
    pub(super) fn of(call: &Call) -> Result<Self, Answer> {
        let bad = |text: String| failure(400, "BadRequest", &text);
        let labels = call
            .parameter("labelSelector")
            .parse()
            .map_err(|error| bad(format!("unable to parse the label selector: {error}")))?;
        let mut fields = Vec::new();
        for part in call
            .parameter("fieldSelector")
            .split(',')
            .filter(|part| !part.is_empty())
        {
            let (path, value, equal) = if let Some((path, value)) = part.split_once("!=") {
                (path, value, false)
            } else if let Some((path, value)) = part.split_once('=') {
                (path, value.trim_start_matches('='), true)
            } else {
                return Err(bad(format!("invalid field selector {part:?}")));
            };
            fields.push((path.to_owned(), value.to_owned(), equal));
        }
        let (group, plural) = (call.group.clone(), call.plural.clone());
        Ok(Self {
            labels,
            fields,
            group,
            plural,
            namespace: call.namespace.clone(),
        })
    }

    pub(super) fn takes(&self, id: &Id, object: &Value) -> bool {
        let place = id.group == self.group
            && id.plural == self.plural
            && (self.namespace.is_empty() || id.namespace == self.namespace);
        let labels = &object["metadata"]["labels"];
        let field = |path: &str| {
            let pointer = format!("/{}", path.replace('.', "/"));
            let found = object.pointer(&pointer).cloned().unwrap_or(Value::Null);
            found.as_str().map_or_else(
                || {
                    if found.is_null() {
                        String::new()
                    } else {
                        found.to_string()
                    }
                },
                str::to_owned,
            )
        };
        place
            && self.labels.matches_with(|key| labels[key].as_str())
            && self
                .fields
                .iter()
                .all(|(path, value, equal)| (field(path) == *value) == *equal)
    }
}

fn list(store: &Store, call: &Call, kind: &FakeKind) -> Answer {
    let filter = match Filter::of(call) {
        Ok(filter) => filter,
        Err(answer) => return answer,
    };
    let found: Vec<(&Id, &Value)> = store
        .objects
        .iter()
        .map(|(id, stored)| (id, &stored.object))
        .filter(|(id, object)| filter.takes(id, object))
        .collect();
    // The continue token is the position; that the list may change between pages is part of life.
    let start: usize = call.parameter("continue").parse().unwrap_or(0);
    let limit: usize = call.parameter("limit").parse().unwrap_or(usize::MAX).max(1);
    let page: Vec<Value> = found
        .iter()
        .skip(start)
        .take(limit)
        .map(|(_, object)| shown((*object).clone(), call))
        .collect();
    let next = start.saturating_add(page.len());
    let mut metadata = json!({"resourceVersion": store.version.to_string()});
    if next < found.len() {
        metadata["continue"] = json!(next.to_string());
        metadata["remainingItemCount"] = json!(found.len() - next);
    }
    let (list_kind, api_version) = if call.metadata_only {
        (
            "PartialObjectMetadataList".to_owned(),
            "meta.k8s.io/v1".to_owned(),
        )
    } else {
        (format!("{}List", kind.kind), kind.api_version())
    };
    (
        200,
        json!({"kind": list_kind, "apiVersion": api_version, "metadata": metadata, "items": page}),
    )
}

fn create(store: &mut Store, call: &Call, kind: &FakeKind) -> Answer {
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
pub(super) fn born(store: &mut Store, id: &Id, mut object: Value, kind: &FakeKind) -> Value {
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

fn update(store: &mut Store, call: &Call, kind: &FakeKind) -> Answer {
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

fn patch_verb(store: &mut Store, call: &Call, kind: &FakeKind) -> Answer {
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
        patch::overlay(&mut next, &body, "", true);
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
            return (201, object);
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
    patch::overlay(&mut next, &wanted, "", false);
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
        return (200, shown(next, call));
    }
    if *before == next {
        // A write that changes nothing makes no new version and no event, but may change owners.
        if let Some(stored) = store.objects.get_mut(id) {
            stored.owners = owners;
        }
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

fn delete(store: &mut Store, call: &Call) -> Answer {
    let id = id_of(call);
    let Some(stored) = store.objects.get(&id) else {
        return not_found(call);
    };
    let options: Value = serde_json::from_slice(&call.body).unwrap_or(Value::Null);
    let meta = stored.object["metadata"].clone();
    for name in ["uid", "resourceVersion"] {
        if options["preconditions"][name]
            .as_str()
            .is_some_and(|wanted| meta[name] != wanted)
        {
            return conflict(call, "the precondition does not match");
        }
    }
    if call.is_dry_run()
        || options["dryRun"]
            .as_array()
            .is_some_and(|list| !list.is_empty())
    {
        return (200, stored.object.clone());
    }
    let uid = meta["uid"].as_str().unwrap_or_default().to_owned();
    let policy = match call.parameter("propagationPolicy") {
        "" => options["propagationPolicy"]
            .as_str()
            .unwrap_or("Background")
            .to_owned(),
        policy => policy.to_owned(),
    };
    if policy == "Orphan" {
        store.orphan_dependents(&uid);
    }
    let finalizer = (policy == "Foreground").then_some("foregroundDeletion");
    let answer = match store.delete(&id, finalizer) {
        Some((_, true)) => {
            let details = json!({"name": id.name, "kind": call.plural, "uid": uid});
            (
                200,
                json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}),
            )
        }
        Some((object, false)) => (200, object),
        None => not_found(call),
    };
    if policy == "Foreground" {
        store.delete_dependents(&uid);
    }
    answer
}

fn delete_collection(store: &mut Store, call: &Call) -> Answer {
    let filter = match Filter::of(call) {
        Ok(filter) => filter,
        Err(answer) => return answer,
    };
    let ids: Vec<Id> = store
        .objects
        .iter()
        .filter(|(id, stored)| filter.takes(id, &stored.object))
        .map(|(id, _)| id.clone())
        .collect();
    for id in ids {
        store.delete(&id, None);
    }
    (
        200,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}),
    )
}

/// Labels as a map, for tests and listings.
pub(super) fn labels_of(object: &Value) -> BTreeMap<String, String> {
    let map = object["metadata"]["labels"].as_object();
    map.into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}
