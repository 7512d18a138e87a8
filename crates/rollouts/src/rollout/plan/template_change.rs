//! What changes in the pod template of a ReplicaSet that exists.

use std::collections::BTreeMap;

use super::action::TemplateChange;
use crate::{
    api::rollout::PodMetadata,
    rollout::{observed::ReplicaSetView, pod_rules::AntiAffinity},
};

/// What makes the template have `metadata`, and its pods keep their distance to the version of `avoids`; `None` where
/// both are so.
pub(super) fn template_change(
    view: &ReplicaSetView,
    metadata: &PodMetadata,
    avoids: Option<&(AntiAffinity, String)>,
) -> Option<TemplateChange> {
    let old = view.metadata.clone().unwrap_or_default();
    let avoids = avoids
        .filter(|(_, hash)| view.avoids.as_ref() != Some(hash))
        .cloned();
    let change = TemplateChange {
        metadata: metadata.clone(),
        labels: changes(&old.labels, &metadata.labels),
        annotations: changes(&old.annotations, &metadata.annotations),
        avoids,
    };
    (old != *metadata || change.avoids.is_some()).then_some(change)
}

fn changes(
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
) -> BTreeMap<String, Option<String>> {
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    let set = new
        .iter()
        .filter(|(key, value)| old.get(*key) != Some(value));
    gone.map(|key| (key.clone(), None))
        .chain(set.map(|(key, value)| (key.clone(), Some(value.clone()))))
        .collect()
}
