//! The ReplicaSet controller and the kubelet, which act when asked to.

use super::Cluster;

/// A pod of the simulation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::rollout::tests) struct Pod {
    pub(in crate::rollout::tests) ready: bool,
    pub(in crate::rollout::tests) hangs: bool,
}

impl Cluster {
    /// The ReplicaSet controller makes or removes one pod of a set; unready pods go first.
    pub(in crate::rollout::tests) fn make_or_remove_pod(&mut self, name: &str) -> bool {
        let wanted = usize::try_from(self.replica_sets[name].replicas).unwrap_or_default();
        let hangs = self
            .images
            .get(name)
            .is_some_and(|image| self.hanging.contains(image));
        let pods = self.pods.entry(name.to_owned()).or_default();
        match pods.len().cmp(&wanted) {
            std::cmp::Ordering::Less => pods.push(Pod {
                ready: false,
                hangs,
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

    /// The ReplicaSet controller writes the status of a set.
    pub(in crate::rollout::tests) fn count(&mut self, name: &str) {
        let pods = self.pods.get(name).cloned().unwrap_or_default();
        let ready = pods.iter().filter(|pod| pod.ready).count();
        let set = self.set(name);
        set.current = i32::try_from(pods.len()).unwrap_or_default();
        set.ready = i32::try_from(ready).unwrap_or_default();
        set.available = set.ready;
    }

    /// All peers act until they have nothing left to do.
    pub(in crate::rollout::tests) fn peers(&mut self) {
        let names: Vec<String> = self.replica_sets.keys().cloned().collect();
        for name in names {
            while self.make_or_remove_pod(&name) {}
            while self.make_ready(&name) {}
            self.count(&name);
        }
    }

    /// The controller and its peers take turns until nothing moves.
    pub(in crate::rollout::tests) fn run(&mut self) {
        const MOST: usize = 100;
        for _ in 0..MOST {
            self.settle();
            let before = (self.replica_sets.clone(), self.pods.clone());
            self.peers();
            if before == (self.replica_sets.clone(), self.pods.clone()) {
                return;
            }
        }
        panic!("the world does not come to rest:\n{}", self.log);
    }
}
