//! An Experiment and the objects around it in memory, and passes of the controller that may be
//! killed between any two writes.

use std::{
    fmt::Write as _,
    ops::{Deref, DerefMut},
};

use jiff::{SignedDuration, Timestamp};
use reconcile_core::{
    event::EventNote,
    object::Root,
    reconcile::{InMemory, Report, pass_in_memory},
};
use serde_json::{Value, json};

use crate::{
    api::{
        analysis::AnalysisPhase,
        experiment::{Experiment, ExperimentStatus},
    },
    experiment::{
        Applied, ExperimentError, Experiments, objects, observe,
        observed::Observed,
        plan::{Action, DeadlineChange, SetChange},
        status,
    },
    rollout::{observed::ServiceView, simulated::SimulatedObjects},
};

const UID: &str = "u-experiment";
const NAMESPACE: &str = "ns";

pub(super) struct Cluster {
    objects: SimulatedObjects,
    /// Objects that the next pass does not see yet.
    pub(super) unseen: Vec<String>,
    /// ReplicaSets whose pods never become available.
    pub(super) hanging: Vec<String>,
    pub(super) wake: Option<Timestamp>,
    pub(super) log: String,
}

pub(super) fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

/// A template with a port and a Service.
pub(super) fn template(name: &str) -> Value {
    let labels = json!({"app": name});
    let container =
        json!({"name": "c", "image": name, "ports": [{"containerPort": 80, "name": "http"}]});
    json!({
        "name": name, "replicas": 2, "service": {}, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    })
}

