//! What the actions of a pass do to the world.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use reconcile_core::object::ObjectKey;
use serde_json::json;

use super::{Cluster, NAMESPACE, UID};
use crate::{
    analysis::{
        RunOwner, RunView,
        build::{ROLLOUT_TYPE_LABEL, RunType, STEP_INDEX_LABEL, run_name},
    },
    api::{
        analysis::AnalysisPhase,
        rollout::{
            DESIRED_REPLICAS, HASH_LABEL, REVISION, REVISION_HISTORY, RunStatus,
            SCALE_DOWN_DEADLINE,
        },
    },
    experiment::ExperimentView,
    rollout::{
        Applied, experiment_step,
        flags::FlagState,
        kinds::annotation_digest,
        observed::{ReplicaSetOwner, ReplicaSetView},
        plan::{
            Action, ExperimentStart, NewReplicaSet, ReplicaSetChange, copied_annotations,
            hash::template_digest,
        },
    },
};

impl Cluster {
    pub(super) fn apply(&mut self, action: &Action) -> Applied {
        match action {
            Action::Adopt { name, .. } => {
                self.set(name).owner = Some(owner());
            }
            Action::Release { name, .. } => self.set(name).owner = None,
            Action::Create(set) => return self.create(set),
            Action::Change(change) => self.change(change),
            Action::Delete { name, .. } => {
                self.replica_sets.remove(name);
                assert!(
                    self.pods.remove(name).is_none_or(|pods| pods.is_empty()),
                    "a set with pods was deleted"
                );
            }
            Action::Switch { service, to, .. } => {
                let service = self.services.get_mut(service).expect("a Service");
                service.hash = Some(to.clone());
                service.managed_by = Some("web".to_owned());
            }
            Action::ScaleWorkload(scale) => self.scale_workload(scale),
            Action::Evict(pod) => return self.evict(pod),
            Action::ChangePod(change) => self.change_pod(change),
            Action::Route(goal) => self.traffic.write(goal),
            Action::StartRun {
                run_type,
                hash,
                revision,
            } => {
                let name = run_name("web", hash, &revision.to_string(), *run_type);
                return self.start_run(&name, hash, *run_type);
            }
            Action::TerminateRun(run) => {
                let run = self.runs.get_mut(&run.name).expect("a run");
                run.terminate = true;
            }
            Action::DeleteRun(run) => drop(self.runs.remove(&run.name)),
            Action::StartExperiment(start) => return self.start_experiment(start),
            Action::TerminateExperiment { name } => {
                let view = self.experiments.get_mut(name).expect("an Experiment");
                view.terminate = true;
            }
            Action::SetFlags { edits, .. } => {
                for edit in edits {
                    let state = FlagState {
                        definition: edit.definition.clone(),
                        saved: edit.saved.clone(),
                    };
                    self.flags.insert(edit.at.clone(), state);
                }
            }
            Action::DeleteExperiment { name } => drop(self.experiments.remove(name)),
        }
        Applied::Done
    }

    pub(in crate::rollout::tests) fn set(&mut self, name: &str) -> &mut ReplicaSetView {
        self.replica_sets.get_mut(name).expect("the set exists")
    }

