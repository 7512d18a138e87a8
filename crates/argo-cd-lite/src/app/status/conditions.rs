//! Conditions, and the size of the status.

use std::collections::HashSet;

use jiff::Timestamp;
use reconcile_core::event::EventNote;

use crate::{
    api::{ApplicationStatus, Condition, Phase, ResourceResult, ResourceStatus, Time},
    app::Problem,
    health::Code,
    sync::plan::compact,
};

/// A status larger than this is shortened: etcd refuses objects of 1.5 MiB, and the spec needs room too.
const BUDGET: usize = 1_100_000;

/// The conditions to be; one that said the same before keeps its time.
pub(super) fn conditions(
    old: &[Condition],
    problems: &[Problem],
    now: Timestamp,
) -> Vec<Condition> {
    let mut new: Vec<Condition> = Vec::new();
    for problem in problems {
        if new
            .iter()
            .any(|known| known.type_ == problem.type_ && known.message == problem.message)
        {
            continue;
        }
        let since = old
            .iter()
            .find(|known| known.type_ == problem.type_ && known.message == problem.message)
            .and_then(|known| known.last_transition_time);
        new.push(Condition {
            type_: problem.type_.to_owned(),
            message: problem.message.clone(),
            last_transition_time: Some(since.unwrap_or(Time::new(now))),
        });
    }
    new.sort_by(|a, b| (&a.type_, &a.message).cmp(&(&b.type_, &b.message)));
    new
}

/// A Warning for each condition that is new and speaks of an error.
pub(super) fn warnings(old: &[Condition], new: &[Condition]) -> Vec<EventNote> {
    let is_new = |condition: &&Condition| {
        condition.type_.ends_with("Error")
            && !old
                .iter()
                .any(|known| known.type_ == condition.type_ && known.message == condition.message)
    };
    new.iter()
        .filter(is_new)
        .map(|condition| EventNote::warning(&condition.type_, &condition.message))
        .collect()
}

/// The messages of objects that are as they should be are the first to go.
fn quiet_rows(rows: &mut [ResourceStatus]) {
    for health in rows.iter_mut().filter_map(|row| row.health.as_mut()) {
        if health.status == Code::Healthy.word() {
            health.message.clear();
        }
    }
}

/// Keeps a status of thousands of objects below what etcd takes; the operation itself is never lost. First the messages
/// of single results go, then, when the operation has ended, the results that only say success, then the rows of
/// objects that are in sync, then those of others. Results that a running operation needs are compacted. One row of each kind stays: from them the controller learns which kinds to watch.
pub(super) fn shorten(status: &mut ApplicationStatus) {
    const FEW: usize = 500;
    if status.resources.len() < FEW && results_of(status).len() < FEW {
        return;
    }
    if size_of(status) <= BUDGET {
        return;
    }
    quiet_rows(&mut status.resources);
    let ended = status
        .operation_state
        .as_ref()
        .is_some_and(|state| state.phase.completed());
    let result = status
        .operation_state
        .as_mut()
        .and_then(|state| state.sync_result.as_mut());
    if let Some(result) = result {
        for row in &mut result.resources {
            if !row.hook_phase.is_some_and(Phase::unsuccessful) {
                row.message.clear();
                row.images.clear();
            }
        }
    }
    if size_of(status) <= BUDGET {
        return;
    }
    if ended
        && let Some(state) = &mut status.operation_state
        && let Some(result) = &mut state.sync_result
    {
        result.resources.retain(|row| {
            !row.hook_type.is_empty() || row.hook_phase.is_some_and(Phase::unsuccessful)
        });
    }
    for dispensable in [Dispensable::InSync, Dispensable::All] {
        if size_of(status) > BUDGET {
            drop_rows(status, dispensable);
        }
    }
    if size_of(status) > BUDGET {
        compact_results(status, ended);
    }
}

/// Which rows of objects may be dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dispensable {
    /// Those of objects that are in sync.
    InSync,
    /// Any.
    All,
}

/// Drops rows of objects until the rest fits.
fn drop_rows(status: &mut ApplicationStatus, dispensable: Dispensable) {
    let size = size_of(status);
    let rows = status.resources.len().max(1);
    // Rows are of about the same size; a few more go so that the estimate need not be exact.
    let each =
        (serde_json::to_string(&status.resources).map_or(0, |text| text.len()) / rows).max(1);
    let mut surplus = size.saturating_sub(BUDGET) / each + rows / 50;
    let mut kinds: HashSet<(String, String)> = HashSet::new();
    status.resources.retain(|row| {
        let first = kinds.insert((row.group.clone(), row.kind.clone()));
        let needed = row.status != "Synced" && dispensable == Dispensable::InSync;
        let kept = first || needed || surplus == 0;
        if !kept {
            surplus -= 1;
        }
        kept
    });
}

/// Failures that are kept when there are too many; what they have in common is in the message.
const FAILURES: usize = 500;

