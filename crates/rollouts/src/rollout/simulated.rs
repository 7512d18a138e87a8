//! The objects around one controller in memory. `rollouts simulate` and the simulations of the tests let the real
//! planner work on them; each adds the pods and the people that it needs.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use reconcile_core::{
    object::{ObjectKey, Root},
    reconcile::{Report, Target, merge_patch},
};
use serde_json::Value;

use super::{
    Applied, RolloutError, Sources, experiment_step,
    followed::follow,
    kinds::{ReplicaSetKind, annotation_digest, replica_set_view},
    observed::{Observed, ReplicaSetView, ServiceView},
    plan::{Action, ExperimentStart, NewReplicaSet, ReplicaSetChange},
    replica_set::new_set,
    traffic::RouteState,
};
use crate::{
    analysis::{
        OwnerView, RunView,
        build::{ROLLOUT_TYPE_LABEL, RunType, STEP_INDEX_LABEL, run_name},
    },
    api::{
        analysis::AnalysisPhase,
        rollout::{
            DESIRED_REPLICAS, HASH_LABEL, REVISION, REVISION_HISTORY, RunStatus,
            SCALE_DOWN_DEADLINE,
        },
    },
    experiment::view::ExperimentView,
};

/// A Rollout or an Experiment with the objects around it, as the indexes of a controller hold them.
pub(crate) struct SimulatedObjects {
    /// The time that has come.
    pub(crate) now: Timestamp,
    /// The object that the controller reconciles.
    pub(crate) root: Value,
    pub(crate) replica_sets: BTreeMap<String, ReplicaSetView>,
    pub(crate) services: BTreeMap<String, ServiceView>,
    pub(crate) runs: BTreeMap<String, RunView>,
    pub(crate) experiments: BTreeMap<String, ExperimentView>,
    /// What the routes say, where the strategy has traffic routing.
    pub(crate) traffic: RouteState,
    /// The indexes of the controller. Those of objects that are here follow in [`Self::sources`].
    pub(crate) indexes: Sources,
    counter: u32,
}

impl SimulatedObjects {
    /// Only `root`, which has a name, a namespace and a uid.
    pub(crate) fn new(root: Value, now: Timestamp) -> Self {
        Self {
            now,
            root,
            replica_sets: BTreeMap::new(),
            services: BTreeMap::new(),
            runs: BTreeMap::new(),
            experiments: BTreeMap::new(),
            traffic: RouteState::at(0),
            indexes: Sources::default(),
            counter: 0,
        }
    }

    fn metadata(&self, field: &str) -> &str {
        self.root["metadata"][field].as_str().unwrap_or_default()
    }

    /// Namespace and name of the root.
    pub(crate) fn key(&self) -> ObjectKey {
        ObjectKey::new(self.metadata("namespace"), self.metadata("name"))
    }

    /// The root as the controller of what it makes.
    fn owner(&self) -> OwnerView {
        OwnerView {
            kind: self.root["kind"].as_str().unwrap_or_default().to_owned(),
            name: self.metadata("name").to_owned(),
            uid: self.metadata("uid").to_owned(),
        }
    }

    /// Adds an AnalysisTemplate.
    #[cfg(test)]
    pub(crate) fn add_template(&mut self, object: &Value) {
        let root: Root<crate::api::analysis::AnalysisTemplate> =
            Root::from_value(object).expect("an AnalysisTemplate");
        let meta = crate::analysis::index_meta(&root.key(), "template");
        let templates = &self.indexes.analysis.templates;
        drop(templates.namespaced.written(&meta, root));
    }

    /// A number that no other object has.
    pub(crate) fn next_number(&mut self) -> u32 {
        self.counter += 1;
        self.counter
    }

    fn generation(&self) -> i64 {
        let generation = &self.root["metadata"]["generation"];
        generation.as_i64().unwrap_or_default()
    }

    /// A person changes the spec.
    pub(crate) fn edit_spec(&mut self, change: impl FnOnce(&mut Value)) {
        change(&mut self.root["spec"]);
        self.root["metadata"]["generation"] = (self.generation() + 1).into();
    }

    /// Writes a report as the API server does. True when it changed the root.
    pub(crate) fn write(&mut self, report: &Report) -> bool {
        if report.patches.is_empty() {
            return false;
        }
        let before = self.root.clone();
        for patch in &report.patches {
            if patch.target == Target::Main && patch.body.get("spec").is_some() {
                self.root["metadata"]["generation"] = (self.generation() + 1).into();
            }
            merge_patch(&mut self.root, &patch.body);
        }
        self.root != before
    }

