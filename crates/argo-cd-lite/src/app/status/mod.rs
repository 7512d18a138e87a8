//! What the Application is told: one merge patch per pass, and Events for what changed.

mod conditions;
mod rejection;

pub(super) use rejection::reject;

use jiff::Timestamp;
use reconcile_core::reconcile::{EventNote, Report, RootPatch, Target, merge_diff};
use serde_json::{Value, json};

use conditions::{conditions, shorten};

use super::{
    Observed, Problem, Refresh, SourceState,
    apply::{After, Applied, Tasks},
    plan::{
        Action,
        compare::{Comparison, View, compare},
        decide::{Course, Decision, decide, end, results, set_results},
        deletion::{Remains, is_resources_finalizer, remains},
    },
};
use crate::{
    api::{
        ANNOTATION_REFRESH, ApplicationStatus, ComparedTo, HealthStatus, HistoryEntry,
        OperationState, Phase, Summary, SyncStatus, Time,
    },
    sync::plan::join_reasons,
};

/// The report of a pass. `complete` is false when an action failed, which will be tried again.
pub(super) fn report(
    observed: &Observed,
    applied: &[&Applied],
    complete: bool,
    now: Timestamp,
) -> Report {
    if observed.skip {
        return Report::default();
    }
    if observed.deleting {
        return report_deletion(observed, applied, complete);
    }
    let decision = decide(observed, now);
    let mut writer = Writer {
        observed,
        status: observed.status.clone(),
        report: Report::default(),
        operation: None,
        now,
    };
    let comparison = writer.operation(&decision, applied, complete);
    let comparison = comparison.unwrap_or_else(|| decision.comparison.clone());
    writer.comparison(&comparison);
    writer.conditions(&decision, &comparison);
    writer.finish()
}

/// An application that is being deleted: its finalizer goes when nothing is left.
fn report_deletion(observed: &Observed, applied: &[&Applied], complete: bool) -> Report {
    let mut report = Report::default();
    match remains(observed) {
        Remains::Nothing => {
            let left: Vec<&String> = observed
                .finalizers
                .iter()
                .filter(|name| !is_resources_finalizer(name))
                .collect();
            report.patches.push(RootPatch {
                target: Target::Main,
                body: json!({ "metadata": { "finalizers": left } }),
                guarded: true,
            });
            report.event(EventNote::normal(
                "ResourceDeleted",
                "the objects of the application are gone",
            ));
        }
        Remains::Wave(left) => {
            // Objects without finalizers are gone at once; then the next wave need not wait for news.
            let gone = applied
                .iter()
                .filter_map(|applied| match applied {
                    Applied::Objects(objects) => Some(objects),
                    _ => None,
                })
                .flatten()
                .filter(|(_, live)| live.is_none())
                .count();
            report.again = complete && gone >= left.len();
        }
        Remains::NotOurs => {}
    }
    report
}

struct Writer<'a> {
    observed: &'a Observed,
    status: ApplicationStatus,
    report: Report,
    /// What becomes of the top-level `operation` field.
    operation: Option<Value>,
    now: Timestamp,
}

