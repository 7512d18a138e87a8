//! The decision of a pass: compare, then take the operation one step further.

use jiff::Timestamp;
use reconcile_core::reconcile::Plan;

use super::{
    Action, OperationStep, Run, Start, automated,
    compare::{Comparison, View, compare},
    refusal::{refuse, refuse_shared},
    retry,
    state::{begin, describe, end, operation_id, results, set_results},
    tasks::{NoTasks, PlannedSync, tasks_of},
    windows,
};
use crate::{
    api::{Operation, OperationState, Phase, SyncOperation, SyncStrategy, Time},
    app::{Observed, Problem},
    project::WindowVerdict,
    sync::plan::{RunStep, Step, Task, advance, deletion_message, terminate},
};

/// What a pass over an Application does that is not being deleted.
#[derive(Clone, Debug, PartialEq)]
pub struct SyncDecision {
    /// Effects of the operation, next wake-up, reasons.
    pub plan: Plan<Action>,
    /// Git against cluster, as observed.
    pub comparison: Comparison,
    /// The operation.
    pub step: OperationStep,
    /// Conditions beyond those of the comparison.
    pub problems: Vec<Problem>,
}

/// Decides.
pub fn decide(observed: &Observed, now: Timestamp) -> SyncDecision {
    let comparison = compare(&View::new(observed));
    let mut decision = SyncDecision {
        plan: Plan::new(),
        comparison,
        step: OperationStep::Idle,
        problems: Vec::new(),
    };
    decision.step = next_step(observed, now, &mut decision);
    decision
}

fn next_step(observed: &Observed, now: Timestamp, decision: &mut SyncDecision) -> OperationStep {
    let running = observed
        .status
        .operation_state
        .clone()
        .filter(|state| !state.phase.completed());
    if let Some(state) = running {
        return resume(observed, state, now, decision);
    }
    let operation = match &observed.operation {
        Some(Ok(operation)) => operation.clone(),
        Some(Err(error)) => {
            let mut state = begin(Operation::default(), now);
            end(
                &mut state,
                Phase::Error,
                &format!("invalid operation: {error}"),
                now,
            );
            return OperationStep::End(Box::new(state), Start::Now);
        }
        None => {
            if observed.problems.iter().any(|problem| problem.blocks) {
                return OperationStep::Idle;
            }
            match automated::decide(observed, &decision.comparison, now) {
                automated::AutoSync::Sync(operation) => *operation,
                automated::AutoSync::No(why) => {
                    decision.plan.note(format!("no automated sync: {why}"));
                    return OperationStep::Idle;
                }
                automated::AutoSync::Later(at) => {
                    decision.plan.wake = Some(at);
                    decision
                        .plan
                        .note(format!("self-healing waits until {at:.0}"));
                    return OperationStep::Idle;
                }
                automated::AutoSync::Blocked { reason, until } => {
                    decision.plan.wake = Some(until);
                    decision.plan.note(format!("no automated sync: {reason}"));
                    return OperationStep::Idle;
                }
                automated::AutoSync::Refuse(problem) => {
                    decision.problems.push(problem);
                    return OperationStep::Idle;
                }
            }
        }
    };
    let state = begin(operation, now);
    step(observed, state, Start::Now, now, decision)
}

fn resume(
    observed: &Observed,
    mut state: OperationState,
    now: Timestamp,
    decision: &mut SyncDecision,
) -> OperationStep {
    if state.phase == Phase::Terminating {
        return stop(observed, state, now, decision);
    }
    if let Some(finished) = state.finished_at {
        // Between two tries.
        let number = (state.retry_count - 1).max(0);
        match retry::due(&state.operation.retry, finished.timestamp(), number) {
            Ok(at) if now < at => {
                decision.plan.wake = Some(at);
                return OperationStep::Idle;
            }
            Ok(_) => {}
            Err(error) => {
                state.phase = Phase::Failed;
                state.message = error.to_string();
                return OperationStep::End(Box::new(state), Start::Earlier);
            }
        }
        state.message = format!("Retrying operation. Attempt #{}", state.retry_count);
        state.finished_at = None;
        state.sync_result = None;
        if state.operation.retry.refresh == Some(true)
            && let Some(sync) = &mut state.operation.sync
        {
            sync.revision.clear();
            sync.revisions.clear();
        }
        return OperationStep::Begin(Box::new(state));
    }
    step(observed, state, Start::Earlier, now, decision)
}

fn stop(
    observed: &Observed,
    mut state: OperationState,
    now: Timestamp,
    decision: &mut SyncDecision,
) -> OperationStep {
    let mut message = "Operation terminated".to_owned();
    if let Ok(sync) = tasks_of(observed, &state) {
        let ended = terminate(&sync.tasks, results(&state), &operation_id(&state));
        set_results(&mut state, ended.results);
        let mut hooks = ended.release;
        if let Step::Finish {
            message: text,
            delete,
            ..
        } = ended.step
        {
            message = text;
            hooks.retain(|hook| !delete.iter().any(|gone| gone.id == hook.id));
            hooks.extend(delete);
        }
        if !hooks.is_empty() {
            decision.plan.act(Action::Hooks(hooks));
        }
    }
    if state.retry_count > 0 {
        message = format!("{message} (retried {} times).", state.retry_count);
    }
    // A terminated operation is not tried again.
    state.phase = Phase::Failed;
    state.message = message;
    state.finished_at = Some(Time::new(now));
    decision.plan.act(Action::Conclude(Phase::Failed));
    OperationStep::Act {
        state: Box::new(state),
        start: Start::Earlier,
        last: false,
    }
}

