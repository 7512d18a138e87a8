//! One task of a sync.

use std::{fmt, sync::Arc};

use crate::{
    api::{Phase, ResourceResult},
    clusters::{Live, ResourceId},
    sync::{DeletePolicy, SyncPhase, SyncSettings},
};

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// Apply the target with this index.
    Apply(usize),
    /// Apply the target with this index as a hook.
    Hook(usize),
    /// Delete the object.
    Prune,
    /// Delete the object once a person has confirmed it.
    ConfirmPrune,
    /// The object should go, but pruning is off for it; say so.
    SkipPrune(&'static str),
}

/// One task.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// What identifies the object. Hooks with `generateName` have got their name here.
    pub id: ResourceId,
    /// API version without the group.
    pub version: Arc<str>,
    /// What to do.
    pub kind: TaskKind,
    /// When.
    pub phase: SyncPhase,
    /// When within the phase.
    pub wave: i32,
    /// The annotations of the object.
    pub settings: SyncSettings,
    /// The live object.
    pub live: Option<Arc<Live>>,
}

impl Task {
    /// True for hooks.
    pub fn is_hook(&self) -> bool {
        matches!(self.kind, TaskKind::Hook(_))
    }

    /// True when the object goes, or should go.
    pub fn is_delete(&self) -> bool {
        matches!(
            self.kind,
            TaskKind::Prune | TaskKind::ConfirmPrune | TaskKind::SkipPrune(_)
        )
    }

    /// Phase and wave.
    pub fn stage(&self) -> (SyncPhase, i32) {
        (self.phase, self.wave)
    }

    /// Index of the target.
    pub fn target(&self) -> Option<usize> {
        match self.kind {
            TaskKind::Apply(index) | TaskKind::Hook(index) => Some(index),
            TaskKind::Prune | TaskKind::ConfirmPrune | TaskKind::SkipPrune(_) => None,
        }
    }

    /// True when `row` is the result of this task.
    pub fn is_row(&self, row: &ResourceResult) -> bool {
        *row.name == *self.id.name
            && *row.namespace == *self.id.namespace
            && *row.kind == *self.id.kind.kind
            && *row.group == *self.id.kind.group
            && row.sync_phase == self.phase.word()
    }

    /// An empty result of this task.
    pub fn new_row(&self) -> ResourceResult {
        ResourceResult {
            group: self.id.kind.group.to_string(),
            version: self.version.to_string(),
            kind: self.id.kind.kind.to_string(),
            namespace: self.id.namespace.to_string(),
            name: self.id.name.to_string(),
            hook_type: if self.is_hook() {
                self.phase.word().to_owned()
            } else {
                String::new()
            },
            sync_phase: self.phase.word().to_owned(),
            hook_phase: Some(Phase::Running),
            ..ResourceResult::default()
        }
    }

    /// The live object, if this is a hook and there is one.
    pub fn hook_object(&self, delete: bool) -> Option<super::HookObject> {
        let live = self.live.as_ref()?;
        self.is_hook().then(|| super::HookObject {
            id: self.id.clone(),
            uid: live.uid.to_string(),
            finalizer: live.hook_finalizer,
            delete,
        })
    }

    /// True when this is a hook that is deleted at `end`.
    pub fn deletes(&self, end: DeletePolicy) -> bool {
        self.is_hook()
            && self
                .settings
                .hook
                .as_ref()
                .is_some_and(|hook| hook.delete.contains(&end))
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.kind {
            TaskKind::Apply(_) => "apply",
            TaskKind::Hook(_) => "run hook",
            TaskKind::Prune => "prune",
            TaskKind::ConfirmPrune => "prune after confirmation",
            TaskKind::SkipPrune(_) => "do not prune",
        };
        write!(
            f,
            "{verb} {} ({} wave {})",
            self.id,
            self.phase.word(),
            self.wave
        )
    }
}
