//! What goes wrong between the controller and its world: events that arrive late, routers that refuse or lag, other
//! writers of the same fields.

use rand::{Rng, rngs::StdRng};

use super::Cluster;
use crate::rollout::{
    RolloutError, observed::Observed, plan::ReplicaSetChange, traffic::RouterError,
};
use reconcile_core::object::FieldError;

/// How the router takes what is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::rollout::tests) enum RouterFault {
    /// At once.
    #[default]
    None,
    /// Not at all.
    Refuses,
    /// Later, and its status says so.
    Lags,
}

impl Cluster {
    /// The events of ReplicaSets stop arriving. All that the controller learns of them is the answers of its own writes.
    pub(in crate::rollout::tests) fn fall_behind(&mut self) {
        self.say("watch: falls behind");
        self.late = Some(self.replica_sets.clone());
    }

    /// All events have arrived.
    pub(in crate::rollout::tests) fn catch_up(&mut self) {
        self.late = None;
    }

    /// What a pass sees: specs as it wrote them, counts as old as the last event.
    pub(super) fn observe_late(&mut self) -> Result<Observed, RolloutError> {
        let Some(late) = &self.late else {
            return self.observe();
        };
        let now = self.objects.replica_sets.clone();
        for (name, set) in &mut self.objects.replica_sets {
            let old = late.get(name);
            let counts = old.map(|old| (old.current, old.ready, old.available));
            (set.current, set.ready, set.available) = counts.unwrap_or_default();
            set.stale = old.is_some_and(|old| old.stale);
        }
        let seen = self.observe();
        self.objects.replica_sets = now;
        seen
    }

    /// The answer of an own write has a newer generation than the counts.
    pub(super) fn note_change(&mut self, change: &ReplicaSetChange) {
        let late = self.late.as_mut();
        if let Some(set) = late.and_then(|late| late.get_mut(&change.name)) {
            let is_spec = change.replicas.is_some() || change.min_ready.is_some();
            set.stale |= is_spec || change.template.is_some();
        }
    }

    /// The error of a router that refuses.
    pub(super) fn refusal(&mut self) -> Option<RolloutError> {
        (self.router == RouterFault::Refuses).then(|| {
            self.say("router: refuses");
            let error = FieldError::new("spec.rules", "the simulated router refuses");
            RolloutError::Route(RouterError::Invalid(error))
        })
    }

    /// The route objects were written.
    pub(super) fn note_route(&mut self) {
        match self.router {
            RouterFault::Lags => self.traffic.in_effect = Some(false),
            _ if self.traffic.in_effect != Some(false) => self.sent = self.traffic.weight,
            _ => {}
        }
    }

    /// The router does what its objects say, and says so.
    pub(in crate::rollout::tests) fn routes_arrive(&mut self) {
        if self.traffic.in_effect == Some(false) {
            self.say("router: in effect");
        }
        self.traffic.in_effect = Some(true);
        self.sent = self.traffic.weight;
    }

    /// An autoscaler wants `load` percent of the pods that it counts, which is what the status says.
    pub(in crate::rollout::tests) fn autoscale(&mut self, load: i32) {
        const MOST: i32 = 12;
        let pods = self.status().hpa_replicas;
        let wanted = (pods * load / 100).clamp(1, MOST);
        if wanted != self.replicas() {
            self.say(&format!("autoscaler: {wanted} pods for {pods}"));
            self.edit(|spec| spec["replicas"] = wanted.into());
        }
    }

    /// Pods of a set that are ready and that nobody is about to remove.
    pub(in crate::rollout::tests) fn steady_pods(&self, name: &str) -> i32 {
        let pods = self.pods.get(name).into_iter().flatten();
        let ready = pods.filter(|pod| pod.ready).count();
        let ready = i32::try_from(ready).unwrap_or(i32::MAX);
        ready.min(self.replica_sets[name].replicas)
    }

    /// Available pods of a set by the last event that arrived.
    pub(in crate::rollout::tests) fn seen_available(&self, name: &str) -> i32 {
        let sets = self.late.as_ref().unwrap_or(&self.replica_sets);
        sets.get(name).map_or(0, |set| set.available)
    }

    /// The controller, the other controllers and the watch act a few times in random order.
    pub(super) fn stir(&mut self, random: &mut StdRng) {
        const MOST: usize = 16;
        for _ in 0..random.random_range(0..MOST) {
            let names: Vec<String> = self.replica_sets.keys().cloned().collect();
            let action = random.random_range(0..9);
            if names.is_empty() || action < 2 {
                self.pass(None);
                continue;
            }
            let name = &names[random.random_range(0..names.len())];
            match action {
                2..4 => {
                    self.make_or_remove_pod(name);
                }
                4..6 => {
                    self.make_ready(name);
                }
                6 => {
                    self.count(name);
                }
                7 => self.fall_behind(),
                _ => self.catch_up(),
            }
        }
        self.catch_up();
    }
}
