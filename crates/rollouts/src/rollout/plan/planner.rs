//! The working copy of a pass: the world as it will be when the actions planned so far are done.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use reconcile_core::event::EventNote;

use super::{
    action::{Action, NewReplicaSet, ReplicaSetChange, RunRef, WorkloadScale},
    planned_replica_set::PlannedReplicaSet,
};
use crate::{
    analysis::build::RunType,
    api::rollout::{
        DESIRED_REPLICAS, REVISION, REVISION_HISTORY, Rollout, RolloutStatus, SCALE_DOWN_DEADLINE,
        WORKLOAD_GENERATION,
    },
    rollout::{
        flags::FlagEdit,
        kinds::annotation_digest,
        observed::{Observed, ServiceView},
        traffic::RouteGoal,
    },
};

/// Annotations of a Rollout that are not about its ReplicaSets.
const NOT_COPIED: [&str; 6] = [
    WORKLOAD_GENERATION,
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    "notified.notifications.argoproj.io",
];

/// The annotations that the newest ReplicaSet takes over from its Rollout.
pub(crate) fn copied_annotations(root: &Rollout) -> impl Iterator<Item = (&String, &String)> {
    let all = root.metadata.annotations.iter().flatten();
    all.filter(|(key, _)| !NOT_COPIED.contains(&key.as_str()))
}

/// The working copy.
pub(super) struct Planner<'a> {
    pub(super) observed: &'a Observed,
    pub(super) now: Timestamp,
    pub(super) status: RolloutStatus,
    pub(super) replica_sets: Vec<PlannedReplicaSet>,
    /// Index of the set of the newest template.
    pub(super) new: usize,
    pub(super) services: BTreeMap<String, ServiceView>,
    pub(super) switches: Vec<Action>,
    /// What the routes get in this pass.
    pub(super) route: Option<RouteGoal>,
    /// What becomes of feature flags.
    pub(super) flags: Vec<FlagEdit>,
    pub(super) runs: Vec<Action>,
    /// What becomes of the workload that the template comes from.
    pub(super) workload: Option<WorkloadScale>,
    /// What becomes of pods.
    pub(super) pods: Vec<Action>,
    pub(super) started: Vec<RunType>,
    pub(super) events: Vec<EventNote>,
    pub(super) notes: Vec<String>,
    pub(super) wake: Option<Timestamp>,
    /// Why the update is given up, when that happened in this pass.
    pub(super) abort_message: Option<String>,
    /// A person took back an abort since the last pass.
    pub(super) retrying: bool,
    /// A person resumed, and nothing has acted on it yet.
    pub(super) resumed: bool,
    /// When the newest set was to be scaled down, as the pass found it.
    pub(super) deadline_at_start: Option<Timestamp>,
}

impl<'a> Planner<'a> {
    pub(super) fn new(observed: &'a Observed, now: Timestamp) -> Self {
        let mut replica_sets: Vec<PlannedReplicaSet> = observed
            .replica_sets
            .iter()
            .chain(&observed.orphans)
            .cloned()
            .map(PlannedReplicaSet::new)
            .collect();
        replica_sets
            .sort_by(|a, b| (a.view.created, &a.view.name).cmp(&(b.view.created, &b.view.name)));
        let status = observed.status.clone();
        let services = observed
            .services
            .iter()
            .map(|(name, view)| (name.clone(), (**view).clone()))
            .collect();
        Self {
            observed,
            now,
            retrying: !status.abort && status.aborted_at.is_some(),
            resumed: status.controller_pause && status.pause_conditions.is_empty(),
            status,
            replica_sets,
            new: 0,
            services,
            switches: Vec::new(),
            route: None,
            flags: Vec::new(),
            runs: Vec::new(),
            workload: None,
            pods: Vec::new(),
            started: Vec::new(),
            events: Vec::new(),
            notes: Vec::new(),
            wake: None,
            abort_message: None,
            deadline_at_start: None,
        }
    }

    pub(super) fn new_set(&self) -> &PlannedReplicaSet {
        &self.replica_sets[self.new]
    }

    /// The set of the stable version, when it exists.
    pub(super) fn stable(&self) -> Option<usize> {
        self.by_hash(&self.status.stable_rs)
    }

    pub(super) fn by_hash(&self, hash: &str) -> Option<usize> {
        if hash.is_empty() {
            return None;
        }
        self.replica_sets
            .iter()
            .position(|set| set.view.hash == hash && !set.deleted)
    }

    /// Sets that are neither the newest nor the stable one.
    pub(super) fn older(&self) -> impl Iterator<Item = usize> + use<> {
        let (new, stable) = (self.new, self.stable());
        let live: Vec<usize> = (0..self.replica_sets.len())
            .filter(|index| {
                *index != new && Some(*index) != stable && !self.replica_sets[*index].deleted
            })
            .collect();
        live.into_iter()
    }

    pub(super) fn newest_hash(&self) -> String {
        self.new_set().view.hash.clone()
    }

    pub(super) fn is_stable(&self) -> bool {
        !self.status.stable_rs.is_empty() && self.status.stable_rs == self.new_set().view.hash
    }

    /// Scales a set, and remembers for which number of replicas that was.
    pub(super) fn scale(&mut self, index: usize, replicas: i32) {
        let desired = self.observed.spec.replicas;
        let set = &mut self.replica_sets[index];
        set.replicas = replicas.max(0);
        set.desired = Some(desired);
        if replicas == 0 {
            set.deadline = None;
        }
    }

