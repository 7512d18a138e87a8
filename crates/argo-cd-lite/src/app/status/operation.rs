//! The operation in the status: its start, what its effects brought, its end.

use reconcile_core::event::EventNote;
use serde_json::Value;

use super::{Effects, Writer};
use crate::{
    api::{HistoryEntry, OperationState, Phase, Revisions, Time},
    app::{
        apply::{After, Applied, TaskOutcomes},
        plan::{
            Action, OperationStep, Start,
            compare::{Comparison, View, compare},
            decide::SyncDecision,
            state::{end, results, set_results},
        },
    },
    sync::plan::join_reasons,
};

/// What the operation still has to do after the tasks of this pass.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Following {
    Nothing,
    MoreTasks,
}

impl Writer<'_> {
    /// Takes the operation's step into the status; gives the comparison after the effects.
    pub(super) fn operation(
        &mut self,
        decision: &SyncDecision,
        outcome: &Effects<'_>,
    ) -> Option<Comparison> {
        let (state, again) = match &decision.step {
            OperationStep::Idle => return None,
            OperationStep::Begin(state) => {
                // A retry is no new start.
                if state.retry_count == 0 {
                    self.started(state);
                }
                // The request stays until the end, so that clients can see and end the operation.
                if self.observed.operation.is_none() {
                    self.operation = serde_json::to_value(&state.operation).ok();
                }
                ((**state).clone(), true)
            }
            OperationStep::Hold(state) => ((**state).clone(), false),
            OperationStep::End(state, start) => {
                if *start == Start::Now {
                    self.started(state);
                }
                ((**state).clone(), false)
            }
            OperationStep::Act { state, start, last } => {
                if outcome.failure.is_some() {
                    // Tried again from the state of before; everything is safe to repeat.
                    return None;
                }
                if *start == Start::Now {
                    self.started(state);
                }
                let mut state = (**state).clone();
                let concluded = decision
                    .plan
                    .actions
                    .iter()
                    .any(|action| matches!(action, Action::Conclude(..)));
                let following = if *last {
                    Following::Nothing
                } else {
                    Following::MoreTasks
                };
                let again = self.effects(&mut state, outcome.applied, following) && !concluded;
                (state, again)
            }
        };
        // While a retry is due, the next pass plans when to wake.
        let retries = !state.phase.completed() && state.finished_at.is_some();
        if retries {
            let revision = state
                .sync_result
                .as_ref()
                .map_or("", |result| &result.revision);
            self.report.event(EventNote::warning(
                "OperationRetrying",
                format!("Sync operation to {revision} failed: {}", state.message),
            ));
        }
        self.report.again |= again || retries;
        let ended = state.phase.completed();
        if ended {
            self.ended(&state);
        }
        let comparison = self.compare_after(&state, outcome.applied);
        self.status.operation_state = Some(state);
        // The commit may have moved on during the operation.
        self.report.again |=
            ended && comparison.sync == "OutOfSync" && self.observed.spec.automated().is_some();
        Some(comparison)
    }

    /// Git against cluster as the effects have left it.
    fn compare_after(&self, state: &OperationState, applied: &[&Applied]) -> Comparison {
        let mut view = View::new(self.observed);
        view.synced(state.sync_result.as_ref());
        for applied in applied {
            match applied {
                Applied::Tasks(tasks) if !tasks.dry_run => {
                    for outcome in &tasks.outcomes {
                        let same = outcome.same && self.observed.sync_source.is_none();
                        match &outcome.after {
                            After::Unknown => {}
                            After::Gone => view.change(&outcome.id, None),
                            After::Is(live) if same => view.apply(&outcome.id, live.clone()),
                            After::Is(live) => view.change(&outcome.id, Some(live.clone())),
                        }
                    }
                }
                Applied::Objects(objects) => {
                    for (id, live) in objects {
                        view.change(id, live.clone());
                    }
                }
                _ => {}
            }
        }
        compare(&view)
    }

    /// Adds what the effects brought to the operation's result. True when another pass should follow at
    /// once.
    fn effects(
        &mut self,
        state: &mut OperationState,
        applied: &[&Applied],
        following: Following,
    ) -> bool {
        let mut again = false;
        let mut rows = results(state).to_vec();
        let mut failed_namespace = None;
        for applied in applied {
            match applied {
                Applied::Namespace(row) => {
                    if row.hook_phase == Some(Phase::Failed) {
                        failed_namespace = Some(row.message.as_str());
                    }
                    rows.push((**row).clone());
                }
                Applied::Objects(objects) => {
                    // Released or deleted hooks: what is gone already need not be waited for.
                    again |= objects.iter().any(|(_, live)| live.is_none());
                }
                Applied::Tasks(tasks) => {
                    rows.extend(tasks.outcomes.iter().map(|outcome| outcome.row.clone()));
                    if failed_namespace.is_none() {
                        set_results(state, rows.clone());
                        again |= self.tasks(state, tasks, following);
                    }
                }
                Applied::Done => {}
            }
        }
        set_results(state, rows);
        if let Some(reason) = failed_namespace {
            let message = join_reasons("the namespace failed to apply", vec![reason]);
            end(state, Phase::Failed, &message, self.now);
            return false;
        }
        again
    }

    fn tasks(
        &mut self,
        state: &mut OperationState,
        tasks: &TaskOutcomes,
        following: Following,
    ) -> bool {
        let mut reasons: Vec<&str> = Vec::new();
        for outcome in &tasks.outcomes {
            let bad = outcome.row.hook_phase.is_some_and(Phase::unsuccessful);
            if bad && !reasons.contains(&outcome.row.message.as_str()) {
                reasons.push(&outcome.row.message);
            }
        }
        if tasks.refused {
            let message = join_reasons("one or more objects failed to apply (dry run)", reasons);
            end(state, Phase::Failed, &message, self.now);
        } else if tasks.dry_run {
            end(
                state,
                Phase::Succeeded,
                "successfully synced (dry run)",
                self.now,
            );
        } else if following == Following::MoreTasks {
            return true;
        } else if reasons.is_empty() {
            end(
                state,
                Phase::Succeeded,
                "successfully synced (all tasks run)",
                self.now,
            );
        } else {
            let message = join_reasons("one or more objects failed to apply", reasons);
            end(state, Phase::Failed, &message, self.now);
        }
        false
    }

    fn started(&mut self, state: &OperationState) {
        let sync = state.operation.sync.clone().unwrap_or_default();
        let asked = Revisions::of_fields(&sync.revision, &sync.revisions);
        let revision = if asked.is_empty() {
            "the target revision".to_owned()
        } else {
            asked.to_string()
        };
        let by = &state.operation.initiated_by;
        let note = if by.automated {
            format!("Initiated automated sync to '{revision}'")
        } else if by.username.is_empty() {
            format!("Initiated sync to '{revision}'")
        } else {
            format!("{} initiated sync to '{revision}'", by.username)
        };
        self.report
            .event(EventNote::normal("OperationStarted", note));
    }

    /// An operation has ended: history, Event, and the request is removed.
    fn ended(&mut self, state: &OperationState) {
        self.operation = Some(Value::Null);
        let sync = state.operation.sync.clone().unwrap_or_default();
        let result = state.sync_result.clone().unwrap_or_default();
        let partial = !sync.resources.is_empty();
        let what = if partial {
            "Partial sync operation"
        } else {
            "Sync operation"
        };
        if state.phase == Phase::Succeeded {
            self.report.event(EventNote::normal(
                "OperationCompleted",
                format!("{what} to {} succeeded", result.synced()),
            ));
            if !partial && !sync.dry_run {
                self.history(state);
            }
        } else {
            self.report.event(EventNote::warning(
                "OperationCompleted",
                format!("{what} to {} failed: {}", result.synced(), state.message),
            ));
        }
    }

    fn history(&mut self, state: &OperationState) {
        let result = state.sync_result.clone().unwrap_or_default();
        let history = &mut self.status.history;
        let id = history.last().map_or(0, |entry| entry.id + 1);
        history.push(HistoryEntry {
            id,
            revision: result.revision,
            deployed_at: state.finished_at.unwrap_or(Time::new(self.now)),
            deploy_started_at: state.started_at,
            source: result.source,
            sources: result.sources,
            revisions: result.revisions,
            initiated_by: state.operation.initiated_by.clone(),
            other: std::collections::BTreeMap::new(),
        });
        let limit = self.observed.spec.history_limit();
        let surplus = history.len().saturating_sub(limit);
        history.drain(..surplus);
    }
}
