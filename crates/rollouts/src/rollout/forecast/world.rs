//! The objects of a simulation, and what happens to them beside the controller.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use reconcile_core::{
    object::{ObjectKey, Root},
    reconcile::{Done, Report, Target},
};
use serde_json::{Value, json};

use super::{Pods, START_OF_A_POD, Scenario};
use crate::{
    analysis::{AnalysisIndexes, RunView, Templates},
    api::{analysis::AnalysisPhase, rollout::Rollout},
    experiment::ExperimentView,
    offline::index_meta,
    rollout::{
        RolloutError, Sources,
        observe::observe,
        observed::{ReplicaSetView, ServiceView},
        offline::Snapshot,
        peaks::Peaks,
        plan::decide,
        status,
        traffic::RouteState,
    },
};

/// A ReplicaSet with its pods.
pub(super) struct Set {
    pub(super) view: ReplicaSetView,
    /// When each pod is ready.
    pub(super) pods: Vec<Timestamp>,
}

/// An AnalysisRun and how it ends.
pub(super) struct Run {
    pub(super) view: RunView,
    /// When it ends; none for one that runs until it is terminated.
    pub(super) ends: Option<Timestamp>,
    pub(super) phase: AnalysisPhase,
}

/// An Experiment and when it ends.
pub(super) struct PlayedExperiment {
    pub(super) view: ExperimentView,
    pub(super) ends: Timestamp,
}

/// The objects.
pub(super) struct World {
    pub(super) now: Timestamp,
    pub(super) root: Value,
    pub(super) sets: BTreeMap<String, Set>,
    pub(super) services: BTreeMap<String, ServiceView>,
    pub(super) runs: BTreeMap<String, Run>,
    pub(super) experiments: BTreeMap<String, PlayedExperiment>,
    pub(super) templates: Templates,
    pub(super) counter: u32,
    /// What the routes say, where the strategy has traffic routing.
    pub(super) traffic: RouteState,
    peaks: Peaks,
}

/// What came of a pass.
pub(super) struct Pass {
    /// Something was written.
    pub(super) changed: bool,
    pub(super) wake: Option<Timestamp>,
    pub(super) reasons: Vec<String>,
}

impl World {
    pub(super) fn new(snapshot: &Snapshot, manifest: &Value, now: Timestamp) -> Self {
        let mut root = manifest.clone();
        root["metadata"]["uid"] = "simulated".into();
        root["metadata"]["generation"] = 1.into();
        if let Some(object) = root.as_object_mut() {
            object.remove("status");
        }
        Self {
            now,
            root,
            sets: BTreeMap::new(),
            services: snapshot.services(),
            runs: BTreeMap::new(),
            templates: snapshot.templates(),
            experiments: BTreeMap::new(),
            counter: 0,
            traffic: RouteState::at(0),
            peaks: Peaks::default(),
        }
    }

    /// A person applies another manifest.
    pub(super) fn apply_manifest(&mut self, manifest: &Value) {
        self.root["spec"] = manifest["spec"].clone();
        let generation = self.generation();
        self.root["metadata"]["generation"] = (generation + 1).into();
        self.now = self
            .now
            .saturating_add(SignedDuration::from_secs(60))
            .unwrap_or(self.now);
    }

    fn generation(&self) -> i64 {
        self.root["metadata"]["generation"]
            .as_i64()
            .unwrap_or_default()
    }

    pub(super) fn namespace(&self) -> &str {
        self.root["metadata"]["namespace"]
            .as_str()
            .unwrap_or_default()
    }

    pub(super) fn name(&self) -> &str {
        self.root["metadata"]["name"].as_str().unwrap_or_default()
    }

    pub(super) fn rollout(&self) -> Result<Rollout, RolloutError> {
        Ok(Root::from_value(&self.root)?)
    }