    pub(super) fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    pub(super) fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |old| old.min(at)));
    }

    /// Says what AWS knows of the pods behind a Service that was switched; the caller waits until it knows all, or did.
    pub(super) fn announce_targets(&mut self) {
        let targets = self.observed.targets.as_ref();
        let findings = targets.map(|targets| targets.findings.as_slice());
        for finding in findings.unwrap_or_default() {
            if !self.events.contains(finding) {
                self.events.push(finding.clone());
            }
        }
    }

    /// The current time as it is written into objects: whole seconds.
    pub(super) fn time(&self) -> Time {
        Time(whole_second(self.now))
    }

    /// The update is given up or was given up before.
    pub(super) fn aborted(&self) -> bool {
        self.status.abort
    }

    /// Gives the update up.
    pub(super) fn abort(&mut self, message: String) {
        if !self.status.abort {
            self.note(format!("aborting: {message}"));
            self.status.abort = true;
            self.abort_message = Some(message);
        }
        self.stamp_abort();
    }

    /// Notes when the update was given up: a person's abort comes without a time, and a later retry is known by it.
    pub(super) fn stamp_abort(&mut self) {
        if self.status.abort && self.status.aborted_at.is_none() {
            self.status.aborted_at = Some(self.time());
        }
    }

    pub(super) fn clear_abort(&mut self) {
        self.status.abort = false;
        self.status.aborted_at = None;
        self.abort_message = None;
    }

    /// The run that the status names, as it is now.
    pub(super) fn run(&self, name: &str) -> Option<&Arc<crate::analysis::RunView>> {
        self.observed.runs.iter().find(|run| run.key.name == name)
    }

    pub(super) fn terminate(&mut self, name: &str) {
        let running = self
            .run(name)
            .is_some_and(|run| !run.is_completed() && !run.terminate && !run.deleting);
        let action = Action::TerminateRun(RunRef {
            name: name.to_owned(),
        });
        if running && !self.runs.contains(&action) {
            self.runs.push(action);
        }
    }

    /// The effects, in the order that never changes: capacity, routing, analysis, shrinking.
    pub(super) fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        for set in &self.observed.orphans {
            actions.push(Action::Adopt {
                name: set.name.clone(),
                version: set.version.clone(),
            });
        }
        for set in &self.observed.released {
            actions.push(Action::Release {
                name: set.name.clone(),
                uid: set.uid.clone(),
            });
        }
        let mut shrinking = Vec::new();
        for set in self.replica_sets.iter().filter(|set| !set.deleted) {
            if set.is_new() {
                actions.push(Action::Create(NewReplicaSet {
                    name: set.view.name.clone(),
                    hash: set.view.hash.clone(),
                    replicas: set.replicas,
                    revision: set.revision,
                    metadata: set.metadata.clone(),
                    avoids: set.avoids.clone(),
                }));
            } else if let Some(change) = self.change(set) {
                let shrinks = change.replicas.is_some_and(|to| to < set.view.replicas);
                if shrinks {
                    &mut shrinking
                } else {
                    &mut actions
                }
                .push(Action::Change(change));
            }
        }
        actions.extend(self.switches.iter().cloned());
        actions.extend(self.route.clone().map(Action::Route));
        actions.append(&mut super::action::set_flags(&self.flags));
        actions.extend(self.runs.iter().cloned());
        actions.append(&mut shrinking);
        actions.extend(self.workload.clone().map(Action::ScaleWorkload));
        actions.extend(self.pods.iter().cloned());
        actions.extend(
            self.replica_sets
                .iter()
                .filter(|set| set.deleted)
                .map(|set| Action::Delete {
                    name: set.view.name.clone(),
                    uid: set.view.uid.clone(),
                }),
        );
        actions
    }

    fn change(&self, set: &PlannedReplicaSet) -> Option<ReplicaSetChange> {
        let view = &set.view;
        let mut annotations = BTreeMap::new();
        if set.revision != view.revision {
            annotations.insert(REVISION.into(), Some(set.revision.to_string()));
        }
        if set.history != view.revision_history {
            annotations.insert(REVISION_HISTORY.into(), Some(set.history.clone()));
        }
        if set.desired != view.desired {
            annotations.insert(
                DESIRED_REPLICAS.into(),
                set.desired.map(|number| number.to_string()),
            );
        }
        if set.deadline != view.deadline {
            annotations.insert(
                SCALE_DOWN_DEADLINE.into(),
                set.deadline.map(|at| whole_second(at).to_string()),
            );
        }
        let replicas = (set.replicas != view.replicas).then_some(set.replicas);
        let is_newest = std::ptr::eq(set, self.new_set());
        if is_newest {
            let missing = copied_annotations(&self.observed.root)
                .filter(|(key, value)| !view.annotations.contains(&annotation_digest(key, value)));
            annotations
                .extend(missing.map(|(key, value)| (key.clone().into(), Some(value.clone()))));
        }
        let min_ready = (is_newest && view.min_ready != self.observed.spec.min_ready)
            .then_some(self.observed.spec.min_ready);
        let template = set.template_change();
        let same = annotations.is_empty() && replicas.is_none() && min_ready.is_none();
        if same && template.is_none() {
            return None;
        }
        Some(ReplicaSetChange {
            name: view.name.clone(),
            uid: view.uid.clone(),
            revision: set.revision,
            from: view.replicas,
            replicas,
            annotations,
            min_ready,
            template,
        })
    }
}

/// Cuts a time to whole seconds, the precision of the API.
pub(crate) fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// The next whole second, for waits that must not be cut short by the precision of the API.
pub(crate) fn next_second(at: Timestamp) -> Timestamp {
    let whole = whole_second(at);
    let next = whole.saturating_add(SignedDuration::from_secs(1));
    if whole == at { at } else { next.unwrap_or(at) }
}

/// `at` plus `by`; the far end of time when that is beyond it.
pub(crate) fn after(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}
