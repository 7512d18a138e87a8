//! The objects of a fake API server: versions, events, deletion, garbage collection.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{call::Call, kinds::FakeKind, ownership::Owners};
use crate::clock::Clock;

/// Group, plural, namespace, name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    pub(super) group: String,
    pub(super) plural: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) object: Value,
    pub(super) owners: Owners,
}

/// One change, with the object before and after.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) id: Id,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
    /// The object as it was deleted, with the version of the deletion.
    pub(super) last: Value,
}

#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) kinds: Vec<FakeKind>,
    pub(super) objects: BTreeMap<Id, Stored>,
    pub(super) log: Vec<Change>,
    /// Versions up to here can no longer be watched from.
    pub(super) compacted: u64,
    pub(super) version: u64,
    pub(super) clock: Clock,
    uids: u64,
    /// Owners that are gone; their dependents are collected.
    dead: BTreeSet<String>,
}

impl Store {
    pub(super) fn new(kinds: Vec<FakeKind>, clock: Clock) -> Self {
        Self {
            kinds,
            clock,
            ..Self::default()
        }
    }

    /// The kind that a request is about, in the version that it names.
    pub(super) fn kind(&self, call: &Call) -> Option<&FakeKind> {
        let (group, version, plural) = (&call.group, &call.version, &call.plural);
        self.kinds
            .iter()
            .find(|kind| kind.group == *group && kind.version == *version && kind.plural == *plural)
    }

    pub(super) fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// A uid that looks like one and counts up, so that transcripts are stable.
    pub(super) fn next_uid(&mut self) -> String {
        self.uids += 1;
        format!("00000000-0000-4000-8000-{:012}", self.uids)
    }

    pub(super) fn next_suffix(&mut self) -> String {
        self.uids += 1;
        // An odd multiplier spreads consecutive numbers over the whole alphabet.
        crate::kube_types::names::random_suffix(
            self.uids.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 8,
            5,
        )
    }

    pub(super) fn now(&self) -> String {
        let now = self.clock.now();
        jiff::Timestamp::from_second(now.as_second())
            .unwrap_or(now)
            .to_string()
    }

    /// Stores a new state of an object and notifies the watchers. `after` gets its resourceVersion.
    pub(super) fn commit(&mut self, id: &Id, mut after: Value, owners: Owners) -> Value {
        let version = self.next_version();
        set_meta(&mut after, "resourceVersion", json!(version.to_string()));
        let api_version = after["apiVersion"].as_str().unwrap_or_default().to_owned();
        let managed = owners.managed_fields(&api_version);
        set_meta(&mut after, "managedFields", managed);
        let stored = Stored {
            object: after.clone(),
            owners,
        };
        let before = self
            .objects
            .insert(id.clone(), stored)
            .map(|stored| stored.object);
        let change = Change {
            version,
            id: id.clone(),
            before,
            after: Some(after.clone()),
            last: after.clone(),
        };
        self.log.push(change);
        after
    }

    /// Takes an object out and collects what it owned.
    pub(super) fn erase(&mut self, id: &Id) -> Option<Value> {
        let stored = self.objects.remove(id)?;
        let version = self.next_version();
        let mut last = stored.object.clone();
        set_meta(&mut last, "resourceVersion", json!(version.to_string()));
        self.log.push(Change {
            version,
            id: id.clone(),
            before: Some(stored.object),
            after: None,
            last: last.clone(),
        });
        if let Some(uid) = last["metadata"]["uid"].as_str() {
            self.dead.insert(uid.to_owned());
        }
        Some(last)
    }

    /// Marks an object as being deleted, or erases it when nothing holds it.
    /// Returns the object and whether it is gone.
    pub(super) fn delete(&mut self, id: &Id, finalizer: Option<&str>) -> Option<(Value, bool)> {
        let stored = self.objects.get(id)?.clone();
        let mut object = stored.object;
        if let Some(finalizer) = finalizer {
            let mut list = finalizers(&object);
            if !list.iter().any(|name| name == finalizer) {
                list.push(finalizer.to_owned());
            }
            set_meta(&mut object, "finalizers", json!(list));
        }
        if finalizers(&object).is_empty() {
            return self.erase(id).map(|last| (last, true));
        }
        if object["metadata"].get("deletionTimestamp").is_some() {
            return Some((object, false));
        }
        let now = self.now();
        set_meta(&mut object, "deletionTimestamp", json!(now));
        set_meta(&mut object, "deletionGracePeriodSeconds", json!(0));
        let generation = object["metadata"]["generation"].as_i64().unwrap_or(1) + 1;
        set_meta(&mut object, "generation", json!(generation));
        Some((self.commit(id, object, stored.owners), false))
    }

    /// Plays the garbage collector until nothing is left to do.
    pub(super) fn collect_garbage(&mut self) {
        loop {
            let dead = &self.dead;
            let orphan = self.objects.iter().find_map(|(id, stored)| {
                let owners = owner_uids(&stored.object);
                let gone = !owners.is_empty() && owners.iter().all(|uid| dead.contains(uid));
                let marked = stored.object["metadata"].get("deletionTimestamp").is_some();
                (gone && !marked).then(|| id.clone())
            });
            if let Some(id) = orphan {
                self.delete(&id, None);
                continue;
            }
            let Some(id) = self.finished_foreground() else {
                return;
            };
            self.erase(&id);
        }
    }

    /// An object whose foreground deletion waits for nothing any more.
    fn finished_foreground(&self) -> Option<Id> {
        self.objects.iter().find_map(|(id, stored)| {
            let waits = finalizers(&stored.object);
            let uid = stored.object["metadata"]["uid"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            let alone = !self
                .objects
                .values()
                .any(|other| owner_uids(&other.object).contains(&uid));
            (waits == ["foregroundDeletion"] && alone).then(|| id.clone())
        })
    }

    /// Deletes the dependents of an object that waits for them.
    pub(super) fn delete_dependents(&mut self, uid: &str) {
        let dependents: Vec<Id> = self
            .objects
            .iter()
            .filter(|(_, stored)| owner_uids(&stored.object).iter().any(|owner| owner == uid))
            .map(|(id, _)| id.clone())
            .collect();
        for id in dependents {
            self.delete(&id, None);
        }
    }

    /// Removes the references to an owner that leaves its dependents behind.
    pub(super) fn orphan_dependents(&mut self, uid: &str) {
        let dependents: Vec<Id> = self
            .objects
            .iter()
            .filter(|(_, stored)| owner_uids(&stored.object).iter().any(|owner| owner == uid))
            .map(|(id, _)| id.clone())
            .collect();
        for id in dependents {
            let Some(stored) = self.objects.get(&id).cloned() else {
                continue;
            };
            let mut object = stored.object;
            if let Some(list) = object["metadata"]["ownerReferences"].as_array_mut() {
                list.retain(|owner| owner["uid"] != uid);
            }
            self.commit(&id, object, stored.owners);
        }
    }
}

pub(super) fn finalizers(object: &Value) -> Vec<String> {
    let list = object["metadata"]["finalizers"].as_array();
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn owner_uids(object: &Value) -> Vec<String> {
    let list = object["metadata"]["ownerReferences"].as_array();
    list.into_iter()
        .flatten()
        .filter_map(|owner| owner["uid"].as_str())
        .map(str::to_owned)
        .collect()
}

/// Sets a field of the metadata.
pub(super) fn set_meta(object: &mut Value, name: &str, value: Value) {
    if !object["metadata"].is_object() {
        object["metadata"] = Value::Object(Map::new());
    }
    object["metadata"][name] = value;
}
