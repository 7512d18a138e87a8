//! `status.operationState` from its start to its end.

use jiff::Timestamp;

use super::retry;
use crate::{
    api::{
        Operation, OperationState, Phase, ResourceResult, Revisions, SyncOperation, SyncResult,
        Time,
    },
    app::Observed,
};

/// A state at its start.
pub(super) fn begin(operation: Operation, now: Timestamp) -> OperationState {
    OperationState {
        operation,
        phase: Phase::Running,
        started_at: Some(Time::new(now)),
        ..OperationState::default()
    }
}

/// Ends an operation, or lets it wait for a retry.
pub fn end(state: &mut OperationState, phase: Phase, message: &str, now: Timestamp) {
    state.finished_at = Some(Time::new(now));
    message.clone_into(&mut state.message);
    state.phase = phase;
    let retry = &state.operation.retry;
    if !phase.unsuccessful() {
        return;
    }
    if !retry::allowed(retry, state.retry_count) {
        if state.retry_count > 0 {
            state.message = format!("{message} (retried {} times).", state.retry_count);
        }
        return;
    }
    match retry::due(retry, now, state.retry_count) {
        Ok(at) => {
            state.phase = Phase::Running;
            state.retry_count += 1;
            state.message = format!(
                "{message}. Retrying attempt #{} at {}.",
                state.retry_count,
                kitchen(at)
            );
        }
        Err(error) => {
            state.phase = Phase::Failed;
            state.message = format!("{message} (failed to retry: {error})");
        }
    }
}

/// A time as upstream prints it in the message, for example `3:04PM`.
fn kitchen(at: Timestamp) -> String {
    at.strftime("%-I:%M%p").to_string()
}

/// Results so far.
pub fn results(state: &OperationState) -> &[ResourceResult] {
    state
        .sync_result
        .as_ref()
        .map(|result| result.resources.as_slice())
        .unwrap_or_default()
}

/// Replaces the results.
pub fn set_results(state: &mut OperationState, results: Vec<ResourceResult>) {
    state
        .sync_result
        .get_or_insert_with(SyncResult::default)
        .resources = results;
}

/// Identifies the hooks of one try of one operation.
pub fn operation_id(state: &OperationState) -> String {
    let started = state.started_at.map(Time::seconds).unwrap_or_default();
    format!("{started}-{}", state.retry_count)
}

/// Notes commits and sources in the result, once.
pub(super) fn describe(
    state: &mut OperationState,
    observed: &Observed,
    request: &SyncOperation,
    revisions: &Revisions,
) {
    let managed = observed.managed_namespace_metadata().cloned();
    let result = state.sync_result.get_or_insert_with(SyncResult::default);
    result.revision = revisions.one();
    result.revisions = revisions.several();
    (result.source, result.sources) = match (&request.source, &request.sources) {
        (_, own) if !own.is_empty() => (None, own.clone()),
        (Some(own), _) => (Some(own.clone()), Vec::new()),
        _ if observed.spec.has_several_sources() => (None, observed.spec.sources.clone()),
        _ => (observed.spec.source.clone(), Vec::new()),
    };
    result.managed_namespace_metadata = managed;
}
