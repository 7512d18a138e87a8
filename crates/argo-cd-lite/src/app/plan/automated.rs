//! Decides whether an automated sync starts.

use jiff::{SignedDuration, Timestamp};

use super::{compare::Comparison, windows};
use crate::{
    api::{InitiatedBy, Operation, Phase, ResourceRef, RetryStrategy, Revisions, SyncOperation},
    app::{Observed, Problem},
    project::WindowVerdict::Closed,
};

/// Retries of an automated sync when the application says nothing.
const DEFAULT_RETRIES: i64 = 5;
/// First delay of self-healing, after the first attempt.
const HEAL_FIRST: f64 = 2.0;
/// Factor between delays of self-healing.
const HEAL_FACTOR: f64 = 3.0;
/// Longest delay of self-healing.
const HEAL_LONGEST: f64 = 300.0;
/// Seconds without self-healing after which the count of attempts is reset: a little more than the longest delay.
const HEAL_CALM: i64 = 330;

/// The decision about an automated sync.
#[derive(Clone, Debug, PartialEq)]
pub enum AutoSync {
    /// Nothing to do, and why.
    No(&'static str),
    /// Not before this time.
    Later(Timestamp),
    /// A sync window blocks it; not before this time.
    Blocked {
        /// The window.
        reason: String,
        /// When that may be different.
        until: Timestamp,
    },
    /// It will not, and a person should know.
    Refuse(Problem),
    /// Sync.
    Sync(Box<Operation>),
}

/// Decides whether to start an operation.
pub fn decide(observed: &Observed, comparison: &Comparison, now: Timestamp) -> AutoSync {
    let Some(policy) = observed.spec.automated() else {
        return AutoSync::No("automated sync is off");
    };
    let Some((revisions, _)) = observed.source.ready() else {
        return AutoSync::No("the target state is unknown");
    };
    if comparison.sync != "OutOfSync" {
        return AutoSync::No("nothing is out of sync");
    }
    if let Closed { reason, until } = windows::automated(observed, now) {
        return match until {
            Some(until) => AutoSync::Blocked { reason, until },
            None => AutoSync::No("a sync window of the project blocks it"),
        };
    }
    let (prune, heal) = (
        policy.prune.unwrap_or(false),
        policy.self_heal.unwrap_or(false),
    );
    let mut changed = comparison
        .rows
        .iter()
        .filter(|row| row.status == "OutOfSync");
    let prunes = changed.clone().any(|row| row.requires_pruning);
    if !prune && prunes && changed.clone().all(|row| row.requires_pruning) {
        return AutoSync::No("only prunes are due, and automated pruning is off");
    }
    let all_go = comparison
        .rows
        .iter()
        .filter(|row| !row.hook)
        .all(|row| row.requires_pruning);
    if prune && !policy.allow_empty.unwrap_or(false) && changed.next().is_some() && all_go {
        return AutoSync::Refuse(Problem::remark(
            "SyncError",
            format!("Skipping sync attempt to {revisions}: auto-sync will wipe out all resources"),
        ));
    }
    match attempted(observed, revisions) {
        None => AutoSync::Sync(Box::new(request(observed, revisions, prune, 0, Vec::new()))),
        Some((Phase::Succeeded, ..)) if !heal => {
            AutoSync::No("this revision was synced already, and self-healing is off")
        }
        Some((Phase::Succeeded, finished, attempts)) => {
            let calm = now.as_second() - finished.as_second() > HEAL_CALM;
            let attempts = if calm { 0 } else { attempts };
            let due = heal_due(finished, attempts);
            if now < due {
                return AutoSync::Later(due);
            }
            let resources = out_of_sync(comparison, prune);
            let operation = request(observed, revisions, prune, attempts + 1, resources);
            AutoSync::Sync(Box::new(operation))
        }
        Some(_) => {
            let state = observed.status.operation_state.as_ref();
            let message = state
                .map(|state| state.message.as_str())
                .unwrap_or_default();
            AutoSync::Refuse(Problem::remark(
                "SyncError",
                format!("Failed last sync attempt to [{revisions}]: {message}"),
            ))
        }
    }
}

/// The operation to start.
fn request(
    observed: &Observed,
    revisions: &Revisions,
    prune: bool,
    attempts: i64,
    resources: Vec<ResourceRef>,
) -> Operation {
    let policy = observed.spec.sync_policy.clone().unwrap_or_default();
    Operation {
        sync: Some(SyncOperation {
            revision: revisions.one(),
            revisions: revisions.several(),
            prune,
            sync_options: policy.sync_options,
            auto_heal_attempts_count: attempts,
            resources,
            ..SyncOperation::default()
        }),
        initiated_by: InitiatedBy {
            automated: true,
            ..InitiatedBy::default()
        },
        retry: policy.retry.unwrap_or(RetryStrategy {
            limit: DEFAULT_RETRIES,
            ..RetryStrategy::default()
        }),
        ..Operation::default()
    }
}

/// Phase, end and self-heal attempts of the last operation, when it was about these commits and sources.
fn attempted(observed: &Observed, revisions: &Revisions) -> Option<(Phase, Timestamp, i64)> {
    let state = observed.status.operation_state.as_ref()?;
    let result = state.sync_result.as_ref()?;
    let sync = state.operation.sync.as_ref()?;
    let spec = &observed.spec;
    let same_source = if spec.has_several_sources() {
        result.sources == spec.sources
    } else {
        result.source == spec.source
    };
    let same = result.synced() == *revisions && same_source && !sync.dry_run;
    let finished = state.finished_at.or(state.started_at)?.timestamp();
    (same && state.phase.completed()).then_some((
        state.phase,
        finished,
        sync.auto_heal_attempts_count,
    ))
}

fn heal_due(finished: Timestamp, attempts: i64) -> Timestamp {
    if attempts <= 0 {
        return finished;
    }
    let exponent = i32::try_from(attempts - 1).unwrap_or(i32::MAX).min(16);
    let delay = (HEAL_FIRST * HEAL_FACTOR.powi(exponent)).min(HEAL_LONGEST);
    let delay = SignedDuration::try_from_secs_f64(delay).unwrap_or(SignedDuration::ZERO);
    finished.checked_add(delay).unwrap_or(finished)
}

/// The objects of a self-heal: what is out of sync, and with pruning also what should go.
fn out_of_sync(comparison: &Comparison, prune: bool) -> Vec<ResourceRef> {
    comparison
        .rows
        .iter()
        .filter(|row| row.status == "OutOfSync" && (prune || !row.requires_pruning))
        .map(|row| ResourceRef {
            group: row.group.clone(),
            kind: row.kind.clone(),
            name: row.name.clone(),
            namespace: row.namespace.clone(),
        })
        .collect()
}
