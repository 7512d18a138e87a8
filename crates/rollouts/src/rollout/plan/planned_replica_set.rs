//! A ReplicaSet in the working copy of a pass.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::{action::TemplateChange, replicas::Pods};
use crate::{
    api::rollout::PodMetadata,
    rollout::{observed::ReplicaSetView, pod_rules::AntiAffinity},
};

/// A ReplicaSet as it is and as it will be.
#[derive(Clone, Debug)]
pub(super) struct PlannedReplicaSet {
    pub(super) view: Arc<ReplicaSetView>,
    pub(super) replicas: i32,
    pub(super) desired: Option<i32>,
    pub(super) deadline: Option<Timestamp>,
    pub(super) revision: i64,
    pub(super) history: String,
    pub(super) deleted: bool,
    /// Labels and annotations of its pods for a time.
    pub(super) metadata: PodMetadata,
    /// The version that its pods avoid, where that is decided.
    pub(super) avoids: Option<(AntiAffinity, String)>,
}

impl PlannedReplicaSet {
    pub(super) fn new(view: Arc<ReplicaSetView>) -> Self {
        Self {
            replicas: view.replicas,
            desired: view.desired,
            deadline: view.deadline,
            revision: view.revision,
            history: view.revision_history.clone(),
            deleted: false,
            metadata: view.metadata.clone().unwrap_or_default(),
            avoids: None,
            view,
        }
    }

    pub(super) fn pods(&self) -> Pods {
        let (wanted, available) = (self.replicas, self.available());
        Pods { wanted, available }
    }

    /// Available pods without those that are about to go.
    pub(super) fn available(&self) -> i32 {
        self.view.available.min(self.view.replicas)
    }

    /// Available pods that more traffic may be sent to: none while the counts may be about pods that are leaving.
    pub(super) fn dependable(&self) -> i32 {
        if self.view.stale { 0 } else { self.available() }
    }

    /// The ReplicaSet asks for `count` pods already, and its status is about these, not about pods that are leaving.
    pub(super) fn asks_for(&self, count: i32) -> bool {
        self.view.replicas >= count && !self.view.stale
    }

    /// True when it is still to be created.
    pub(super) fn is_new(&self) -> bool {
        self.view.uid.is_empty()
    }

    /// It has `count` pods in this plan, and asks for them already.
    pub(super) fn is_sized(&self, count: i32) -> bool {
        self.replicas == count && self.asks_for(count)
    }

    /// What makes the pod template of one that exists have its metadata, and its pods avoid the version that they
    /// should; `None` where both are so.
    pub(super) fn template_change(&self) -> Option<TemplateChange> {
        let old = self.view.metadata.clone().unwrap_or_default();
        let avoids = self.avoids.as_ref();
        let avoids = avoids.filter(|(_, hash)| self.view.avoids.as_ref() != Some(hash));
        let change = TemplateChange {
            metadata: self.metadata.clone(),
            labels: changes(&old.labels, &self.metadata.labels),
            annotations: changes(&old.annotations, &self.metadata.annotations),
            avoids: avoids.cloned(),
        };
        (old != self.metadata || change.avoids.is_some()).then_some(change)
    }
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
