//! The report of a pass: one merge patch of the status, and Events for what changed.

mod conditions;
mod deletion;
mod operation;
mod rejection;

pub(super) use rejection::reject;

use jiff::Timestamp;
use reconcile_core::{
    event::EventNote,
    reconcile::{Report, RootPatch, Target, into_merge_diff},
};
use serde_json::{Value, json, value::RawValue};

use conditions::{conditions, shorten, warnings};

use super::{
    Observed, Problem, Refresh, Skip, SourceState,
    apply::Applied,
    original,
    plan::{Decision, compare::Comparison, decide::SyncDecision},
};
use crate::{
    api::{
        ANNOTATION_REFRESH, ANNOTATION_REFRESH_TIMESTAMP, ApplicationStatus, ComparedTo,
        HealthStatus, Revisions, Summary, SyncStatus, Time,
    },
    health::{Code, Health},
};

/// The results of the effects of a pass.
pub(super) struct Effects<'a> {
    /// Results of the effects that succeeded.
    pub(super) applied: &'a [&'a Applied],
    /// Why an effect failed, which ends the pass; it is tried again.
    pub(super) failure: Option<&'a str>,
}

/// The report of a pass.
pub(super) fn report(
    observed: &Observed,
    decision: &Decision,
    outcome: &Effects<'_>,
    now: Timestamp,
) -> Report {
    let decision = match decision {
        Decision::Skip(_) => {
            return match &observed.skip {
                Some(Skip::Original(pod)) => original::report(observed, pod, now),
                _ => Report::default(),
            };
        }
        Decision::Delete { remains, .. } => {
            return deletion::report(observed, remains, outcome, now);
        }
        Decision::Sync(decision) => decision,
    };
    let mut writer = Writer {
        observed,
        status: observed.status.clone(),
        report: Report::default(),
        operation: None,
        now,
    };
    let comparison = writer.operation(decision, outcome);
    let comparison = comparison.unwrap_or_else(|| decision.comparison.clone());
    writer.comparison(&comparison);
    writer.conditions(decision, &comparison, outcome.failure);
    writer.finish()
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
    fn comparison(&mut self, comparison: &Comparison) {
        let observed = self.observed;
        let revisions = match &observed.source {
            // A short absence of the repository is not worth a change of the status.
            SourceState::Failed { grace: true, .. } => return,
            // Nothing was compared: objects and commit in the status stay.
            SourceState::NotAsked => {
                self.sync_status("Unknown");
                self.health(&Health::of(Code::Unknown));
                return;
            }
            SourceState::Failed { .. } => None,
            SourceState::Ready { revisions, .. } => Some(revisions),
        };
        let sync = self.sync_status(comparison.sync);
        sync.compared_to = ComparedTo {
            source: observed
                .spec
                .source
                .clone()
                .filter(|_| !observed.spec.has_several_sources()),
            sources: observed.spec.sources.clone(),
            destination: observed.spec.destination.clone(),
            ignore_differences: observed.spec.ignore_differences.clone(),
        };
        sync.revision = revisions.map(Revisions::one).unwrap_or_default();
        sync.revisions = revisions.map(Revisions::several).unwrap_or_default();
        self.health(&comparison.health);
        self.status.resources.clone_from(&comparison.rows);
        // Empty: the rows have it.
        self.status.resource_health_source.clear();
        self.status
            .controller_namespace
            .clone_from(&observed.control_plane);
        if let Some((_, set)) = observed.source.ready() {
            let types = set.types.iter().map(|kind| kind.word().to_owned());
            let mut types: Vec<String> = types.collect();
            self.status.source_type = if observed.spec.has_several_sources() {
                String::new()
            } else {
                types.pop().unwrap_or_default()
            };
            self.status.source_types = types;
            let links = self
                .status
                .summary
                .take()
                .map(|summary| summary.external_urls)
                .unwrap_or_default();
            self.status.summary = Some(Summary {
                images: comparison.images.clone(),
                external_urls: links,
                is_app_of_apps: comparison
                    .rows
                    .iter()
                    .any(|row| row.group == "argoproj.io" && row.kind == "Application"),
            });
        }
    }

    fn sync_status(&mut self, word: &str) -> &mut SyncStatus {
        let sync = self.status.sync.get_or_insert_default();
        if sync.status != word {
            self.report.event(EventNote::normal(
                "ResourceUpdated",
                format!("Updated sync status: {} -> {word}", sync.status),
            ));
            word.clone_into(&mut sync.status);
        }
        sync
    }

    fn health(&mut self, health: &Health) {
        let word = health.code.word();
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
            message: health.text().to_owned(),
            last_transition_time: if changed || old.last_transition_time.is_none() {
                Some(Time::new(self.now))
            } else {
                old.last_transition_time
            },
        });
    }

    fn conditions(
        &mut self,
        decision: &SyncDecision,
        comparison: &Comparison,
        failure: Option<&str>,
    ) {
        let mut problems: Vec<Problem> = self.observed.problems.clone();
        problems.extend(comparison.problems.iter().cloned());
        problems.extend(decision.problems.iter().cloned());
        problems.extend(failure.map(|failure| Problem::remark("SyncError", failure)));
        match &self.observed.source {
            SourceState::Failed {
                message,
                grace: false,
                ..
            } => problems.push(Problem::comparison(message.clone())),
            SourceState::Failed { grace: true, .. } => return,
            _ => {}
        }
        let new = conditions(&self.status.conditions, &problems, self.now);
        self.report
            .events
            .extend(warnings(&self.status.conditions, &new));
        self.status.conditions = new;
    }

    fn finish(mut self) -> Report {
        shorten(&mut self.status);
        let mut body = serde_json::Map::new();
        let asked = self.observed.refresh.is_some();
        let at = Time::new(self.now).to_string();
        let (diff, at_is_new) = {
            // The status of a large application is some MiB as a tree, so no copy lives longer than needed.
            let new = serde_json::to_value(std::mem::take(&mut self.status)).unwrap_or(Value::Null);
            let old = match stored_value(self.observed.old_status.as_deref()) {
                Value::Null => json!({}),
                old => old,
            };
            let at_is_new = old["reconciledAt"] != at.as_str();
            (into_merge_diff(&old, new), at_is_new)
        };
        // The time of the comparison alone is no reason to write.
        if diff.is_some() || asked {
            let mut diff = diff.unwrap_or_else(|| json!({}));
            if at_is_new {
                diff["reconciledAt"] = at.into();
            }
            if diff.as_object().is_some_and(|fields| !fields.is_empty()) {
                body.insert("status".to_owned(), diff);
            }
        }
        if let Some(operation) = self.operation.take()
            && (self.observed.operation.is_some() || !operation.is_null())
        {
            body.insert("operation".to_owned(), operation);
        }
        if asked {
            body.insert("metadata".to_owned(), refresh_is_done());
            if self.observed.refresh == Some(Refresh::Hard) {
                self.report.event(EventNote::normal(
                    "StatusRefreshed",
                    "refreshed without any cache",
                ));
            }
        }
        let finalizers = self.observed.wanted_finalizers();
        let follows = finalizers.is_some();
        if let Some(finalizers) = finalizers {
            let metadata = body.entry("metadata").or_insert_with(|| json!({}));
            metadata["finalizers"] = json!(finalizers);
        }
        if !body.is_empty() {
            self.report.patches.push(RootPatch {
                target: Target::Main,
                body: Value::Object(body),
                // Another request for a refresh may have come meanwhile; it must not be taken for done. And finalizers
                // are written as a whole.
                guarded: asked || follows,
            });
        }
        self.report
    }
}

/// Removes the request for a refresh; whoever asked waits for this.
fn refresh_is_done() -> Value {
    json!({ "annotations": { ANNOTATION_REFRESH: Value::Null, ANNOTATION_REFRESH_TIMESTAMP: Value::Null } })
}

/// A stored status as a tree.
fn stored_value(status: Option<&RawValue>) -> Value {
    status
        .and_then(|status| serde_json::from_str(status.get()).ok())
        .unwrap_or(Value::Null)
}
