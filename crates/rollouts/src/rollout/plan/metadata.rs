//! Labels and annotations that the pods of a version have as long as it is the newest or the stable one, and the
//! distance of the newest version to the stable one.

use std::collections::BTreeMap;

use super::{
    action::{Action, PodChange, PodRef},
    planner::Planner,
};
use crate::{api::rollout::PodMetadata, rollout::observed::PodView};

/// Gives each version its labels and annotations, and plans what changes of pods that are there.
pub(super) fn update(planner: &mut Planner<'_>) {
    let observed = planner.observed;
    let rules = &observed.spec.pods;
    let stable = planner.stable();
    let is_update = stable.is_some_and(|stable| stable != planner.new);
    for index in 0..planner.replica_sets.len() {
        let wanted = if Some(index) == stable || (index == planner.new && !is_update) {
            rules.stable.clone()
        } else if index == planner.new {
            rules.newest.clone()
        } else {
            PodMetadata::default()
        };
        planner.replica_sets[index].metadata = wanted;
    }
    if let (Some(how), true) = (rules.anti_affinity, is_update) {
        let hash = planner.status.stable_rs.clone();
        let newest = planner.new;
        planner.replica_sets[newest].avoids = Some((how, hash));
    }
    let changes: Vec<Action> = observed
        .pods
        .iter()
        .flatten()
        .filter(|pod| !pod.deleting)
        .filter_map(|pod| pod_change(planner, pod))
        .map(Action::ChangePod)
        .collect();
    planner.pods.extend(changes);
}

fn pod_change(planner: &Planner<'_>, pod: &PodView) -> Option<PodChange> {
    let mut sets = planner.replica_sets.iter();
    let set = sets.find(|set| set.view.uid == pod.set)?;
    // What a version may have had before: a pod that was created meanwhile may have any of it.
    let rules = &planner.observed.spec.pods;
    let known: Vec<&PodMetadata> = [&rules.newest, &rules.stable]
        .into_iter()
        .chain(&set.view.metadata)
        .collect();
    let labels: Vec<_> = known.iter().map(|metadata| &metadata.labels).collect();
    let annotations: Vec<_> = known.iter().map(|metadata| &metadata.annotations).collect();
    let change = PodChange {
        pod: PodRef {
            name: pod.name.clone(),
            uid: pod.uid.clone(),
        },
        labels: pod_changes(&pod.labels, &set.metadata.labels, &labels, &set.view.labels),
        annotations: pod_changes(
            &pod.annotations,
            &set.metadata.annotations,
            &annotations,
            &BTreeMap::new(),
        ),
    };
    let same = change.labels.is_empty() && change.annotations.is_empty();
    (!same).then_some(change)
}

/// Sets what is wanted, and removes what a version had before and the template itself does not have.
fn pod_changes(
    has: &BTreeMap<String, String>,
    wanted: &BTreeMap<String, String>,
    before: &[&BTreeMap<String, String>],
    own: &BTreeMap<String, String>,
) -> BTreeMap<String, Option<String>> {
    let mut changes: BTreeMap<String, Option<String>> = wanted
        .iter()
        .filter(|(key, value)| has.get(*key) != Some(value))
        .map(|(key, value)| (key.clone(), Some(value.clone())))
        .collect();
    for (key, value) in before.iter().copied().flatten() {
        let stale =
            has.get(key) == Some(value) && !wanted.contains_key(key) && own.get(key) != Some(value);
        if stale {
            changes.insert(key.clone(), None);
        }
    }
    changes
}
