//! A world in memory: an Experiment, the objects around it, and passes of the controller that may be
//! killed between any two writes.

use std::{collections::BTreeMap, fmt::Write as _};

use jiff::{SignedDuration, Timestamp};
use kube::api::ObjectMeta;
use reconcile_core::{
    event::EventNote,
    object::{ObjectKey, Root},
    testkit::{InMemory, merge_patch, pass},
};
use serde_json::{Value, json};

use crate::{
    analysis::{RunOwner, RunView},
    api::{
        analysis::AnalysisPhase,
        experiment::{Experiment, ExperimentStatus, TEMPLATE_NAME},
        rollout::HASH_LABEL,
    },
    experiment::{
        Applied, ExperimentError, Experiments, observe,
        observed::Observed,
        plan::{Action, DeadlineChange, SetChange},
        status,
    },
    rollout::{
        Sources, annotation_digest,
        observed::{ReplicaSetOwner, ReplicaSetView, ServiceView},
    },
};

const UID: &str = "u-experiment";
const NAMESPACE: &str = "ns";

/// The world.
pub(super) struct World {
    pub(super) now: Timestamp,
    pub(super) root: Value,
    pub(super) replica_sets: BTreeMap<String, ReplicaSetView>,
    pub(super) services: BTreeMap<String, ServiceView>,
    pub(super) runs: BTreeMap<String, RunView>,
    /// Objects that the next pass does not see yet.
    pub(super) unseen: Vec<String>,
    /// ReplicaSets whose pods never become available.
    pub(super) hanging: Vec<String>,
    pub(super) wake: Option<Timestamp>,
    pub(super) log: String,
    counter: u64,
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

impl World {
    /// A world with one Experiment.
    pub(super) fn new(spec: &Value) -> Self {
        let root = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Experiment",
            "metadata": {"name": "ab", "namespace": NAMESPACE, "uid": UID}, "spec": spec,
        });
        Self {
            now: start(),
            root,
            replica_sets: BTreeMap::new(),
            services: BTreeMap::new(),
            runs: BTreeMap::new(),
            unseen: Vec::new(),
            hanging: Vec::new(),
            wake: None,
            log: String::new(),
            counter: 1,
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

    fn sources(&self) -> Sources {
        let sources = Sources::default();
        let is_seen = |name: &str| !self.unseen.iter().any(|unseen| unseen == name);
        for (name, set) in self.replica_sets.iter().filter(|(name, _)| is_seen(name)) {
            drop(
                sources
                    .replica_sets
                    .written(&meta(name, &set.uid), set.clone()),
            );
        }
        for (name, service) in self.services.iter().filter(|(name, _)| is_seen(name)) {
            drop(sources.services.written(&meta(name, name), service.clone()));
        }
        for (name, run) in self.runs.iter().filter(|(name, _)| is_seen(name)) {
            drop(
                sources
                    .analysis
                    .runs
                    .written(&meta(name, &run.uid), run.clone()),
            );
        }
        let metric = json!({"name": "m", "provider": {"web": {"url": "http://x/{{args.hash}}"}}});
        let object = json!({
            "metadata": {"name": "check", "namespace": NAMESPACE},
            "spec": {"metrics": [metric], "args": [{"name": "hash"}]}
        });
        let check = Root::from_value(&object).expect("a template");
        let templates = &sources.analysis.templates.namespaced;
        drop(templates.written(&meta("check", "check"), check));
        sources
    }

    pub(super) fn observe(&self) -> Result<Observed, ExperimentError> {
        observe::observe(&self.sources(), &self.root())
    }

    /// One pass. With `crash_after` the process dies after so many effects and reports nothing. True when
    /// something was done.
    pub(super) fn pass(&mut self, crash_after: Option<usize>) -> bool {
        let observed = match self.observe() {
            Ok(observed) => observed,
            Err(error) => {
                let report = status::rejected(&self.root(), &error.to_string(), self.now);
                return self.write(&report);
            }
        };
        self.unseen.clear();
        let now = self.now;
        let mut process = Process {
            world: self,
            effects: 0,
            crash_after,
        };
        let passed = pass::<Experiments>(&mut process, &observed, now);
        let Some(report) = passed.report.filter(|_| crash_after.is_none()) else {
            self.say("controller: killed");
            return true;
        };
        for event in &report.events {
            self.say(&format!("event: {}: {}", event.reason, event.note));
        }
        self.wake = passed.decision.plan.wake;
        self.write(&report) || passed.tried > 0
    }

    fn write(&mut self, report: &reconcile_core::reconcile::Report) -> bool {
        let before = self.phase();
        for patch in &report.patches {
            merge_patch(&mut self.root, &patch.body);
        }
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
        panic!("the world does not come to rest:\n{}", self.log);
    }

    /// All pods of a ReplicaSet are there and available.
    pub(super) fn count(&mut self, name: &str) {
        let hangs = self.hanging.iter().any(|known| known == name);
        let set = self.replica_sets.get_mut(name).expect("a ReplicaSet");
        set.current = set.replicas;
        set.ready = if hangs { 0 } else { set.replicas };
        set.available = set.ready;
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

    fn apply(&mut self, observed: &Observed, action: &Action) -> Applied {
        match action {
            Action::CreateReplicaSet {
                template,
                name,
                replicas,
            } => {
                if self.replica_sets.contains_key(name) {
                    return Applied::Done;
                }
                self.counter += 1;
                let mut all = observed.spec.templates.iter();
                let hash = &all
                    .find(|one| one.name == *template)
                    .expect("a template")
                    .hash;
                let view = ReplicaSetView {
                    name: name.clone(),
                    uid: format!("u-{}", self.counter),
                    created: Some(self.now),
                    owner: Some(ReplicaSetOwner {
                        kind: "Experiment".to_owned(),
                        name: "ab".to_owned(),
                        uid: UID.to_owned(),
                    }),
                    hash: hash.clone(),
                    labels: BTreeMap::from([(HASH_LABEL.to_owned(), hash.clone())]),
                    annotations: vec![annotation_digest(TEMPLATE_NAME, template)],
                    replicas: *replicas,
                    ..ReplicaSetView::default()
                };
                self.replica_sets.insert(name.clone(), view);
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
            Action::StartRun { analysis, run } => return self.start_run(analysis, run),
            Action::TerminateRun { name, .. } => {
                self.runs.get_mut(name).expect("a run").terminate = true;
            }
        }
        Applied::Done
    }

    fn start_run(&mut self, analysis: &str, run: &crate::analysis::build::NewRun) -> Applied {
        let mut name = run.key.name.clone();
        let mut number = 0;
        while let Some(known) = self.runs.get(&name) {
            if !known.is_completed() && !known.terminate {
                return started(analysis, &name);
            }
            number += 1;
            name = format!("{}.{number}", run.key.name);
        }
        self.counter += 1;
        let labels = &run.object["metadata"]["labels"];
        let view = RunView {
            key: ObjectKey::new(NAMESPACE, &name),
            uid: format!("u-{}", self.counter),
            version: self.counter.to_string(),
            owner: Some(RunOwner {
                kind: "Experiment".to_owned(),
                name: "ab".to_owned(),
                uid: UID.to_owned(),
            }),
            labels: serde_json::from_value(labels.clone()).expect("labels"),
            created: Some(self.now),
            deleting: false,
            phase: AnalysisPhase::Running,
            message: String::new(),
            terminate: false,
            metrics: Vec::new(),
        };
        self.runs.insert(name.clone(), view);
        started(analysis, &name)
    }
}

fn started(analysis: &str, name: &str) -> Applied {
    Applied::Started {
        analysis: analysis.to_owned(),
        name: name.to_owned(),
        phase: AnalysisPhase::Running,
    }
}

fn meta(name: &str, uid: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(NAMESPACE.to_owned()),
        uid: Some(uid.to_owned()),
        resource_version: Some("1".to_owned()),
        ..ObjectMeta::default()
    }
}

/// The process of the controller, which may be killed after so many effects.
struct Process<'w> {
    world: &'w mut World,
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
        self.world.say(&format!("controller: {action}"));
        Some(Ok(self.world.apply(observed, action)))
    }

    fn event(&mut self, event: &EventNote) {
        self.world
            .say(&format!("event: {}: {}", event.reason, event.note));
    }
}
