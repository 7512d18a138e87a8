//! The ReplicaSet controller and the kubelet, which act when asked to.

use std::collections::BTreeMap;

use jiff::Timestamp;

use kube::api::ObjectMeta;
use reconcile_core::object::ObjectKey;

use super::{Cluster, NAMESPACE};
use crate::rollout::{
    Applied,
    observed::PodView,
    plan::{PodChange, PodRef, WorkloadScale},
    workload::{Workload, WorkloadKind},
};

/// A pod of the simulation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::rollout::tests) struct Pod {
    pub(in crate::rollout::tests) ready: bool,
    pub(in crate::rollout::tests) hangs: bool,
    pub(in crate::rollout::tests) name: String,
    pub(in crate::rollout::tests) born: Timestamp,
    pub(in crate::rollout::tests) labels: BTreeMap<String, String>,
}

impl Cluster {
    /// The ReplicaSet controller makes or removes one pod of a set; unready pods go first.
    pub(in crate::rollout::tests) fn make_or_remove_pod(&mut self, name: &str) -> bool {
        let wanted = usize::try_from(self.replica_sets[name].replicas).unwrap_or_default();
        let hangs = self
            .images
            .get(name)
            .is_some_and(|image| self.hanging.contains(image));
        let number = self.next_number();
        let set = &self.replica_sets[name];
        let born = self.now;
        let labels = set.metadata.clone().unwrap_or_default().labels;
        let pods = self.pods.entry(name.to_owned()).or_default();
        match pods.len().cmp(&wanted) {
            std::cmp::Ordering::Less => pods.push(Pod {
                ready: false,
                hangs,
                name: format!("{name}-{number}"),
                born,
                labels,
            }),
            std::cmp::Ordering::Greater => {
                let unready = pods.iter().position(|pod| !pod.ready).unwrap_or(0);
                pods.remove(unready);
            }
            std::cmp::Ordering::Equal => return false,
        }
        true
    }

    /// The kubelet makes one pod of a set ready.
    pub(in crate::rollout::tests) fn make_ready(&mut self, name: &str) -> bool {
        let pod = self
            .pods
            .get_mut(name)
            .and_then(|pods| pods.iter_mut().find(|pod| !pod.ready && !pod.hangs));
        pod.map(|pod| pod.ready = true).is_some()
    }

    /// The ReplicaSet controller writes the status of a set. True when it changed.
    pub(in crate::rollout::tests) fn count(&mut self, name: &str) -> bool {
        let number = |count: usize| i32::try_from(count).unwrap_or_default();
        let pods = self.pods.get(name).map_or(&[][..], Vec::as_slice);
        let ready = number(pods.iter().filter(|pod| pod.ready).count());
        let current = number(pods.len());
        let set = self.set(name);
        let before = (set.current, set.ready, set.available, set.stale);
        // It is behind while it has to remove pods.
        let now = (current, ready, ready, current > set.replicas);
        (set.current, set.ready, set.available, set.stale) = now;
        before != now
    }

    /// All peers act until they have nothing left to do. True when they had something.
    pub(in crate::rollout::tests) fn peers(&mut self) -> bool {
        let names: Vec<String> = self.replica_sets.keys().cloned().collect();
        let mut acted = false;
        for name in names {
            while self.make_or_remove_pod(&name) || self.make_ready(&name) {
                acted = true;
            }
            acted |= self.count(&name);
        }
        acted
    }

    /// The controller and its peers take turns until nothing moves.
    pub(in crate::rollout::tests) fn run(&mut self) {
        const MOST: usize = 100;
        if let Some(mut order) = self.order.take() {
            self.stir(&mut order);
            self.order = Some(order);
        }
        for _ in 0..MOST {
            self.settle();
            if !self.peers() {
                return;
            }
        }
        panic!("the world does not come to rest:\n{}", self.log);
    }

    /// The pods as the API server shows them.
    pub(super) fn pod_views(&self) -> Vec<PodView> {
        let all = self
            .pods
            .iter()
            .flat_map(|(set, pods)| pods.iter().map(move |pod| (set, pod)));
        all.map(|(set, pod)| PodView {
            name: pod.name.clone(),
            uid: pod.name.clone(),
            set: self
                .replica_sets
                .get(set)
                .map(|set| set.uid.clone())
                .unwrap_or_default(),
            created: Some(pod.born),
            ready_since: pod.ready.then_some(pod.born),
            labels: pod.labels.clone(),
            ..PodView::default()
        })
        .collect()
    }

    /// The API server evicts a pod, unless a budget protects it.
    pub(super) fn evict(&mut self, pod: &PodRef) -> Applied {
        if self.protected {
            return Applied::Held;
        }
        for pods in self.pods.values_mut() {
            pods.retain(|known| known.name != pod.name);
        }
        Applied::Done
    }

    pub(super) fn change_pod(&mut self, change: &PodChange) {
        let mut pods = self.pods.values_mut().flatten();
        let pod = pods
            .find(|pod| pod.name == change.pod.name)
            .expect("the pod exists");
        for (key, value) in &change.labels {
            match value {
                Some(value) => drop(pod.labels.insert(key.clone(), value.clone())),
                None => drop(pod.labels.remove(key)),
            }
        }
    }

    /// The API server shows a workload that the Rollout may refer to.
    pub(in crate::rollout::tests) fn put_workload(
        &mut self,
        kind: WorkloadKind,
        name: &str,
        view: Workload,
    ) {
        let number = self.next_number();
        let meta = ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(NAMESPACE.to_owned()),
            uid: Some(view.uid.clone()),
            resource_version: Some(number.to_string()),
            ..ObjectMeta::default()
        };
        drop(self.indexes.workloads.of(kind).written(&meta, view));
    }

    pub(super) fn scale_workload(&mut self, scale: &WorkloadScale) {
        let key = ObjectKey::new(NAMESPACE, &scale.name);
        let known = self
            .indexes
            .workloads
            .of(WorkloadKind::Deployment)
            .get(&key);
        let mut view = Workload::clone(&known.expect("the Deployment exists"));
        view.replicas = scale.to;
        view.generation += 1;
        self.put_workload(WorkloadKind::Deployment, &scale.name, view);
    }
}
