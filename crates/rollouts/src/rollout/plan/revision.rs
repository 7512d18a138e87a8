//! Which ReplicaSet belongs to the newest template, its revision, and what becomes of old ones.

use std::sync::Arc;

use reconcile_core::event::EventNote;

use super::{event_order, planned_replica_set::PlannedReplicaSet, planner::Planner};
use crate::{api::rollout::REVISION, rollout::observed::ReplicaSetView};

/// Finds the ReplicaSet of the newest template, or plans a new one.
///
/// A set with an equal template is wanted, best under its hash; so sets of another controller are taken
/// over without a redeployment. Otherwise the hash of an own set is enough: a webhook may have changed the
/// template on its way in, or the API server may know a default that is not known here, and taking such a
/// set for a stranger would make another one in each pass.
pub(super) fn find_newest(planner: &mut Planner<'_>) {
    let spec = &planner.observed.spec;
    let hash = spec.compared.pod_hash(planner.status.collision_count);
    let live = |fits: &dyn Fn(&ReplicaSetView) -> bool| {
        let mut all = planner.replica_sets.iter();
        all.position(|set| !set.view.deleting && fits(&set.view))
    };
    let equal = |set: &ReplicaSetView| set.template == spec.compared.digest;
    let found = live(&|set| set.hash == hash && equal(set))
        .or_else(|| live(&equal))
        .or_else(|| live(&|set| set.hash == hash && set.owner.is_some()));
    if let Some(index) = found {
        planner.new = index;
        return;
    }
    let name = format!(
        "{}-{hash}",
        planner
            .observed
            .root
            .metadata
            .name
            .as_deref()
            .unwrap_or_default()
    );
    planner.note(format!("the template is new: ReplicaSet {name}"));
    let view = ReplicaSetView {
        name,
        hash,
        template: spec.compared.digest,
        min_ready: spec.min_ready,
        desired: Some(spec.replicas),
        ..ReplicaSetView::default()
    };
    planner
        .replica_sets
        .push(PlannedReplicaSet::new(Arc::new(view)));
    planner.new = planner.replica_sets.len() - 1;
}

/// Gives the newest set the highest revision; a revision is only ever raised. Returns it.
pub(super) fn raise(planner: &mut Planner<'_>) -> i64 {
    let others = planner
        .replica_sets
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != planner.new);
    let highest = others
        .map(|(_, set)| set.revision)
        .max()
        .unwrap_or_default();
    let set = &mut planner.replica_sets[planner.new];
    if set.revision <= highest {
        let old = set.revision;
        set.revision = highest + 1;
        if old > 0 {
            if !set.history.is_empty() {
                set.history.push(',');
            }
            set.history.push_str(&old.to_string());
        }
    }
    set.revision
}

/// The Event about a new revision. An earlier pass may have annotated the Rollout with it and then failed.
pub(super) fn announce(planner: &mut Planner<'_>, revision: i64) {
    let has_begun = planner.status.current_pod_hash != planner.observed.status.current_pod_hash;
    if annotated(planner) != Some(revision) || has_begun {
        planner.events.push(EventNote::normal(
            event_order::UPDATED,
            format!("Rollout updated to revision {revision}"),
        ));
    }
}

/// The revision that the Rollout is annotated with.
pub(super) fn annotated(planner: &Planner<'_>) -> Option<i64> {
    planner.observed.root.annotation(REVISION)?.parse().ok()
}

/// Deletes the oldest ReplicaSets without pods beyond the limit.
pub(super) fn collect_old(planner: &mut Planner<'_>) {
    let mut old: Vec<usize> = planner
        .older()
        .filter(|index| !planner.replica_sets[*index].view.deleting)
        .collect();
    old.sort_by_key(|index| {
        (
            planner.replica_sets[*index].revision,
            planner.replica_sets[*index].view.created,
        )
    });
    let surplus = old
        .len()
        .saturating_sub(planner.observed.spec.history_limit);
    for index in old.into_iter().take(surplus) {
        let set = &mut planner.replica_sets[index];
        let idle = set.replicas == 0 && set.view.replicas == 0 && set.view.current == 0;
        if idle && set.deadline.is_none() {
            set.deleted = true;
            let name = set.view.name.clone();
            planner.note(format!("{name} is beyond revisionHistoryLimit"));
        }
    }
}
