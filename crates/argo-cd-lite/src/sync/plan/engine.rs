//! One look at a sync: what was learnt, and what comes next.

use std::collections::HashMap;

use super::{
    HookObject, RunStep, Step, Task, TaskKind,
    messages::{confirmation_message, join_reasons, wait_message},
    order, settle,
};
use crate::{
    api::{Phase, ResourceResult},
    sync::{DeletePolicy, SyncPhase},
};

pub(super) struct Engine<'a> {
    tasks: &'a [Task],
    /// Position of each task's result.
    pub(super) rows: Vec<Option<usize>>,
    pub(super) results: Vec<ResourceResult>,
    pub(super) release: Vec<HookObject>,
    operation: &'a str,
    /// The last stage, when there is no hook in it. Its objects count as done once they are applied, even if
    /// they break afterwards: that is the usual sync without hooks and waves, and the last wave of a longer
    /// one must not hold up the next commit.
    final_stage: Option<(SyncPhase, i32)>,
    /// There is more than one stage, so that plain objects are waited for too.
    multi_step: bool,
}

impl<'a> Engine<'a> {
    pub(super) fn new(tasks: &'a [Task], results: Vec<ResourceResult>, operation: &'a str) -> Self {
        Self {
            tasks,
            rows: rows_of(tasks, &results),
            results,
            release: Vec::new(),
            operation,
            final_stage: final_stage(tasks),
            multi_step: tasks.first().map(Task::stage) != tasks.last().map(Task::stage),
        }
    }

    pub(super) fn step(&mut self) -> Step {
        self.adopt();
        self.learn();
        let (failing, regular): (Vec<usize>, Vec<usize>) =
            (0..self.tasks.len()).partition(|at| self.tasks[*at].phase == SyncPhase::SyncFail);
        for unfinished in [Self::is_awaited, Self::is_going] {
            if let Some(wait) = self.wait(&regular, unfinished) {
                return wait;
            }
        }
        if regular.iter().any(|at| self.failed(*at)) {
            return self.fail(&failing);
        }
        let pending: Vec<&Task> = self.pending(&regular);
        let Some(first) = pending.first() else {
            return self.succeed();
        };
        let wave = same_stage(&pending, first);
        let unconfirmed: Vec<&Task> = wave
            .iter()
            .copied()
            .filter(|task| task.kind == TaskKind::ConfirmPrune)
            .collect();
        if !unconfirmed.is_empty() {
            return Step::Wait(confirmation_message(&unconfirmed));
        }
        if let Some(replace) = self.leftovers(&wave) {
            return replace;
        }
        // Only this stage can be judged: what later ones need may not be there yet.
        let dry_run = if wave.len() > 1 {
            wave.iter()
                .filter(|task| !task.is_delete())
                .map(|task| (*task).clone())
                .collect()
        } else {
            Vec::new()
        };
        // Hooks that run at a failure or go at the end need another step.
        let last = self.is_final(first)
            && failing.is_empty()
            && self.hooks_with(DeletePolicy::HookSucceeded).is_empty()
            && self.hooks_with(DeletePolicy::HookFailed).is_empty();
        Step::Run(RunStep {
            message: "one or more tasks are running".to_owned(),
            dry_run,
            groups: order::groups(&wave),
            last,
        })
    }

    /// Waits for the tasks for which `unfinished` says yes, when there are any.
    fn wait(&self, among: &[usize], unfinished: fn(&Self, usize) -> bool) -> Option<Step> {
        let waiting: Vec<&Task> = among
            .iter()
            .filter(|at| !self.is_final(&self.tasks[**at]) && unfinished(self, **at))
            .map(|at| &self.tasks[*at])
            .collect();
        (!waiting.is_empty()).then(|| Step::Wait(wait_message(&waiting)))
    }

    /// True for the tasks that end the sync once they are applied.
    fn is_final(&self, task: &Task) -> bool {
        Some(task.stage()) == self.final_stage
    }

    fn pending(&self, among: &[usize]) -> Vec<&'a Task> {
        among
            .iter()
            .filter(|at| self.rows[**at].is_none())
            .map(|at| &self.tasks[*at])
            .collect()
    }

    /// Hooks that this operation created, but whose creation was not written down before a restart.
    pub(super) fn adopt(&mut self) {
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
    pub(super) fn learn(&mut self) {
        for (at, task) in self.tasks.iter().enumerate() {
            let judged = !self.is_final(task) && !task.is_delete();
            // An object that nobody waits for may vanish.
            let reported = task.live.is_some() || self.is_awaited(at);
            let Some(row) = self.rows[at].and_then(|row| self.results.get_mut(row)) else {
                continue;
            };
            if judged && reported && row.hook_phase == Some(Phase::Running) {
                settle::settle(task, row);
            }
            if row.hook_phase != Some(Phase::Running) {
                self.release
                    .extend(task.hook_object(false).filter(|hook| hook.finalizer));
            }
        }
    }

    fn row(&self, at: usize) -> Option<&ResourceResult> {
        self.results.get(self.rows[at]?)
    }

    pub(super) fn is_running(&self, at: usize) -> bool {
        self.row(at)
            .is_some_and(|row| row.hook_phase == Some(Phase::Running))
    }

    /// True for a running task that the next stage waits for.
    fn is_awaited(&self, at: usize) -> bool {
        (self.multi_step || self.tasks[at].is_hook()) && self.is_running(at)
    }

    fn failed(&self, at: usize) -> bool {
        self.row(at)
            .is_some_and(|row| row.hook_phase.is_some_and(Phase::unsuccessful))
    }

    /// True for an object that was pruned and is still on its way out.
    fn is_going(&self, at: usize) -> bool {
        let task = &self.tasks[at];
        task.is_delete()
            && task.live.as_ref().is_some_and(|live| live.deleting)
            && self.row(at).is_some_and(|row| row.status == "Pruned")
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
            message: "successfully synced (no more tasks)".to_owned(),
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
                    dry_run: Vec::new(),
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
        // An error is an object that vanished, not one that was refused.
        let refused = self
            .results
            .iter()
            .any(|row| row.status == "SyncFailed" && row.hook_phase == Some(Phase::Failed));
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
    pub(super) fn hooks_with(&self, end: DeletePolicy) -> Vec<HookObject> {
        self.tasks
            .iter()
            .enumerate()
            .filter(|(at, task)| task.deletes(end) && self.row(*at).is_some())
            .filter_map(|(_, task)| task.hook_object(true))
            .collect()
    }
}

fn final_stage(tasks: &[Task]) -> Option<(SyncPhase, i32)> {
    let regular = || {
        tasks
            .iter()
            .filter(|task| task.phase != SyncPhase::SyncFail)
    };
    let last = regular().map(Task::stage).max()?;
    let has_hook = regular().any(|task| task.stage() == last && task.is_hook());
    (!has_hook).then_some(last)
}

fn same_stage<'a>(tasks: &[&'a Task], first: &Task) -> Vec<&'a Task> {
    tasks
        .iter()
        .copied()
        .filter(|task| task.stage() == first.stage())
        .collect()
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
