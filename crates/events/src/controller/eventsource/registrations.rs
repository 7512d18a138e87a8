//! What events have registered at services: which of it is to go with its event.
//!
//! `status.registered` remembers the settings of every event that wants this, because nothing else tells where a webhook is
//! once its event has left the manifest.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::removal::RemovalState;
use crate::source::{TaskEvent, hook, kind::SourceKind, registered::Registered, registry};

/// The member of the status.
pub const MEMBER: &str = "registered";
/// Records that are read from a status.
const MOST: usize = 500;
/// Settings that no service knows of.
const OURS: [&str; 2] = ["filter", "metadata"];

/// An event with something at its service that goes with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The key below `spec`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The event.
    pub event: String,
    /// Its settings when it was registered: where it is, and which Secrets permit to remove it.
    pub settings: Value,
}

impl Record {
    /// The record of an event, if it wants one.
    fn of(task: &TaskEvent) -> Option<Self> {
        let ends = task
            .source
            .registered()
            .is_some_and(Registered::ends_with_event);
        let mut settings = ends.then(|| task.config.clone())?;
        if let Some(settings) = settings.as_object_mut() {
            settings.retain(|field, _| !OURS.contains(&field.as_str()));
        }
        Some(Self {
            kind: task.kind.key.to_owned(),
            event: task.event.clone(),
            settings,
        })
    }

    fn is_of(&self, task: &TaskEvent) -> bool {
        self.kind == task.kind.key && self.event == task.event
    }

    /// The event as it was; `None` for one that this program cannot read.
    pub(super) fn task(&self) -> Option<TaskEvent> {
        TaskEvent::check(kind_of(&self.kind)?, &self.event, &self.settings).ok()
    }

    /// Whether everything of it is among `names`.
    fn is_within(&self, names: &BTreeSet<String>, uid: &str) -> bool {
        let task = self.task();
        task.is_some_and(|task| names_of(&task, uid).is_subset(names))
    }
}

fn kind_of(key: &str) -> Option<&'static SourceKind> {
    let hooks = hook::ALL.iter().filter(|kind| kind.key == key);
    let registrations = hooks.filter_map(|kind| Some(&kind.registration?.task));
    let kinds = registry::ALL.iter().copied().filter(|kind| kind.key == key);
    registrations.chain(kinds).next()
}

fn names_of(task: &TaskEvent, uid: &str) -> BTreeSet<String> {
    let registered = task.source.registered();
    registered.map_or_else(BTreeSet::new, |it| it.names(uid, &task.event))
}

/// What one pass knows of it.
#[derive(Clone, Debug, Default)]
pub struct Registrations {
    /// Of events that are there.
    pub live: Vec<Record>,
    /// Of events that are not there any more, or have other settings: to be removed.
    pub stale: Vec<Record>,
    /// Names of what events use, which stays.
    pub in_use: BTreeSet<String>,
    /// How far the removal of `stale` is; `None` when it has not begun.
    pub removal: Option<RemovalState>,
}

/// The EventSource as far as this needs it.
pub(in crate::controller) struct Manifest<'m> {
    pub(in crate::controller) uid: &'m str,
    pub(in crate::controller) spec: &'m Value,
    pub(in crate::controller) status: &'m Value,
    /// Its events; `None` for a spec that cannot be read.
    pub(in crate::controller) tasks: Option<&'m [TaskEvent]>,
    pub(in crate::controller) deleting: bool,
}

impl Registrations {
    /// Compares what was registered with what the manifest says now.
    pub(in crate::controller) fn of(manifest: &Manifest<'_>) -> Self {
        let mut before: Vec<Record> = manifest
            .status
            .get(MEMBER)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|record| serde_json::from_value(record.clone()).ok())
            .take(MOST)
            .collect();
        let tasks = manifest.tasks.unwrap_or_default();
        let mut now = Self {
            live: tasks.iter().filter_map(Record::of).collect(),
            ..Self::default()
        };
        before.retain(|record| !now.live.contains(record));
        if manifest.deleting {
            now.stale = std::mem::take(&mut now.live);
            now.stale.extend(before);
            return now;
        }
        if manifest.tasks.is_none() {
            now.live = before;
            return now;
        }
        now.in_use = tasks
            .iter()
            .flat_map(|task| names_of(task, manifest.uid))
            .collect();
        for record in before {
            let there = manifest.spec.get(&record.kind);
            let there = there.is_some_and(|events| events.get(&record.event).is_some());
            match tasks.iter().find(|task| record.is_of(task)) {
                // It is to stay now.
                Some(task) if Record::of(task).is_none() => {}
                // Other settings, or gone.
                _ if record.is_within(&now.in_use, manifest.uid) => {}
                Some(_) => now.stale.push(record),
                None if !there => now.stale.push(record),
                // What is wrong with the event may be mended.
                None => now.live.push(record),
            }
        }
        now
    }

    /// The removal was tried to the end: the reasons of what stayed.
    pub fn left(&self) -> Option<&[String]> {
        match &self.removal {
            Some(RemovalState::Ended { left }) => Some(left),
            _ => None,
        }
    }

    /// Why nothing could be removed so far.
    pub fn trouble(&self) -> Option<&str> {
        match &self.removal {
            Some(RemovalState::Running { trouble }) => trouble.as_deref(),
            _ => None,
        }
    }

    /// Records for the status.
    pub fn records(&self) -> Vec<&Record> {
        let stale = self.stale.iter().filter(|_| self.left().is_none());
        self.live.iter().chain(stale).collect()
    }
}
