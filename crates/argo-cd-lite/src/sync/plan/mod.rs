//! One step of a sync, decided from what is known; nothing here reads or writes.

mod build;
mod compact;
mod engine;
mod messages;
mod order;
mod settle;
mod task;

pub use build::{BuildInput, build, hook_name};
pub use compact::{compact, expand};
pub use messages::{deletion_message, join_reasons};
pub use order::kind_rank;
pub use task::{Task, TaskKind};

use std::fmt;

use crate::{
    api::{Phase, ResourceResult},
    clusters::ResourceId,
    health::Code,
    sync::DeletePolicy,
};
use engine::Engine;

/// What the next step of a sync is.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing to do until something in the cluster changes.
    Wait(String),
    /// Delete what earlier syncs left of hooks that are due, then look again.
    Replace(Vec<HookObject>),
    /// Carry out tasks.
    Run(RunStep),
    /// The operation has ended.
    Finish {
        /// How.
        phase: Phase,
        /// Message for people.
        message: String,
        /// Hooks whose policy asks for deletion at this end.
        delete: Vec<HookObject>,
    },
}

/// Tasks to carry out, group after group; all tasks of a group at the same time.
#[derive(Clone, Debug, PartialEq)]
pub struct RunStep {
    /// The message meanwhile.
    pub message: String,
    /// Tasks to try without effect first; when one is refused, nothing of this stage is applied.
    pub dry_run: Vec<Task>,
    /// The tasks.
    pub groups: Vec<Vec<Task>>,
    /// Nothing is left to wait for afterwards: success ends the operation.
    pub last: bool,
}

/// A hook's live object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookObject {
    /// What identifies it.
    pub id: ResourceId,
    /// Its uid.
    pub uid: String,
    /// It still carries the hook finalizer.
    pub finalizer: bool,
    /// Delete it, too.
    pub delete: bool,
}

impl fmt::Display for HookObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.delete { "delete" } else { "release" };
        write!(f, "{what} {}", self.id)
    }
}

/// A decision about a sync.
#[derive(Clone, Debug, PartialEq)]
pub struct Advance {
    /// Results with what was learnt since the last step.
    pub results: Vec<ResourceResult>,
    /// Finished hooks that still carry the finalizer.
    pub release: Vec<HookObject>,
    /// What to do.
    pub step: Step,
}

/// Decides the next step for `tasks`, which are in order, with the `results` so far. `operation` settings
/// the hooks of this operation.
pub fn advance(tasks: &[Task], results: &[ResourceResult], operation: &str) -> Advance {
    let mut engine = Engine::new(tasks, expand(results, tasks), operation);
    let step = engine.step();
    Advance {
        results: engine.results,
        release: engine.release,
        step,
    }
}

/// Decides how to end a sync that somebody wants to end: running hooks are deleted, finished ones keep
/// their result.
pub fn terminate(tasks: &[Task], results: &[ResourceResult], operation: &str) -> Advance {
    let mut engine = Engine::new(tasks, expand(results, tasks), operation);
    engine.adopt();
    engine.learn();
    let mut delete = engine.hooks_with(DeletePolicy::HookFailed);
    for (at, task) in tasks.iter().enumerate().filter(|(_, task)| task.is_hook()) {
        if !engine.is_running(at) {
            continue;
        }
        if let Some(row) = engine.rows[at].and_then(|row| engine.results.get_mut(row)) {
            row.hook_phase = Some(Phase::Failed);
            "Terminated".clone_into(&mut row.message);
        }
        let known = |hook: &HookObject| delete.iter().any(|gone| gone.id == hook.id);
        let running = task.hook_object(true).filter(|hook| !known(hook));
        delete.extend(running);
    }
    Advance {
        results: engine.results,
        release: engine.release,
        step: Step::Finish {
            phase: Phase::Failed,
            message: "Operation terminated".to_owned(),
            delete,
        },
    }
}

/// The phase of an object after a look at its health.
pub fn phase_of(code: Option<Code>) -> Phase {
    match code {
        None | Some(Code::Healthy) => Phase::Succeeded,
        Some(Code::Degraded) => Phase::Failed,
        Some(_) => Phase::Running,
    }
}

#[cfg(test)]
mod tests;
