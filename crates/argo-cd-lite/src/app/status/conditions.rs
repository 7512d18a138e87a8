//! Conditions, and the size of the status.

use jiff::Timestamp;

use crate::{
    api::{ApplicationStatus, Condition, Phase, ResourceResult, Time},
    app::Problem,
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

/// Keeps a status of thousands of objects below what etcd takes: first the messages of single results
/// go, then the results that tell nothing but success.
pub(super) fn shorten(status: &mut ApplicationStatus) {
    const FEW: usize = 500;
    let Some(result) = status
        .operation_state
        .as_mut()
        .and_then(|state| state.sync_result.as_mut())
    else {
        return;
    };
    if result.resources.len() < FEW {
        return;
    }
    let size = |rows: &[ResourceResult]| serde_json::to_string(rows).map_or(0, |text| text.len());
    let listed = serde_json::to_string(&status.resources).map_or(0, |text| text.len());
    if listed + size(&result.resources) <= BUDGET {
        return;
    }
    for row in &mut result.resources {
        if !row.hook_phase.is_some_and(Phase::unsuccessful) {
            row.message.clear();
            row.images.clear();
        }
    }
}