    /// The indexes of the controller, without the objects whose names are `hidden` from it. They are kept, and
    /// brought up to date.
    pub(crate) fn sources(&self, hidden: &[String]) -> &Sources {
        let namespace = self.metadata("namespace");
        let Sources {
            replica_sets,
            services,
            analysis,
            experiments,
            ..
        } = &self.indexes;
        let name_as_uid = |name: &str, _: &ServiceView| name.to_owned();
        follow(
            replica_sets,
            namespace,
            &self.replica_sets,
            hidden,
            |_, set| set.uid.clone(),
        );
        follow(services, namespace, &self.services, hidden, name_as_uid);
        follow(&analysis.runs, namespace, &self.runs, hidden, |_, run| {
            run.uid.clone()
        });
        follow(
            experiments,
            namespace,
            &self.experiments,
            hidden,
            |_, view| view.uid.clone(),
        );
        &self.indexes
    }

    /// Carries out an action of a Rollout; `None` for one about flags, pods or workloads, which are the caller's.
    /// An action about an object that does not exist is a bug of the plan.
    pub(crate) fn apply(
        &mut self,
        observed: &Observed,
        action: &Action,
    ) -> Option<Result<Applied, RolloutError>> {
        let result = match action {
            Action::SetFlags { .. }
            | Action::ScaleWorkload(_)
            | Action::Evict(_)
            | Action::ChangePod(_) => return None,
            Action::Create(set) => return Some(self.create(observed, set)),
            Action::StartRun {
                run_type,
                hash,
                revision,
            } => Ok(self.start_rollout_run(*run_type, hash, *revision)),
            Action::StartExperiment(start) => Ok(self.start_experiment(start)),
            Action::Adopt { name, .. } => {
                let owner = self.owner();
                existing(&mut self.replica_sets, name).map(|set| {
                    set.owner = Some(owner);
                    Applied::Done
                })
            }
            Action::Release { name, .. } => existing(&mut self.replica_sets, name).map(|set| {
                set.owner = None;
                Applied::Done
            }),
            Action::Change(changes) => existing(&mut self.replica_sets, &changes.name).map(|set| {
                change(set, changes);
                Applied::Done
            }),
            Action::Switch { service, to, .. } => {
                let name = self.metadata("name").to_owned();
                existing(&mut self.services, service).map(|service| {
                    service.hash = Some(to.clone());
                    service.managed_by = Some(name);
                    Applied::Done
                })
            }
            Action::TerminateRun(run) => existing(&mut self.runs, &run.name).map(|run| {
                run.terminate = true;
                Applied::Done
            }),
            Action::TerminateExperiment { name } => {
                existing(&mut self.experiments, name).map(|experiment| {
                    experiment.terminate = true;
                    Applied::Done
                })
            }
            Action::Route(goal) => {
                self.traffic.write(goal);
                let writes = &self.indexes.route_writes;
                writes.note(observed.root.key());
                Ok(Applied::Done)
            }
            Action::Delete { name, .. } => {
                self.replica_sets.remove(name);
                Ok(Applied::Done)
            }
            Action::DeleteRun(run) => {
                self.runs.remove(&run.name);
                Ok(Applied::Done)
            }
            Action::DeleteExperiment { name } => {
                self.experiments.remove(name);
                Ok(Applied::Done)
            }
        };
        Some(result)
    }

    fn create(
        &mut self,
        observed: &Observed,
        set: &NewReplicaSet,
    ) -> Result<Applied, RolloutError> {
        if let Some(known) = self.replica_sets.get(&set.name) {
            let is_own = known.owner == Some(self.owner());
            return Ok(if is_own {
                Applied::Done
            } else {
                Applied::Collision
            });
        }
        self.add_replica_set(new_set(observed, set))?;
        Ok(Applied::Done)
    }

    /// Adds a ReplicaSet as the controller would send it to the API server.
    pub(crate) fn add_replica_set(&mut self, mut object: Value) -> Result<(), RolloutError> {
        let number = self.next_number();
        // The order tells objects of one second apart.
        let order = SignedDuration::from_millis(i64::from(number));
        let created = self.now.saturating_add(order).unwrap_or(self.now);
        object["metadata"]["uid"] = format!("u-{number}").into();
        object["metadata"]["creationTimestamp"] = created.to_string().into();
        let root: Root<ReplicaSetKind> = Root::from_value(&object)?;
        let view = replica_set_view(&root)
            .ok_or_else(|| RolloutError::Bug(format!("ReplicaSet {} has no form", root.key())))?;
        self.replica_sets.insert(view.name.clone(), view);
        Ok(())
    }

