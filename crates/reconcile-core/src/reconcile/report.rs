//! What a pass tells the world: patches of the root object and Events.

use serde_json::{Map, Value};

/// What the root object and its readers should be told after a pass.
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

/// A Kubernetes Event about the root object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventNote {
    /// Normal or Warning.
    pub type_: EventType,
    /// Reason in upper camel case, as upstream spells it.
    pub reason: String,
    /// The message.
    pub note: String,
}

/// Severity of an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// Information.
    Normal,
    /// Something a person should look at.
    Warning,
}

impl EventType {
    /// As Kubernetes spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

impl EventNote {
    /// An informational Event.
    pub fn normal(reason: impl Into<String>, note: impl Into<String>) -> Self {
        Self {
            type_: EventType::Normal,
            reason: reason.into(),
            note: note.into(),
        }
    }

    /// An Event that a person should look at.
    pub fn warning(reason: impl Into<String>, note: impl Into<String>) -> Self {
        Self {
            type_: EventType::Warning,
            reason: reason.into(),
            note: note.into(),
        }
    }
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