impl Cluster {
    /// A cluster with one Experiment.
    pub(super) fn new(spec: &Value) -> Self {
        let root = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Experiment",
            "metadata": {"name": "ab", "namespace": NAMESPACE, "uid": UID}, "spec": spec,
        });
        let mut objects = SimulatedObjects::new(root, start());
        let metric = json!({"name": "m", "provider": {"web": {"url": "http://x/{{args.hash}}"}}});
        objects.add_template(&json!({
            "metadata": {"name": "check", "namespace": NAMESPACE},
            "spec": {"metrics": [metric], "args": [{"name": "hash"}]}
        }));
        Self {
            objects,
            unseen: Vec::new(),
            hanging: Vec::new(),
            wake: None,
            log: String::new(),
        }
    }

    /// Two templates, and an analysis for each of `analyses`; those with a `!` are required.
    pub(super) fn pair(duration: Option<&str>, analyses: &[&str]) -> Self {
        let analyses: Vec<Value> = analyses
            .iter()
            .map(|name| {
                let required = name.ends_with('!');
                let name = name.trim_end_matches('!');
                json!({
                    "name": name, "templateName": "check", "requiredForCompletion": required,
                    "args": [{"name": "hash", "value": "{{templates.a.podTemplateHash}}"}]
                })
            })
            .collect();
        Self::new(&json!({
            "templates": [template("a"), template("b")], "duration": duration, "analyses": analyses,
            "scaleDownDelaySeconds": 5
        }))
    }

    pub(super) fn root(&self) -> Experiment {
        Root::from_value(&self.root).expect("an Experiment")
    }

    pub(super) fn status(&self) -> ExperimentStatus {
        self.root().parse_status().expect("a status")
    }

    pub(super) fn phase(&self) -> AnalysisPhase {
        self.status().phase
    }

    pub(super) fn say(&mut self, line: &str) {
        let seconds = self.now.duration_since(start()).as_secs();
        let _ = writeln!(self.log, "[{seconds:>3}s] {line}");
    }

    pub(super) fn advance(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    pub(super) fn observe(&self) -> Result<Observed, ExperimentError> {
        observe::observe(self.sources(&self.unseen), &self.root())
    }

    /// One pass. With `crash_after` the process dies after so many effects and reports nothing. True when
    /// something was done.
    pub(super) fn pass(&mut self, crash_after: Option<usize>) -> bool {
        let observed = match self.observe() {
            Ok(observed) => observed,
            Err(error) => {
                let report = status::rejected(&self.root(), &error.to_string(), self.now);
                return self.write_report(&report);
            }
        };
        self.unseen.clear();
        let now = self.now;
        let mut process = Process {
            cluster: self,
            effects: 0,
            crash_after,
        };
        let passed = pass_in_memory::<Experiments>(&mut process, &observed, now);
        let Some(report) = passed.report.filter(|_| crash_after.is_none()) else {
            self.say("controller: killed");
            return true;
        };
        for event in &report.events {
            self.say(&format!("event: {}: {}", event.reason, event.note));
        }
        self.wake = passed.decision.plan.wake;
        self.write_report(&report) || passed.tried > 0
    }

    fn write_report(&mut self, report: &Report) -> bool {
        let before = self.phase();
        self.write(report);
        let after = self.phase();
        assert!(
            before == after || !before.is_completed(),
            "{before} -> {after}: a finished Experiment starts again\n{}",
            self.log
        );
        !report.patches.is_empty()
    }

    /// Passes until nothing changes any more.
    pub(super) fn settle(&mut self) {
        for _ in 0..30 {
            if !self.pass(None) {
                return;
            }
        }
        panic!("the controller does not come to rest:\n{}", self.log);
    }

    /// The controller and its peers take turns until nothing moves.
    pub(super) fn run(&mut self) {
        for _ in 0..30 {
            self.settle();
            let before = self.replica_sets.clone();
            let names: Vec<String> = self.replica_sets.keys().cloned().collect();
            for name in &names {
                self.count(name);
            }
            if before == self.replica_sets {
                return;
            }
        }
        panic!("the cluster does not come to rest:\n{}", self.log);
    }

    /// All pods of a ReplicaSet are there and available.
    pub(super) fn count(&mut self, name: &str) {
        let hangs = self.hanging.iter().any(|known| known == name);
        let set = self.replica_sets.get_mut(name).expect("a ReplicaSet");
        set.current = set.replicas;
        set.ready = if hangs { 0 } else { set.replicas };
        set.available = set.ready;
        set.stale = false;
    }

    /// An AnalysisRun ends.
    pub(super) fn end_run(&mut self, name: &str, phase: AnalysisPhase) {
        self.say(&format!("analysis: {name} {phase}"));
        let run = self.runs.get_mut(name).expect("a run");
        run.phase = phase;
        "simulated".clone_into(&mut run.message);
    }

    /// Names of the runs that have not ended.
    pub(super) fn open_runs(&self) -> Vec<String> {
        let open = self.runs.iter().filter(|(_, run)| !run.is_completed());
        open.map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn pods(&self) -> Vec<i32> {
        self.replica_sets.values().map(|set| set.replicas).collect()
    }

    fn apply_action(&mut self, observed: &Observed, action: &Action) -> Applied {
        match action {
            Action::CreateReplicaSet {
                template,
                name,
                replicas,
            } => {
                if self.replica_sets.contains_key(name) {
                    return Applied::Done;
                }
                let mut all = observed.spec.templates.iter();
                let template = all.find(|one| one.name == *template);
                let set = objects::replica_set(observed, template.expect("a template"), *replicas);
                self.add_replica_set(set).expect("a ReplicaSet");
            }
            Action::Change(SetChange {
                name,
                replicas,
                deadline,
                ..
            }) => {
                let set = self.replica_sets.get_mut(name).expect("a ReplicaSet");
                set.replicas = replicas.unwrap_or(set.replicas);
                match deadline {
                    DeadlineChange::Keep => {}
                    DeadlineChange::Set(at) => set.deadline = Some(*at),
                    DeadlineChange::Remove => set.deadline = None,
                }
            }
            Action::CreateService { name, .. } => {
                let view = ServiceView {
                    owner: Some(UID.to_owned()),
                    ..ServiceView::default()
                };
                self.services.insert(name.clone(), view);
            }
            Action::DeleteService { name } => drop(self.services.remove(name)),
            Action::StartRun { analysis, run } => {
                let labels = run.object["metadata"]["labels"].clone();
                let labels = serde_json::from_value(labels).expect("labels");
                let view = self.start_run(&run.key.name, labels);
                return Applied::Started {
                    analysis: analysis.clone(),
                    name: view.key.name.clone(),
                    phase: AnalysisPhase::Running,
                };
            }
            Action::TerminateRun { name, .. } => {
                self.runs.get_mut(name).expect("a run").terminate = true;
            }
        }
        Applied::Done
    }
}

impl Deref for Cluster {
    type Target = SimulatedObjects;

    fn deref(&self) -> &SimulatedObjects {
        &self.objects
    }
}

impl DerefMut for Cluster {
    fn deref_mut(&mut self) -> &mut SimulatedObjects {
        &mut self.objects
    }
}

/// The process of the controller, which may be killed after so many effects.
struct Process<'c> {
    cluster: &'c mut Cluster,
    effects: usize,
    crash_after: Option<usize>,
}

impl InMemory<Experiments> for Process<'_> {
    fn apply(
        &mut self,
        observed: &Observed,
        action: &Action,
    ) -> Option<Result<Applied, ExperimentError>> {
        if self.crash_after == Some(self.effects) {
            return None;
        }
        self.effects += 1;
        self.cluster.say(&format!("controller: {action}"));
        Some(Ok(self.cluster.apply_action(observed, action)))
    }

    fn event(&mut self, event: &EventNote) {
        self.cluster
            .say(&format!("event: {}: {}", event.reason, event.note));
    }
}
