//! The tasks of the operation in work.

use std::sync::Arc;

use jiff::Timestamp;
use thiserror::Error;

use crate::{
    api::{OperationState, Revisions, Time},
    app::{Observed, SourceState},
    clusters::{Live, ResourceId},
    render::TargetSet,
    sync::{
        SyncOptions,
        plan::{BuildInput, Task, build},
    },
};

/// The tasks of the operation, and what they were built from.
pub(super) struct PlannedSync {
    pub(super) tasks: Vec<Task>,
    pub(super) revisions: Revisions,
    pub(super) own_source: bool,
    pub(super) options: SyncOptions,
}

/// The manifests of an operation are unknown.
#[derive(Debug, Error)]
#[error("{message}")]
pub(super) struct NoTasks {
    pub(super) message: String,
    /// It may pass without a change by a person.
    pub(super) transient: bool,
}

/// The tasks of an operation.
pub(super) fn tasks_of(
    observed: &Observed,
    state: &OperationState,
) -> Result<PlannedSync, NoTasks> {
    let sync = state.operation.sync.clone().unwrap_or_default();
    let own_source = observed.sync_source.is_some();
    let source = observed.sync_source.as_ref().unwrap_or(&observed.source);
    let (revisions, set): (&Revisions, &Arc<TargetSet>) = match source {
        SourceState::Ready { revisions, set } => (revisions, set),
        SourceState::Failed { message, grace, .. } => {
            return Err(NoTasks {
                message: format!("ComparisonError: {message}"),
                transient: *grace,
            });
        }
        SourceState::NotAsked => {
            let reasons: Vec<String> = observed
                .problems
                .iter()
                .filter(|problem| problem.blocks)
                .map(|problem| format!("{}: {}", problem.type_, problem.message))
                .collect();
            return Err(NoTasks {
                message: reasons.join(";"),
                transient: false,
            });
        }
    };
    let options = observed.sync_options();
    let prune_candidates = if observed.live_complete {
        observed.prune_candidates(set)
    } else {
        Vec::new()
    };
    let prune_candidates: Vec<(ResourceId, Arc<Live>)> = prune_candidates
        .into_iter()
        .filter(|(_, live)| !live.settings().is_hook())
        .collect();
    let input = BuildInput {
        targets: set,
        live: &|id| observed.live.get(id).cloned(),
        prune_candidates: &prune_candidates,
        sync: &sync,
        options: &options,
        revision: revisions.get(0).unwrap_or_default(),
        started: state.started_at.unwrap_or(Time::new(Timestamp::UNIX_EPOCH)),
        confirmed: observed.is_confirmed_since(state.started_at),
        in_sync: &|id| !own_source && observed.same.contains(id),
    };
    Ok(PlannedSync {
        tasks: build(&input),
        revisions: revisions.clone(),
        own_source,
        options,
    })
}