impl Writer<'_> {
    /// Takes the operation's course into the status; gives the comparison after the effects.
    fn operation(
        &mut self,
        decision: &Decision,
        applied: &[&Applied],
        complete: bool,
    ) -> Option<Comparison> {
        let (state, again) = match &decision.course {
            Course::Idle => return None,
            Course::Begin(state) => {
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
            Course::Hold(state) => ((**state).clone(), false),
            Course::End(state, fresh) => {
                if *fresh {
                    self.started(state);
                }
                ((**state).clone(), false)
            }
            Course::Act {
                state,
                actions,
                fresh,
                last,
            } => {
                if !complete {
                    // Tried again from the state of before; everything is safe to repeat.
                    return None;
                }
                if *fresh {
                    self.started(state);
                }
                let mut state = (**state).clone();
                let concluded = actions
                    .iter()
                    .any(|action| matches!(action, Action::Conclude(..)));
                let again = self.effects(&mut state, applied, *last) && !concluded;
                (state, again)
            }
        };
        // While a retry is due, the next pass plans when to wake.
        let retries = !state.phase.completed() && state.finished_at.is_some();
        self.report.again |= again || retries;
        let ended = state.phase.completed();
        if ended {
            self.ended(&state);
        }
        self.status.operation_state = Some(state);
        let mut view = View::new(self.observed);
        for applied in applied {
            match applied {
                Applied::Tasks(tasks) if !tasks.dry_run => {
                    for outcome in &tasks.outcomes {
                        let same = outcome.same && self.observed.sync_source.is_none();
                        match &outcome.after {
                            After::Unknown => {}
                            After::Gone => view.apply(&outcome.id, None, false),
                            After::Is(live) => view.apply(&outcome.id, Some(live.clone()), same),
                        }
                    }
                }
                Applied::Objects(objects) => {
                    for (id, live) in objects {
                        view.apply(id, live.clone(), false);
                    }
                }
                _ => {}
            }
        }
        let comparison = compare(&view);
        // The commit may have moved on during the operation.
        self.report.again |=
            ended && comparison.sync == "OutOfSync" && self.observed.spec.automated().is_some();
        Some(comparison)
    }

    /// Adds what the effects brought to the operation's result. True when another pass should follow at
    /// once.
    fn effects(&mut self, state: &mut OperationState, applied: &[&Applied], last: bool) -> bool {
        let mut again = false;
        let mut rows = results(state).to_vec();
        for applied in applied {
            match applied {
                Applied::Namespace(row) => rows.push((**row).clone()),
                Applied::Objects(objects) => {
                    // Released or deleted hooks: what is gone already need not be waited for.
                    again |= objects.iter().any(|(_, live)| live.is_none());
                }
                Applied::Tasks(tasks) => {
                    rows.extend(tasks.outcomes.iter().map(|outcome| outcome.row.clone()));
                    set_results(state, rows.clone());
                    again |= self.tasks(state, tasks, last);
                }
                Applied::Done => {}
            }
        }
        set_results(state, rows);
        again
    }

    fn tasks(&mut self, state: &mut OperationState, tasks: &Tasks, last: bool) -> bool {
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
        } else if !last {
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
        let revision = if sync.revision.is_empty() {
            "the target revision"
        } else {
            &sync.revision
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

    /// An operation has ended: history, Event, and the request goes away.
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
                format!("{what} to {} succeeded", result.revision),
            ));
            if !partial && !sync.dry_run {
                self.history(state);
            }
        } else {
            self.report.event(EventNote::warning(
                "OperationCompleted",
                format!("{what} to {} failed: {}", result.revision, state.message),
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
            initiated_by: state.operation.initiated_by.clone(),
            other: std::collections::BTreeMap::new(),
        });
        let limit = self.observed.spec.history_limit();
        let surplus = history.len().saturating_sub(limit);
        history.drain(..surplus);
    }

    fn comparison(&mut self, comparison: &Comparison) {
        let observed = self.observed;
        if let SourceState::Failed { grace: true, .. } = &observed.source {
            // A short absence of the repository is not worth a change of the status.
            return;
        }
        let before = self
            .status
            .sync
            .as_ref()
            .map(|sync| sync.status.clone())
            .unwrap_or_default();
        let revision = match &observed.source {
            SourceState::Ready { commit, .. } => commit.clone(),
            _ => self
                .status
                .sync
                .as_ref()
                .map(|sync| sync.revision.clone())
                .unwrap_or_default(),
        };
        self.status.sync = Some(SyncStatus {
            status: comparison.sync.to_owned(),
            compared_to: ComparedTo {
                source: observed.spec.source.clone(),
                destination: observed.spec.destination.clone(),
                ignore_differences: observed.spec.ignore_differences.clone(),
            },
            revision,
        });
        if before != comparison.sync {
            self.report.event(EventNote::normal(
                "ResourceUpdated",
                format!("Updated sync status: {before} -> {}", comparison.sync),
            ));
        }
        self.health(comparison);
        self.status.resources.clone_from(&comparison.rows);
        "appTree".clone_into(&mut self.status.resource_health_source);
        self.status
            .controller_namespace
            .clone_from(&observed.control_plane);
        if matches!(observed.source, SourceState::Ready { .. }) {
            "Directory".clone_into(&mut self.status.source_type);
            let links = self
                .status
                .summary
                .take()
                .map(|summary| summary.external_urls)
                .unwrap_or_default();
            self.status.summary = Some(Summary {
                images: comparison.images.clone(),
                external_urls: links,
            });
        }
    }

    fn health(&mut self, comparison: &Comparison) {
        let word = comparison.health.code.word();
        let old = self.status.health.clone().unwrap_or_default();
        let changed = old.status != word;
        if changed {
            self.report.event(EventNote::normal(
                "ResourceUpdated",
                format!("Updated health status: {} -> {word}", old.status),
            ));
        }
        self.status.health = Some(HealthStatus {
            status: word.to_owned(),
            message: comparison.health.text().to_owned(),
            last_transition_time: if changed || old.last_transition_time.is_none() {
                Some(Time::new(self.now))
            } else {
                old.last_transition_time
            },
        });
    }

    fn conditions(&mut self, decision: &Decision, comparison: &Comparison) {
        let mut problems: Vec<Problem> = self.observed.problems.clone();
        problems.extend(comparison.problems.iter().cloned());
        problems.extend(decision.problems.iter().cloned());
        match &self.observed.source {
            SourceState::Failed {
                message,
                grace: false,
                ..
            } => problems.push(Problem::comparison(message.clone())),
            SourceState::Failed { grace: true, .. } => return,
            _ => {}
        }
        self.status.conditions = conditions(&self.status.conditions, &problems, self.now);
    }

    fn finish(mut self) -> Report {
        shorten(&mut self.status);
        let mut body = serde_json::Map::new();
        let asked = self.observed.refresh.is_some();
        let diff = {
            // The status of a large application is some MiB as a tree, so no copy lives longer than needed.
            let new = serde_json::to_value(&self.status).unwrap_or(Value::Null);
            match &self.observed.old_status {
                Value::Null => merge_diff(&json!({}), &new),
                old => merge_diff(old, &new),
            }
        };
        // The time of the comparison alone is no reason to write.
        if diff.is_some() || asked {
            let mut diff = diff.unwrap_or_else(|| json!({}));
            let at = Time::new(self.now).to_string();
            if self.observed.old_status["reconciledAt"] != at.as_str() {
                diff["reconciledAt"] = at.into();
            }
            if diff.as_object().is_some_and(|fields| !fields.is_empty()) {
                body.insert("status".to_owned(), diff);
            }
        }
        if let Some(operation) = self.operation
            && (self.observed.operation.is_some() || !operation.is_null())
        {
            body.insert("operation".to_owned(), operation);
        }
        if asked {
            body.insert(
                "metadata".to_owned(),
                json!({ "annotations": { ANNOTATION_REFRESH: Value::Null } }),
            );
            if self.observed.refresh == Some(Refresh::Hard) {
                self.report.event(EventNote::normal(
                    "StatusRefreshed",
                    "refreshed without any cache",
                ));
            }
        }
        if !body.is_empty() {
            self.report.patches.push(RootPatch {
                target: Target::Main,
                body: Value::Object(body),
                guarded: false,
            });
        }
        self.report
    }
}