/// Leaves of the results what the sync engine needs to continue.
fn compact_results(status: &mut ApplicationStatus, ended: bool) {
    let result = status
        .operation_state
        .as_mut()
        .and_then(|state| state.sync_result.as_mut());
    let Some(result) = result else {
        return;
    };
    if !ended {
        compact(&mut result.resources);
    }
    // With one failure the engine applies nothing more.
    let mut failures = 0;
    result.resources.retain(|row| {
        let failure = row.hook_type.is_empty() && row.hook_phase.is_some_and(Phase::unsuccessful);
        failures += usize::from(failure);
        !failure || failures <= FAILURES
    });
}

fn results_of(status: &ApplicationStatus) -> &[ResourceResult] {
    status
        .operation_state
        .as_ref()
        .and_then(|state| state.sync_result.as_ref())
        .map_or(&[], |result| &result.resources)
}

fn size_of(status: &ApplicationStatus) -> usize {
    serde_json::to_string(status).map_or(0, |text| text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{OperationState, ResourceStatus, SyncResult};

    /// The status of an application with this many objects.
    fn status(objects: usize, phase: Phase) -> ApplicationStatus {
        let name = |at: usize| format!("an-object-with-a-name-of-usual-length-{at:05}");
        let result = |at| ResourceResult {
            kind: "ConfigMap".to_owned(),
            name: name(at),
            message: format!("configmap/{} created", name(at)),
            status: "Synced".to_owned(),
            hook_phase: Some(if at == 7 {
                Phase::Failed
            } else {
                Phase::Succeeded
            }),
            ..ResourceResult::default()
        };
        let row = |at| ResourceStatus {
            kind: if at == 0 { "Secret" } else { "ConfigMap" }.to_owned(),
            name: name(at),
            status: if at == 9 { "OutOfSync" } else { "Synced" }.to_owned(),
            ..ResourceStatus::default()
        };
        ApplicationStatus {
            resources: (0..objects).map(row).collect(),
            operation_state: Some(OperationState {
                phase,
                sync_result: Some(SyncResult {
                    resources: (0..objects).map(result).collect(),
                    ..SyncResult::default()
                }),
                ..OperationState::default()
            }),
            ..ApplicationStatus::default()
        }
    }

    #[test]
    fn a_status_of_many_objects_fits_and_keeps_what_failed() {
        for objects in [10_000, 30_000] {
            let mut status = status(objects, Phase::Failed);
            shorten(&mut status);
            assert!(size_of(&status) <= BUDGET, "{}", size_of(&status));
            let failed = |row: &ResourceResult| row.hook_phase == Some(Phase::Failed);
            assert!(results_of(&status).iter().any(failed));
            assert!(status.resources.iter().any(|row| row.status == "OutOfSync"));
            assert!(status.resources.iter().any(|row| row.kind == "Secret"));
        }
    }

    #[test]
    fn an_operation_in_work_fits_while_nothing_is_in_sync_yet() {
        let mut running = status(10_000, Phase::Running);
        for row in &mut running.resources {
            "OutOfSync".clone_into(&mut row.status);
        }
        shorten(&mut running);
        assert!(size_of(&running) <= BUDGET, "{}", size_of(&running));
        let words: Vec<&str> = results_of(&running)
            .iter()
            .map(|row| row.name.as_str())
            .collect();
        assert_eq!(words.len(), 2, "the memory of the engine: {words:?}");
        assert_eq!(words[1], "9999 objects");
        let kinds: HashSet<&str> = running
            .resources
            .iter()
            .map(|row| row.kind.as_str())
            .collect();
        assert_eq!(kinds.len(), 2, "one row of each kind");
        let mut begun = status(10_000, Phase::Running);
        begun.operation_state.as_mut().expect("a state").sync_result = None;
        for row in &mut begun.resources {
            "OutOfSync".clone_into(&mut row.status);
        }
        shorten(&mut begun);
        assert!(size_of(&begun) <= BUDGET, "{}", size_of(&begun));
    }

    #[test]
    fn an_operation_with_nothing_but_failures_fits() {
        for phase in [Phase::Running, Phase::Failed] {
            let mut failed = status(40_000, phase);
            let state = failed.operation_state.as_mut().expect("a state");
            let result = state.sync_result.as_mut().expect("a result");
            for row in &mut result.resources {
                row.hook_phase = Some(Phase::Failed);
            }
            shorten(&mut failed);
            assert!(size_of(&failed) <= BUDGET, "{}", size_of(&failed));
            assert_eq!(results_of(&failed).len(), FAILURES);
        }
    }

    #[test]
    fn the_results_of_a_running_operation_stay() {
        let mut running = status(6_000, Phase::Running);
        shorten(&mut running);
        assert_eq!(results_of(&running).len(), 6_000);
        assert!(size_of(&running) <= BUDGET);
        let mut small = status(400, Phase::Succeeded);
        let before = small.clone();
        shorten(&mut small);
        assert_eq!(small, before);
    }
}
