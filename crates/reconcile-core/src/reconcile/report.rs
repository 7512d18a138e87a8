//! The output of a pass: patches of the root object and Events.

use serde_json::{Map, Value};

use crate::event::EventNote;

/// What is written after a pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Merge patches of the root object, written in order; empty ones are skipped.
    pub patches: Vec<RootPatch>,
    /// Kubernetes Events about the root object.
    pub events: Vec<EventNote>,
    /// Run another pass at once, for planners that act on what this pass persisted.
    pub again: bool,
}

/// A JSON merge patch of the root object.
#[derive(Clone, Debug, PartialEq)]
pub struct RootPatch {
    /// Which endpoint takes it.
    pub target: Target,
    /// The patch: an object with the members to change, `null` removes one.
    pub body: Value,
    /// Refuse to write if the object changed since it was observed.
    pub guarded: bool,
}

/// The endpoint that takes a patch of the root object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The object itself.
    Main,
    /// The `status` subresource.
    Status,
}

impl Report {
    /// Adds the merge patch that turns `old` status into `new`, when they differ.
    pub fn status(&mut self, old: &Value, new: &Value) {
        self.status_at(Target::Status, old, new);
    }

    /// As [`Report::status`] for kinds without the status subresource.
    pub fn status_at(&mut self, target: Target, old: &Value, new: &Value) {
        if let Some(diff) = merge_diff(old, new) {
            self.patches.push(RootPatch {
                target,
                body: serde_json::json!({ "status": diff }),
                guarded: false,
            });
        }
    }

    /// Adds an Event.
    pub fn event(&mut self, event: EventNote) {
        self.events.push(event);
    }
}

/// The JSON merge patch (RFC 7386) that turns `old` into `new`; `None` when they are equal.
pub fn merge_diff(old: &Value, new: &Value) -> Option<Value> {
    if old == new {
        return None;
    }
    into_merge_diff(old, new.clone())
}

/// As [`merge_diff`], made of the parts of `new`: a status of thousands of objects is not copied.
pub fn into_merge_diff(old: &Value, new: Value) -> Option<Value> {
    if *old == new {
        return None;
    }
    let Value::Object(before) = old else {
        return Some(new);
    };
    let after = match new {
        Value::Object(after) => after,
        other => return Some(other),
    };
    let mut patch = Map::new();
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in after {
        let changed = match before.get(&key) {
            Some(previous) => into_merge_diff(previous, value),
            None => Some(value),
        };
        if let Some(changed) = changed {
            patch.insert(key, changed);
        }
    }
    Some(Value::Object(patch))
}
