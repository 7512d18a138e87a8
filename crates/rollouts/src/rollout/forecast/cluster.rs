//! The cluster of a simulated update: the objects, when pods become ready, and when analyses end.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use reconcile_core::{
    event::EventNote,
    object::Root,
    reconcile::{InMemory, pass_in_memory},
};
use serde_json::{Value, json};

use super::{Pods, START_OF_A_POD, Scenario};
use crate::{
    api::analysis::AnalysisPhase,
    rollout::{
        Applied, RolloutError, Rollouts,
        observe::observe,
        observed::{Observed, ReplicaSetView},
        offline::Snapshot,
        plan::{Action, after},
        simulated::SimulatedObjects,
    },
};

/// How an AnalysisRun ends.
struct RunEnd {
    /// When; none for one that runs until it is terminated.
    at: Option<Timestamp>,
    phase: AnalysisPhase,
}

pub(super) struct Cluster {
    pub(super) objects: SimulatedObjects,
    scenario: Scenario,
    /// When each pod of a ReplicaSet is ready.
    pods: BTreeMap<String, Vec<Timestamp>>,
    run_ends: BTreeMap<String, RunEnd>,
    experiment_ends: BTreeMap<String, Timestamp>,
}

/// What came of a pass.
pub(super) struct Pass {
    /// Something was written.
    pub(super) changed: bool,
    pub(super) wake: Option<Timestamp>,
    pub(super) reasons: Vec<String>,
}

impl Cluster {
    /// The objects of the snapshot and the Rollout of `manifest`, which has no status yet.
    pub(super) fn new(snapshot: &Snapshot, manifest: &Value, now: Timestamp) -> Self {
        let mut root = manifest.clone();
        root["metadata"]["uid"] = "simulated".into();
        root["metadata"]["generation"] = 1.into();
        if let Some(object) = root.as_object_mut() {
            object.remove("status");
        }
        let mut objects = SimulatedObjects::new(root, now);
        objects.services = snapshot.services();
        objects.indexes.analysis.templates = snapshot.templates();
        Self {
            objects,
            scenario: Scenario::default(),
            pods: BTreeMap::new(),
            run_ends: BTreeMap::new(),
            experiment_ends: BTreeMap::new(),
        }
    }

    /// What goes wrong from now on.
    pub(super) fn set_scenario(&mut self, scenario: Scenario) {
        self.scenario = scenario;
    }

    /// A person applies another manifest.
    pub(super) fn apply_manifest(&mut self, manifest: &Value) {
        let spec = manifest["spec"].clone();
        self.objects.edit_spec(|old| *old = spec);
        self.objects.now = after(self.objects.now, SignedDuration::from_secs(60));
    }

    /// One pass of the controller.
    pub(super) fn pass(&mut self) -> Result<Pass, RolloutError> {
        let root = Root::from_value(&self.objects.root)?;
        let mut observed = observe(self.objects.sources(&[]), &root)?;
        let canary = observed.spec.canary();
        if canary.is_some_and(|canary| canary.routing.is_some()) {
            observed.traffic = Some(self.objects.traffic.clone());
        }
        // Its pods are young, and no person reads their labels.
        observed.pods = Some(Vec::new());
        let now = self.objects.now;
        let mut process = Process {
            cluster: self,
            failure: None,
        };
        let passed = pass_in_memory::<Rollouts>(&mut process, &observed, now);
        if let Some(failure) = process.failure {
            return Err(failure);
        }
        let plan = &passed.decision.plan;
        let report = passed.report.unwrap_or_default();
        let changed = self.objects.write(&report) || !plan.actions.is_empty();
        let reasons = if changed {
            let notes = plan.notes.iter().map(ToString::to_string);
            notes
                .chain(plan.actions.iter().map(ToString::to_string))
                .collect()
        } else {
            // A pass that does nothing repeats the notes of the one before.
            Vec::new()
        };
        Ok(Pass {
            changed: changed || report.again,
            wake: plan.wake,
            reasons,
        })
    }

    fn apply(&mut self, observed: &Observed, action: &Action) -> Result<Applied, RolloutError> {
        let Some(applied) = self.objects.apply(observed, action) else {
            // Flags, pods and workloads have no part in a simulation.
            return Ok(Applied::Done);
        };
        let applied = applied?;
        let now = self.objects.now;
        match (action, &applied) {
            (Action::StartRun { run_type, .. }, Applied::Started(run)) => {
                let fails = self.scenario.failing == Some(*run_type);
                let length = self.analysis_length(*run_type, fails);
                let end = RunEnd {
                    at: length.map(|length| after(now, length)),
                    phase: if fails {
                        AnalysisPhase::Failed
                    } else {
                        AnalysisPhase::Successful
                    },
                };
                self.run_ends.insert(run.name.clone(), end);
            }
            (Action::StartExperiment(start), Applied::Experimenting(name)) => {
                let end = after(now, self.experiment_length(start.index));
                self.experiment_ends.insert(name.clone(), end);
            }
            (Action::TerminateRun(run), _) => {
                if let Some(run) = self.objects.runs.get_mut(&run.name) {
                    run.phase = AnalysisPhase::Successful;
                }
            }
            (Action::TerminateExperiment { name }, _) => {
                if let Some(experiment) = self.objects.experiments.get_mut(name) {
                    experiment.phase = AnalysisPhase::Successful;
                }
            }
            (Action::Delete { name, .. }, _) => drop(self.pods.remove(name)),
            _ => {}
        }
        Ok(applied)
    }

