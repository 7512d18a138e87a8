//! Operations that must not, or cannot, be carried out.

use jiff::Timestamp;

use super::{
    OperationStep, Start,
    state::{end, results, set_results},
    tasks::PlannedSync,
};
use crate::{
    api::{OperationState, Phase, ResourceResult},
    app::{Observed, Problem},
    sync::plan::{TaskKind, join_reasons},
};

/// Ends an operation that would take objects from another application, when that is not wanted.
pub(super) fn refuse_shared(
    problems: &[Problem],
    state: &mut OperationState,
    sync: &PlannedSync,
    start: Start,
    now: Timestamp,
) -> Option<OperationStep> {
    if !sync.options.has("FailOnSharedResource=true") {
        return None;
    }
    let shared: Vec<&str> = problems
        .iter()
        .filter(|problem| problem.type_ == "SharedResourceWarning")
        .map(|problem| problem.message.as_str())
        .collect();
    if shared.is_empty() {
        return None;
    }
    let message = join_reasons("Shared resource found", shared);
    end(state, Phase::Failed, &message, now);
    Some(OperationStep::End(Box::new(state.clone()), start))
}

/// Ends an operation that contains tasks that must not, or cannot, be carried out.
pub(super) fn refuse(
    observed: &Observed,
    state: &mut OperationState,
    sync: &PlannedSync,
    start: Start,
    now: Timestamp,
) -> Option<OperationStep> {
    if !results(state).is_empty() {
        return None;
    }
    let mut rows = Vec::new();
    rows.extend(namespace_refused(observed, sync));
    let brings: Vec<(&str, &str)> = match observed
        .sync_source
        .as_ref()
        .unwrap_or(&observed.source)
        .ready()
    {
        Some((_, set)) => set
            .targets
            .iter()
            .filter_map(|target| target.defines.as_ref())
            .map(|(group, kind)| (group.as_ref(), kind.as_ref()))
            .collect(),
        None => Vec::new(),
    };
    for task in sync
        .tasks
        .iter()
        .filter(|task| !matches!(task.kind, TaskKind::SkipPrune(_)))
    {
        let reason = if let Some(reason) = observed.refused.get(&task.id) {
            reason.clone()
        } else if observed.unserved.contains(&task.id.kind)
            && !brings.contains(&(task.id.kind.group.as_ref(), task.id.kind.kind.as_ref()))
            && !task
                .settings
                .options
                .has("SkipDryRunOnMissingResource=true")
            && !sync.options.has("SkipDryRunOnMissingResource=true")
        {
            format!(
                "the cluster does not serve kind {}; is its definition installed?",
                task.id.kind
            )
        } else {
            continue;
        };
        rows.push(ResourceResult {
            status: "SyncFailed".to_owned(),
            hook_phase: Some(Phase::Failed),
            message: reason,
            ..task.new_row()
        });
    }
    if rows.is_empty() {
        return None;
    }
    let reasons = rows.iter().map(|row| row.message.as_str()).collect();
    let message = join_reasons("one or more synchronization tasks are not valid", reasons);
    set_results(state, rows);
    end(state, Phase::Failed, &message, now);
    Some(OperationStep::End(Box::new(state.clone()), start))
}

/// The destination namespace, when it must not be created or labelled and would be.
fn namespace_refused(observed: &Observed, sync: &PlannedSync) -> Option<ResourceResult> {
    let reason = observed.namespace_refused.as_ref()?;
    let name = &observed.spec.destination.namespace;
    let described = sync
        .tasks
        .iter()
        .any(|task| task.id.kind.is("", "Namespace") && *task.id.name == **name);
    let touched = observed.create_namespace || observed.managed_namespace_metadata().is_some();
    (touched && !described && sync.options.has("CreateNamespace=true")).then(|| ResourceResult {
        version: "v1".to_owned(),
        kind: "Namespace".to_owned(),
        name: name.clone(),
        status: "SyncFailed".to_owned(),
        sync_phase: "PreSync".to_owned(),
        hook_phase: Some(Phase::Failed),
        message: reason.clone(),
        ..ResourceResult::default()
    })
}
