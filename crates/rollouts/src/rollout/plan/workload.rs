//! The workload that a Rollout takes its template from gives up its pods as those of the Rollout come.

use super::{action::WorkloadScale, planner::Planner};
use crate::rollout::workload::{ResolvedWorkload, ScaleDown, WorkloadKind};

/// Notes which generation of the workload is in work, and plans its size.
pub(super) fn update(planner: &mut Planner<'_>) {
    let observed = planner.observed;
    planner.status.workload_observed_generation = observed
        .workload
        .as_ref()
        .map(|resolved| resolved.workload.generation.to_string())
        .unwrap_or_default();
    let Some(ResolvedWorkload {
        reference,
        workload,
    }) = &observed.workload
    else {
        return;
    };
    // As upstream: the first version takes over, later ones leave the workload to whoever scales it.
    let takes_over = planner.new_set().revision == 1;
    if reference.kind != WorkloadKind::Deployment || !takes_over || workload.replicas == 0 {
        return;
    }
    let wanted = observed.spec.replicas;
    let new = planner.new_set();
    let is_done =
        planner.is_stable() && !new.is_new() && new.asks_for(wanted) && new.available() >= wanted;
    let to = match reference.scale_down {
        ScaleDown::Never => return,
        _ if is_done => 0,
        ScaleDown::OnSuccess => return,
        ScaleDown::Progressively => (wanted - new.view.ready).max(0),
    };
    if to != workload.replicas {
        planner.note(format!(
            "Deployment {} gives up its pods ({:?})",
            reference.name, reference.scale_down
        ));
        planner.workload = Some(WorkloadScale {
            name: reference.name.clone(),
            uid: workload.uid.clone(),
            from: workload.replicas,
            to,
        });
    }
}