    /// The ReplicaSet controller and the kubelet act on what is wanted now. True when anything changed.
    pub(super) fn move_pods(&mut self) -> bool {
        let now = self.objects.now;
        let ready_at = after(now, START_OF_A_POD);
        let mut changed = false;
        for (name, set) in &mut self.objects.replica_sets {
            let wanted = usize::try_from(set.replicas).unwrap_or_default();
            let pods = self.pods.entry(name.clone()).or_default();
            // Pods that are not ready go first.
            pods.sort_unstable();
            pods.resize(wanted, ready_at);
            let count = |limit: Timestamp| {
                let pods = pods.iter().filter(|ready| **ready <= limit).count();
                i32::try_from(pods).unwrap_or(i32::MAX)
            };
            let numbers = (
                i32::try_from(wanted).unwrap_or(i32::MAX),
                count(now),
                count(now.saturating_sub(min_ready(set)).unwrap_or(Timestamp::MIN)),
            );
            changed |= set.stale || (set.current, set.ready, set.available) != numbers;
            (set.current, set.ready, set.available) = numbers;
            set.stale = false;
        }
        changed
    }

    /// When something happens next by itself.
    pub(super) fn next_event(&self, wake: Option<Timestamp>) -> Option<Timestamp> {
        let pods = self.pods.iter().flat_map(|(name, pods)| {
            let set = self.objects.replica_sets.get(name);
            let min_ready = set.map(min_ready).unwrap_or_default();
            pods.iter()
                .flat_map(move |ready| [*ready, after(*ready, min_ready)])
        });
        let runs = self.run_ends.iter().filter(|(name, _)| {
            let run = self.objects.runs.get(*name);
            run.is_some_and(|run| !run.is_completed())
        });
        let experiments = self.experiment_ends.iter().filter(|(name, _)| {
            let experiment = self.objects.experiments.get(*name);
            experiment.is_some_and(|experiment| !experiment.is_completed())
        });
        // A wake-up in the past is for the pass that was just made.
        pods.chain(runs.filter_map(|(_, end)| end.at))
            .chain(experiments.map(|(_, end)| *end))
            .chain(wake)
            .filter(|moment| *moment > self.objects.now)
            .min()
    }

    /// Ends the analyses whose time has come. Returns what ended.
    pub(super) fn end_runs(&mut self) -> Option<String> {
        let now = self.objects.now;
        let mut ended = Vec::new();
        for (name, end) in &self.run_ends {
            let Some(run) = self.objects.runs.get_mut(name) else {
                continue;
            };
            if !run.is_completed() && end.at.is_some_and(|at| at <= now) {
                run.phase = end.phase.clone();
                if end.phase == AnalysisPhase::Failed {
                    "fails in this simulation".clone_into(&mut run.message);
                }
                ended.push(format!("AnalysisRun {name} is {}", end.phase));
            }
        }
        for (name, end) in &self.experiment_ends {
            let Some(experiment) = self.objects.experiments.get_mut(name) else {
                continue;
            };
            if !experiment.is_completed() && *end <= now {
                experiment.phase = AnalysisPhase::Successful;
                ended.push(format!("Experiment {name} is Successful"));
            }
        }
        (!ended.is_empty()).then(|| ended.join("; "))
    }

    /// A person ends a pause that does not end by itself. False when there is none.
    pub(super) fn promote(&mut self) -> bool {
        let status = &mut self.objects.root["status"];
        let waits = status["pauseConditions"]
            .as_array()
            .is_some_and(|conditions| !conditions.is_empty());
        if waits && let Some(status) = status.as_object_mut() {
            status.remove("pauseConditions");
        }
        waits
    }

    pub(super) fn available(&self) -> i32 {
        self.objects
            .replica_sets
            .values()
            .map(|set| set.available)
            .sum()
    }

    /// True once the wanted pods are available.
    pub(super) fn is_deployed(&self) -> bool {
        let wanted = self.objects.root["spec"]["replicas"].as_i64().unwrap_or(1);
        i64::from(self.available()) >= wanted
    }

    /// The pods of the version that a field of the status names.
    pub(super) fn pods_of(&self, field: &str) -> Pods {
        let hash = self.objects.root["status"][field]
            .as_str()
            .unwrap_or_default();
        let mut sets = self.objects.replica_sets.values();
        let set = sets.find(|set| set.hash == hash);
        set.map_or_else(Pods::default, |set| Pods {
            replicas: set.replicas,
            available: set.available,
        })
    }

    /// The pods of the new version; none when it is the stable one.
    pub(super) fn canary_pods(&self) -> Pods {
        let status = &self.objects.root["status"];
        if status["stableRS"] == status["currentPodHash"] {
            Pods::default()
        } else {
            self.pods_of("currentPodHash")
        }
    }

    /// Share of the new version: as routed, else as the steps or the active Service say.
    pub(super) fn weight(&self) -> i64 {
        let (spec, status) = (&self.objects.root["spec"], &self.objects.root["status"]);
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

fn min_ready(set: &ReplicaSetView) -> SignedDuration {
    SignedDuration::from_secs(i64::from(set.min_ready))
}

/// The process of the controller. An action that fails ends the simulation.
struct Process<'c> {
    cluster: &'c mut Cluster,
    failure: Option<RolloutError>,
}

impl InMemory<Rollouts> for Process<'_> {
    fn apply(
        &mut self,
        observed: &Observed,
        action: &Action,
    ) -> Option<Result<Applied, RolloutError>> {
        match self.cluster.apply(observed, action) {
            Ok(applied) => Some(Ok(applied)),
            Err(error) => {
                self.failure = Some(error);
                None
            }
        }
    }

    fn event(&mut self, _: &EventNote) {}
}