    fn sources(&self) -> Sources {
        let sources = Sources {
            analysis: AnalysisIndexes {
                templates: self.templates.clone(),
                ..AnalysisIndexes::default()
            },
            peaks: self.peaks.clone(),
            ..Sources::default()
        };
        let meta = |name: &str, uid: &str| index_meta(&ObjectKey::new(self.namespace(), name), uid);
        for (name, set) in &self.sets {
            let meta = meta(name, &set.view.uid);
            drop(sources.replica_sets.written(&meta, set.view.clone()));
        }
        for (name, service) in &self.services {
            drop(sources.services.written(&meta(name, name), service.clone()));
        }
        for run in self.runs.values() {
            sources.analysis.remember(run.view.clone());
        }
        for experiment in self.experiments.values() {
            let view = &experiment.view;
            let meta = meta(&view.key.name, &view.uid);
            drop(sources.experiments.written(&meta, view.clone()));
        }
        sources
    }

    /// One pass of the controller.
    pub(super) fn pass(&mut self, scenario: Scenario) -> Result<Pass, RolloutError> {
        let mut observed = observe(&self.sources(), &self.rollout()?)?;
        let canary = observed.spec.canary();
        if canary.is_some_and(|canary| canary.routing.is_some()) {
            observed.traffic = Some(self.traffic.clone());
        }
        // Its pods are young, and no person reads their labels.
        observed.pods = Some(Vec::new());
        let decision = decide(&observed, self.now);
        let plan = &decision.plan;
        let mut reasons: Vec<String> = plan.notes.iter().map(ToString::to_string).collect();
        let mut done = Vec::new();
        for (index, action) in plan.actions.iter().enumerate() {
            reasons.push(action.to_string());
            let result = Ok(self.apply(action, scenario));
            done.push(Done { index, result });
        }
        let report = status::report(&observed, &decision, &done, self.now);
        let changed = self.write(&report) || !plan.actions.is_empty();
        if !changed {
            // A pass that does nothing repeats the notes of the one before.
            reasons.clear();
        }
        Ok(Pass {
            changed: changed || report.again,
            wake: plan.wake,
            reasons,
        })
    }

    fn write(&mut self, report: &Report) -> bool {
        let before = self.root.clone();
        for patch in &report.patches {
            if patch.target == Target::Main && patch.body.get("spec").is_some() {
                let generation = self.generation();
                self.root["metadata"]["generation"] = (generation + 1).into();
            }
            json_patch::merge(&mut self.root, &patch.body);
        }
        self.root != before
    }

    /// The ReplicaSet controller and the kubelet act on what is wanted now. True when anything changed.
    pub(super) fn move_pods(&mut self) -> bool {
        let now = self.now;
        let ready_at = now.saturating_add(START_OF_A_POD).unwrap_or(now);
        let mut changed = false;
        for set in self.sets.values_mut() {
            let wanted = usize::try_from(set.view.replicas).unwrap_or_default();
            // Pods that are not ready go first.
            set.pods.sort_unstable();
            set.pods.resize(wanted, ready_at);
            let count = |limit: Timestamp| {
                let pods = set.pods.iter().filter(|ready| **ready <= limit).count();
                i32::try_from(pods).unwrap_or(i32::MAX)
            };
            let min_ready = SignedDuration::from_secs(i64::from(set.view.min_ready));
            let numbers = (
                i32::try_from(wanted).unwrap_or(i32::MAX),
                count(now),
                count(now.saturating_sub(min_ready).unwrap_or(Timestamp::MIN)),
            );
            let view = &mut set.view;
            changed |= (view.current, view.ready, view.available) != numbers;
            (view.current, view.ready, view.available) = numbers;
        }
        changed
    }

    /// When something happens next by itself.
    pub(super) fn next_event(&self, wake: Option<Timestamp>) -> Option<Timestamp> {
        let pods = self.sets.values().flat_map(|set| {
            let min_ready = SignedDuration::from_secs(i64::from(set.view.min_ready));
            set.pods.iter().flat_map(move |ready| {
                let available = ready.saturating_add(min_ready).unwrap_or(Timestamp::MAX);
                [*ready, available]
            })
        });
        let runs = self.runs.values().filter(|run| !run.view.is_completed());
        let experiments = self.experiments.values();
        let open = experiments.filter(|experiment| !experiment.view.is_completed());
        let ends = runs
            .filter_map(|run| run.ends)
            .chain(open.map(|experiment| experiment.ends));
        // A wake-up in the past is for the pass that was just made.
        pods.chain(ends)
            .chain(wake)
            .filter(|moment| *moment > self.now)
            .min()
    }

