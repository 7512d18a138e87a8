//! One step of a sync, decided from what is known; nothing here reads or writes.

mod build;
mod order;
mod settle;
mod task;

pub use build::{BuildInput, build, hook_name};
pub use order::kind_rank;
pub use task::{Task, TaskKind};

use std::{collections::HashMap, fmt};

use crate::{
    api::{Phase, ResourceResult},
    cluster::ResourceId,
    health::Code,
    sync::{DeletePolicy, SyncPhase},
};

/// Messages of failed tasks that are put into the message of the operation.
const REASONS: usize = 5;

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
        /// In words.
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
    /// Try everything without effect first and stop when anything is refused.
    pub rehearse: Vec<Task>,
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

/// Decides the next step for `tasks`, which are in order, with the `results` so far. `operation` marks
/// the hooks of this operation.
pub fn advance(tasks: &[Task], results: &[ResourceResult], operation: &str) -> Advance {
    let mut engine = Engine {
        tasks,
        rows: rows_of(tasks, results),
        results: results.to_vec(),
        release: Vec::new(),
        operation,
    };
    let step = engine.step();
    Advance {
        results: engine.results,
        release: engine.release,
        step,
    }
}

/// Decides how to end a sync that somebody wants to end: running hooks are deleted.
pub fn terminate(tasks: &[Task], results: &[ResourceResult]) -> Advance {
    let rows = rows_of(tasks, results);
    let mut results = results.to_vec();
    let mut delete = Vec::new();
    for (task, row) in tasks.iter().zip(rows).filter(|(task, _)| task.is_hook()) {
        let Some(row) = row.and_then(|row| results.get_mut(row)) else {
            continue;
        };
        if row.hook_phase == Some(Phase::Running) {
            row.hook_phase = Some(Phase::Failed);
            "Terminated".clone_into(&mut row.message);
            delete.extend(task.hook_object(true));
        }
    }
    let step = Step::Finish {
        phase: Phase::Failed,
        message: "Operation terminated".to_owned(),
        delete,
    };
    Advance {
        results,
        release: Vec::new(),
        step,
    }
}

type RowKey<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str);

/// For each task the position of its result, found by one pass over both.
fn rows_of(tasks: &[Task], results: &[ResourceResult]) -> Vec<Option<usize>> {
    let known: HashMap<RowKey<'_>, usize> = results
        .iter()
        .enumerate()
        .map(|(at, row)| {
            let key: RowKey<'_> = (
                &row.group,
                &row.kind,
                &row.namespace,
                &row.name,
                &row.sync_phase,
            );
            (key, at)
        })
        .collect();
    tasks
        .iter()
        .map(|task| {
            let id = &task.id;
            let key: RowKey<'_> = (
                &id.kind.group,
                &id.kind.kind,
                &id.namespace,
                &id.name,
                task.phase.word(),
            );
            known.get(&key).copied()
        })
        .collect()
}

struct Engine<'a> {
    tasks: &'a [Task],
    /// Position of each task's result.
    rows: Vec<Option<usize>>,
    results: Vec<ResourceResult>,
    release: Vec<HookObject>,
    operation: &'a str,
}

impl<'a> Engine<'a> {
    fn step(&mut self) -> Step {
        self.adopt();
        self.learn();
        let multi_step = self.is_multi_step();
        let (failing, regular): (Vec<usize>, Vec<usize>) =
            (0..self.tasks.len()).partition(|at| self.tasks[*at].phase == SyncPhase::SyncFail);
        let mut waiting = regular
            .iter()
            .filter(|at| (multi_step || self.tasks[**at].is_hook()) && self.is_running(**at));
        if let Some(first) = waiting.next() {
            return Step::Wait(wait_message(&self.tasks[*first], waiting.count()));
        }
        if regular.iter().any(|at| self.failed(*at)) {
            return self.fail(&failing);
        }
        let pending: Vec<&Task> = self.pending(&regular);
        let Some(first) = pending.first() else {
            return self.succeed();
        };
        let wave = same_stage(&pending, first);
        if let Some(replace) = self.leftovers(&wave) {
            return replace;
        }
        let rehearse = if self.results.is_empty() && pending.len() > 1 {
            pending
                .iter()
                .filter(|task| !task.is_delete())
                .map(|task| (*task).clone())
                .collect()
        } else {
            Vec::new()
        };
        Step::Run(RunStep {
            message: "one or more tasks are running".to_owned(),
            rehearse,
            groups: order::groups(&wave),
            last: !multi_step,
        })
    }