/// Takes the operation one step further.
#[expect(clippy::too_many_lines, reason = "one step from top to bottom")]
fn step(
    observed: &Observed,
    mut state: OperationState,
    start: Start,
    now: Timestamp,
    decision: &mut SyncDecision,
) -> OperationStep {
    let Some(request) = state.operation.sync.clone() else {
        end(
            &mut state,
            Phase::Failed,
            "Invalid operation request: no operation specified",
            now,
        );
        return OperationStep::End(Box::new(state), start);
    };
    if let WindowVerdict::Closed { reason, until } =
        windows::operation(observed, &state, start, now)
    {
        // It stays running, and is planned again when a window opens or closes.
        state.message = format!("sync operation blocked by sync window: {reason}");
        decision.plan.wake = until;
        decision.plan.note(state.message.clone());
        return match start {
            Start::Now => OperationStep::Begin(Box::new(state)),
            Start::Earlier => OperationStep::Hold(Box::new(state)),
        };
    }
    if let Err(error) = &observed.sync_user {
        end(&mut state, Phase::Error, &error.to_string(), now);
        return OperationStep::End(Box::new(state), start);
    }
    let sync = match tasks_of(observed, &state) {
        Ok(sync) => sync,
        // A sync that is under way waits for the repository; a new one fails at once, and may be tried again.
        Err(NoTasks {
            message,
            transient: true,
        }) if start == Start::Earlier => {
            decision
                .plan
                .note(format!("the operation waits for the repository: {message}"));
            return OperationStep::Idle;
        }
        Err(NoTasks { message, .. }) => {
            end(&mut state, Phase::Error, &message, now);
            return OperationStep::End(Box::new(state), start);
        }
    };
    describe(&mut state, observed, &request, &sync.revisions);
    let shared = &decision.comparison.problems;
    if let Some(step) = refuse_shared(shared, &mut state, &sync, start, now) {
        return step;
    }
    if let Some(step) = refuse(observed, &mut state, &sync, start, now) {
        return step;
    }
    if request.dry_run {
        decision.plan.act(dry_run_action(&request, sync));
        return OperationStep::Act {
            state: Box::new(state),
            start,
            last: true,
        };
    }
    let staged = sync.tasks.iter().any(Task::is_hook) || !is_one_stage(&sync.tasks);
    if start == Start::Now && staged {
        // Hooks must find their operation written down after a crash, or they would run twice.
        decision.plan.note("operation started");
        return OperationStep::Begin(Box::new(state));
    }
    let id = operation_id(&state);
    let decided = advance(&sync.tasks, results(&state), &id);
    set_results(&mut state, decided.results);
    if !decided.release.is_empty() {
        decision.plan.act(Action::Hooks(decided.release));
    }
    let mut last = false;
    match decided.step {
        Step::Wait(message) => {
            decision.plan.note(message.clone());
            state.message = message;
            if decision.plan.actions.is_empty() {
                return OperationStep::Hold(Box::new(state));
            }
        }
        Step::Replace(hooks) => {
            let note = "earlier hooks are deleted before they run again";
            decision.plan.note(note);
            state.message = deletion_message(&hooks);
            decision.plan.act(Action::Hooks(hooks));
        }
        Step::Run(step) => {
            if let Some(at) = observed.settle_until.filter(|at| *at > now) {
                decision.plan.wake = Some(at);
                let note = "waiting for the last wave to settle";
                decision.plan.note(note);
                return OperationStep::Hold(Box::new(state));
            }
            state.message.clone_from(&step.message);
            let first = results(&state).is_empty();
            decision
                .plan
                .actions
                .extend(namespace_action(observed, &sync, first));
            last = step.last;
            decision
                .plan
                .act(Action::Run(Box::new(run(step, &request, sync, id))));
        }
        Step::Finish {
            phase,
            message,
            delete,
        } => {
            if !delete.is_empty() {
                decision.plan.act(Action::Hooks(delete));
            }
            decision.plan.act(Action::Conclude(phase));
            end(&mut state, phase, &message, now);
        }
    }
    OperationStep::Act {
        state: Box::new(state),
        start,
        last,
    }
}

fn run(step: RunStep, request: &SyncOperation, sync: PlannedSync, operation: String) -> Run {
    Run {
        dry_run: step.dry_run,
        dry_run_only: false,
        groups: step.groups,
        last: step.last,
        options: sync.options,
        force: is_forced(request),
        operation,
        own_source: sync.own_source,
    }
}

fn dry_run_action(request: &SyncOperation, sync: PlannedSync) -> Action {
    Action::Run(Box::new(Run {
        dry_run: sync.tasks,
        dry_run_only: true,
        groups: Vec::new(),
        last: true,
        options: sync.options,
        force: is_forced(request),
        operation: String::new(),
        own_source: sync.own_source,
    }))
}

fn is_forced(request: &SyncOperation) -> bool {
    request
        .sync_strategy
        .is_some_and(|SyncStrategy { apply, hook }| {
            apply.or(hook).is_some_and(|strategy| strategy.force)
        })
}

fn is_one_stage(tasks: &[Task]) -> bool {
    tasks
        .windows(2)
        .all(|pair| pair[0].stage() == pair[1].stage())
}

fn namespace_action(observed: &Observed, sync: &PlannedSync, first: bool) -> Option<Action> {
    let name = observed.spec.destination.namespace.clone();
    // A namespace that Git describes is applied as Git describes it.
    let described = sync
        .tasks
        .iter()
        .any(|task| task.id.kind.is("", "Namespace") && *task.id.name == *name);
    if name.is_empty() || described || !sync.options.has("CreateNamespace=true") {
        return None;
    }
    let metadata = observed.managed_namespace_metadata().cloned();
    (observed.create_namespace || (first && metadata.is_some()))
        .then_some(Action::EnsureNamespace { name, metadata })
}