    /// Ends the analyses whose time has come. Gives the reason to tell.
    pub(super) fn end_runs(&mut self) -> Option<String> {
        let now = self.now;
        let mut ended = Vec::new();
        for run in self.runs.values_mut() {
            if !run.view.is_completed() && run.ends.is_some_and(|ends| ends <= now) {
                run.view.phase = run.phase.clone();
                if run.phase == AnalysisPhase::Failed {
                    "fails in this simulation".clone_into(&mut run.view.message);
                }
                ended.push(format!(
                    "AnalysisRun {} is {}",
                    run.view.key.name, run.phase
                ));
            }
        }
        for experiment in self.experiments.values_mut() {
            let view = &mut experiment.view;
            if !view.is_completed() && experiment.ends <= now {
                view.phase = AnalysisPhase::Successful;
                ended.push(format!("Experiment {} is Successful", view.key.name));
            }
        }
        (!ended.is_empty()).then(|| ended.join("; "))
    }

    /// A person ends a pause that does not end by itself. False when there is none.
    pub(super) fn promote(&mut self) -> bool {
        let status = &mut self.root["status"];
        let waits = status["pauseConditions"]
            .as_array()
            .is_some_and(|conditions| !conditions.is_empty());
        if waits && let Some(status) = status.as_object_mut() {
            status.remove("pauseConditions");
        }
        waits
    }

    pub(super) fn available(&self) -> i32 {
        self.sets.values().map(|set| set.view.available).sum()
    }

    /// True once the wanted pods are available.
    pub(super) fn is_deployed(&self) -> bool {
        let wanted = self.root["spec"]["replicas"].as_i64().unwrap_or(1);
        i64::from(self.available()) >= wanted
    }

    /// The pods of the version that a field of the status names.
    pub(super) fn pods_of(&self, field: &str) -> Pods {
        let hash = self.root["status"][field].as_str().unwrap_or_default();
        let set = self.sets.values().find(|set| set.view.hash == hash);
        set.map_or_else(Pods::default, |set| Pods {
            replicas: set.view.replicas,
            available: set.view.available,
        })
    }

    /// The pods of the new version; none when it is the stable one.
    pub(super) fn canary_pods(&self) -> Pods {
        let status = &self.root["status"];
        if status["stableRS"] == status["currentPodHash"] {
            Pods::default()
        } else {
            self.pods_of("currentPodHash")
        }
    }

    /// Share of the new version: as routed, else as the steps or the active Service say.
    pub(super) fn weight(&self) -> i64 {
        let (spec, status) = (&self.root["spec"], &self.root["status"]);
        if let Some(weight) = status
            .pointer("/canary/weights/canary/weight")
            .and_then(Value::as_i64)
        {
            return weight;
        }
        let is_stable = status["stableRS"] == status["currentPodHash"];
        if let Some(active) = status.pointer("/blueGreen/activeSelector") {
            return i64::from(*active == status["currentPodHash"]) * 100;
        }
        if is_stable {
            return 100;
        }
        if status["abort"] == json!(true) {
            return 0;
        }
        let none = Vec::new();
        let steps = spec
            .pointer("/strategy/canary/steps")
            .and_then(Value::as_array);
        let steps = steps.unwrap_or(&none);
        let index = status["currentStepIndex"].as_u64();
        let index = index.and_then(|index| usize::try_from(index).ok());
        match index {
            Some(index) if index < steps.len() => steps[..=index]
                .iter()
                .rev()
                .find_map(|step| step["setWeight"].as_i64())
                .unwrap_or(0),
            _ => 100,
        }
    }
}