    fn pending(&self, among: &[usize]) -> Vec<&'a Task> {
        among
            .iter()
            .filter(|at| self.rows[**at].is_none())
            .map(|at| &self.tasks[*at])
            .collect()
    }

    /// Hooks that this operation created, but whose creation was not written down before a restart.
    fn adopt(&mut self) {
        for (at, task) in self.tasks.iter().enumerate() {
            let ours = task
                .live
                .as_ref()
                .is_some_and(|live| live.operation.as_deref() == Some(self.operation));
            if task.is_hook() && self.rows[at].is_none() && ours {
                self.rows[at] = Some(self.results.len());
                self.results.push(task.new_row());
            }
        }
    }

    /// Turns the health of live objects into results of the tasks that wait for it.
    fn learn(&mut self) {
        for (task, row) in self.tasks.iter().zip(&self.rows) {
            let Some(row) = row.and_then(|row| self.results.get_mut(row)) else {
                continue;
            };
            if row.hook_phase == Some(Phase::Running) {
                settle::settle(task, row);
            }
            if row.hook_phase != Some(Phase::Running) {
                self.release
                    .extend(task.hook_object(false).filter(|hook| hook.finalizer));
            }
        }
    }

    fn is_multi_step(&self) -> bool {
        let mut stages = self
            .tasks
            .iter()
            .filter(|task| task.phase != SyncPhase::SyncFail);
        let first = stages.next().map(Task::stage);
        stages.any(|task| Some(task.stage()) != first) || self.tasks.iter().any(Task::is_hook)
    }

    fn row(&self, at: usize) -> Option<&ResourceResult> {
        self.results.get(self.rows[at]?)
    }

    fn is_running(&self, at: usize) -> bool {
        self.row(at)
            .is_some_and(|row| row.hook_phase == Some(Phase::Running))
    }

    fn failed(&self, at: usize) -> bool {
        self.row(at)
            .is_some_and(|row| row.hook_phase.is_some_and(Phase::unsuccessful))
    }

    /// Objects that earlier syncs left of the hooks that are due now.
    fn leftovers(&self, wave: &[&Task]) -> Option<Step> {
        let old: Vec<HookObject> = wave
            .iter()
            .filter(|task| task.deletes(DeletePolicy::BeforeHookCreation))
            .filter(|task| {
                task.live
                    .as_ref()
                    .is_some_and(|live| live.operation.as_deref() != Some(self.operation))
            })
            .filter_map(|task| task.hook_object(true))
            .collect();
        (!old.is_empty()).then_some(Step::Replace(old))
    }

    fn succeed(&self) -> Step {
        Step::Finish {
            phase: Phase::Succeeded,
            message: "successfully synced (all tasks run)".to_owned(),
            delete: self.hooks_with(DeletePolicy::HookSucceeded),
        }
    }

    /// The sync has failed: SyncFail hooks run, then the operation ends.
    fn fail(&self, failing: &[usize]) -> Step {
        let message = self.failure();
        if failing.iter().any(|at| self.is_running(*at)) {
            return Step::Wait(message);
        }
        let pending = self.pending(failing);
        if let Some(first) = pending.first() {
            let wave = same_stage(&pending, first);
            return self.leftovers(&wave).unwrap_or_else(|| {
                Step::Run(RunStep {
                    message,
                    rehearse: Vec::new(),
                    groups: order::groups(&wave),
                    last: false,
                })
            });
        }
        Step::Finish {
            phase: Phase::Failed,
            message,
            delete: self.hooks_with(DeletePolicy::HookFailed),
        }
    }

    /// The message of a failed sync: what failed, each reason once.
    fn failure(&self) -> String {
        let refused = self.results.iter().any(|row| row.status == "SyncFailed");
        let mut reasons: Vec<&str> = Vec::new();
        for row in &self.results {
            let bad = row.hook_phase.is_some_and(Phase::unsuccessful);
            if bad && !row.message.is_empty() && !reasons.contains(&row.message.as_str()) {
                reasons.push(&row.message);
            }
        }
        let what = if refused {
            "one or more objects failed to apply"
        } else {
            "one or more synchronization tasks completed unsuccessfully"
        };
        join_reasons(what, reasons)
    }

    /// Live hooks of this operation whose policies name `end`.
    fn hooks_with(&self, end: DeletePolicy) -> Vec<HookObject> {
        self.tasks
            .iter()
            .enumerate()
            .filter(|(at, task)| task.deletes(end) && self.row(*at).is_some())
            .filter_map(|(_, task)| task.hook_object(true))
            .collect()
    }
}

fn same_stage<'a>(tasks: &[&'a Task], first: &Task) -> Vec<&'a Task> {
    tasks
        .iter()
        .copied()
        .filter(|task| task.stage() == first.stage())
        .collect()
}

/// A message with its reasons, of which only the first few are spelled out.
pub fn join_reasons(what: &str, mut reasons: Vec<&str>) -> String {
    let more = reasons.len().saturating_sub(REASONS);
    reasons.truncate(REASONS);
    match (reasons.is_empty(), more) {
        (true, _) => what.to_owned(),
        (false, 0) => format!("{what}, reason: {}", reasons.join(",")),
        (false, more) => format!("{what}, reason: {} and {more} more", reasons.join(",")),
    }
}

fn wait_message(first: &Task, more: usize) -> String {
    let what = if first.is_hook() {
        "completion of hook"
    } else {
        "healthy state of"
    };
    let name = match (&*first.id.kind.group, &*first.id.kind.kind) {
        ("", kind) => format!("{kind}/{}", first.id.name),
        (group, kind) => format!("{group}/{kind}/{}", first.id.name),
    };
    match (more, first.is_hook()) {
        (0, _) => format!("waiting for {what} {name}"),
        (more, true) => format!("waiting for {what} {name} and {more} more hooks"),
        (more, false) => format!("waiting for {what} {name} and {more} more resources"),
    }
}

/// The row of a hook or object after a look at its health.
pub fn phase_of(code: Option<Code>) -> Phase {
    match code {
        None | Some(Code::Healthy) => Phase::Succeeded,
        Some(Code::Degraded) => Phase::Failed,
        Some(_) => Phase::Running,
    }
}

#[cfg(test)]
mod tests;
