//! Deletions.

use serde_json::{Value, json};

use super::{Answer, conflict, id_of, list::Filter, not_found};
use crate::testkit::{
    call::Call,
    store::{Id, Store},
};

pub(super) fn delete(store: &mut Store, call: &Call) -> Answer {
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

pub(super) fn delete_collection(store: &mut Store, call: &Call) -> Answer {
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