    fn create(&mut self, set: &NewReplicaSet) -> Applied {
        let owned = self
            .replica_sets
            .get(&set.name)
            .map(|set| set.owner == Some(owner()));
        match owned {
            Some(true) => return Applied::Done,
            Some(false) => return Applied::Collision,
            None => {}
        }
        self.counter += 1;
        let seen = self.observe().expect("a valid Rollout");
        let mut template = seen.spec.template;
        let image = template["spec"]["containers"][0]["image"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        self.images.insert(set.name.clone(), image);
        if self.mutating {
            template["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
        }
        let annotations = copied_annotations(&self.root())
            .map(|(key, value)| annotation_digest(key, value))
            .collect();
        let labels = [("app", "web"), (HASH_LABEL, set.hash.as_str())];
        let view = ReplicaSetView {
            name: set.name.clone(),
            uid: format!("u-{}", self.counter),
            created: Some(
                self.now
                    + SignedDuration::from_millis(i64::try_from(self.counter).unwrap_or_default()),
            ),
            labels: labels
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            owner: Some(owner()),
            hash: set.hash.clone(),
            revision: set.revision,
            desired: Some(self.replicas()),
            template: template_digest(&template),
            annotations,
            metadata: Some(set.metadata.clone()),
            avoids: set.avoids.as_ref().map(|(_, hash)| hash.clone()),
            replicas: set.replicas,
            ..ReplicaSetView::default()
        };
        self.replica_sets.insert(set.name.clone(), view);
        Applied::Done
    }

    fn change(&mut self, change: &ReplicaSetChange) {
        let set = self.set(&change.name);
        set.replicas = change.replicas.unwrap_or(set.replicas);
        set.min_ready = change.min_ready.unwrap_or(set.min_ready);
        if let Some(template) = &change.template {
            set.metadata = Some(template.metadata.clone());
            let avoids = template.avoids.as_ref().map(|(_, hash)| hash.clone());
            set.avoids = avoids.or(set.avoids.take());
        }
        for (key, value) in &change.annotations {
            match key.as_ref() {
                REVISION => {
                    set.revision = value
                        .as_ref()
                        .and_then(|text| text.parse().ok())
                        .unwrap_or_default();
                }
                REVISION_HISTORY => set.revision_history = value.clone().unwrap_or_default(),
                DESIRED_REPLICAS => set.desired = value.as_ref().and_then(|text| text.parse().ok()),
                SCALE_DOWN_DEADLINE => {
                    set.deadline = value.as_ref().and_then(|text| text.parse().ok());
                }
                other => {
                    let value = value.as_deref().unwrap_or_default();
                    set.annotations.push(annotation_digest(other, value));
                }
            }
        }
    }

    fn start_experiment(&mut self, start: &ExperimentStart) -> Applied {
        let key = ObjectKey::new(NAMESPACE, "web");
        let base = experiment_step::name(&key, start);
        let mut name = base.clone();
        let mut number = 0;
        while let Some(view) = self.experiments.get(&name) {
            if view.step == start.mark && !view.terminate {
                return Applied::Experimenting(name);
            }
            number += 1;
            name = format!("{base}-{number}");
        }
        self.counter += 1;
        let view = ExperimentView {
            key: ObjectKey::new(NAMESPACE, &name),
            uid: format!("u-{}", self.counter),
            owner: Some(RunOwner {
                kind: "Rollout".into(),
                name: "web".into(),
                uid: UID.into(),
            }),
            hash: start.hash.clone(),
            step: start.mark.clone(),
            created: Some(self.now),
            phase: AnalysisPhase::Running,
            ..ExperimentView::default()
        };
        self.experiments.insert(name.clone(), view);
        Applied::Experimenting(name)
    }

    fn start_run(&mut self, name: &str, hash: &str, run_type: RunType) -> Applied {
        let mut free = name.to_owned();
        let mut number = 0;
        while let Some(run) = self.runs.get(&free) {
            if !run.is_completed() && !run.terminate {
                return started(&free, run.phase.as_str());
            }
            number += 1;
            free = format!("{name}.{number}");
        }
        self.counter += 1;
        let mut labels = BTreeMap::from([
            (HASH_LABEL.to_owned(), hash.to_owned()),
            (ROLLOUT_TYPE_LABEL.to_owned(), run_type.label().to_owned()),
        ]);
        if let RunType::Step(index) = run_type {
            labels.insert(STEP_INDEX_LABEL.to_owned(), index.to_string());
        }
        let view = RunView {
            key: ObjectKey::new(NAMESPACE, &free),
            uid: format!("u-{}", self.counter),
            version: self.counter.to_string(),
            owner: Some(RunOwner {
                kind: "Rollout".into(),
                name: "web".into(),
                uid: UID.into(),
            }),
            labels,
            created: Some(self.now),
            deleting: false,
            phase: AnalysisPhase::Running,
            message: String::new(),
            terminate: false,
            metrics: Vec::new(),
        };
        self.runs.insert(free.clone(), view);
        started(&free, "Running")
    }
}

fn started(name: &str, phase: &str) -> Applied {
    Applied::Started(RunStatus {
        name: name.to_owned(),
        status: phase.to_owned(),
        message: String::new(),
    })
}

fn owner() -> ReplicaSetOwner {
    ReplicaSetOwner {
        kind: "Rollout".into(),
        name: "web".into(),
        uid: UID.into(),
    }
}