    fn start_rollout_run(&mut self, run_type: RunType, hash: &str, revision: i64) -> Applied {
        let mut labels = BTreeMap::from([
            (HASH_LABEL.to_owned(), hash.to_owned()),
            (ROLLOUT_TYPE_LABEL.to_owned(), run_type.label().to_owned()),
        ]);
        if let RunType::Step(index) = run_type {
            labels.insert(STEP_INDEX_LABEL.to_owned(), index.to_string());
        }
        let name = run_name(self.metadata("name"), hash, &revision.to_string(), run_type);
        let run = self.start_run(&name, labels);
        Applied::Started(RunStatus {
            name: run.key.name.clone(),
            status: run.phase.as_str().to_owned(),
            message: String::new(),
        })
    }

    /// Starts an AnalysisRun named `base`, with a counter behind it when the name is taken. One that has not ended
    /// is what an earlier attempt started.
    pub(crate) fn start_run(&mut self, base: &str, labels: BTreeMap<String, String>) -> &RunView {
        let is_open = |run: &RunView| !run.is_completed() && !run.terminate;
        let name = free_name(&self.runs, base, '.', is_open);
        let number = self.next_number();
        let (now, key, owner) = (self.now, self.key(), self.owner());
        self.runs.entry(name.clone()).or_insert_with(|| RunView {
            key: ObjectKey::new(key.namespace, name),
            uid: format!("u-{number}"),
            version: number.to_string(),
            owner: Some(owner),
            labels,
            created: Some(now),
            deleting: false,
            phase: AnalysisPhase::Running,
            message: String::new(),
            terminate: false,
            metrics: Vec::new(),
        })
    }

    fn start_experiment(&mut self, start: &ExperimentStart) -> Applied {
        let (now, key, owner) = (self.now, self.key(), self.owner());
        let is_open = |known: &ExperimentView| known.step == start.mark && !known.terminate;
        let base = experiment_step::name(&key, start);
        let name = free_name(&self.experiments, &base, '-', is_open);
        let number = self.next_number();
        self.experiments
            .entry(name.clone())
            .or_insert_with(|| ExperimentView {
                key: ObjectKey::new(key.namespace, &name),
                uid: format!("u-{number}"),
                owner: Some(owner),
                hash: start.hash.clone(),
                step: start.mark.clone(),
                created: Some(now),
                phase: AnalysisPhase::Running,
                ..ExperimentView::default()
            });
        Applied::Experimenting(name)
    }
}

/// The object of an action.
fn existing<'o, T>(
    objects: &'o mut BTreeMap<String, T>,
    name: &str,
) -> Result<&'o mut T, RolloutError> {
    let found = objects.get_mut(name);
    found.ok_or_else(|| RolloutError::Bug(format!("{name} does not exist in the simulation")))
}

/// The name of the open object that an earlier attempt made, or the first name that is free.
fn free_name<T>(
    known: &BTreeMap<String, T>,
    base: &str,
    separator: char,
    is_open: impl Fn(&T) -> bool,
) -> String {
    let mut name = base.to_owned();
    let mut number = 0;
    while known.get(&name).is_some_and(|object| !is_open(object)) {
        number += 1;
        name = format!("{base}{separator}{number}");
    }
    name
}

/// Patches the view of a ReplicaSet.
fn change(set: &mut ReplicaSetView, change: &ReplicaSetChange) {
    let is_spec = change.replicas.is_some() || change.min_ready.is_some();
    set.stale |= is_spec || change.template.is_some();
    set.replicas = change.replicas.unwrap_or(set.replicas);
    set.min_ready = change.min_ready.unwrap_or(set.min_ready);
    if let Some(template) = &change.template {
        set.metadata = Some(template.metadata.clone());
        let avoids = template.avoids.as_ref().map(|(_, hash)| hash.clone());
        set.avoids = avoids.or(set.avoids.take());
    }
    for (key, value) in &change.annotations {
        let text = value.as_deref();
        match key.as_ref() {
            REVISION => {
                set.revision = text.and_then(|text| text.parse().ok()).unwrap_or_default();
            }
            REVISION_HISTORY => set.revision_history = value.clone().unwrap_or_default(),
            DESIRED_REPLICAS => set.desired = text.and_then(|text| text.parse().ok()),
            SCALE_DOWN_DEADLINE => set.deadline = text.and_then(|text| text.parse().ok()),
            other => {
                let digest = annotation_digest(other, text.unwrap_or_default());
                set.annotations.push(digest);
            }
        }
    }
}
