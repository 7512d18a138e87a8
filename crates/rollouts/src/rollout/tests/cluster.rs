//! A world in memory: the API server's objects, and peers that act on them when asked to.

use std::{collections::BTreeMap, fmt::Write as _};

use jiff::{SignedDuration, Timestamp};
use kube::api::ObjectMeta;
use reconcile_core::{
    object::Root,
    reconcile::{Done, Target},
};
use serde_json::{Value, json};

use crate::{
    analysis::{RunOwner, RunView, build::run_name},
    api::{
        analysis::AnalysisPhase,
        rollout::{
            DESIRED_REPLICAS, HASH_LABEL, REVISION, REVISION_HISTORY, Rollout, RolloutStatus,
            RunStatus, SCALE_DOWN_DEADLINE,
        },
    },
    rollout::{
        Applied, RolloutError, Sources, observe,
        plan::{Action, NewSet, SetChange, decide, hash::template_digest},
        status,
        world::{Observed, ReplicaSetView, ServiceView, SetOwner},
    },
};

pub(super) const UID: &str = "u-rollout";
const NAMESPACE: &str = "ns";

/// A pod of the simulation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pod {
    pub(super) ready: bool,
    pub(super) hangs: bool,
}

/// The world.
pub(super) struct Cluster {
    pub(super) now: Timestamp,
    pub(super) root: Value,
    pub(super) sets: BTreeMap<String, ReplicaSetView>,
    pub(super) pods: BTreeMap<String, Vec<Pod>>,
    pub(super) services: BTreeMap<String, ServiceView>,
    pub(super) runs: BTreeMap<String, RunView>,
    /// Images whose pods never become ready.
    pub(super) hanging: Vec<String>,
    pub(super) wake: Option<Timestamp>,
    pub(super) log: String,
    /// Every call to `pass`, for bounds.
    pub(super) passes: usize,
    images: BTreeMap<String, String>,
    counter: u64,
}

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

impl Cluster {
    /// A world with one Rollout with this strategy.
    pub(super) fn new(replicas: i32, strategy: &Value) -> Self {
        let root = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
            "metadata": {"name": "web", "namespace": NAMESPACE, "uid": UID, "generation": 1, "resourceVersion": "1"},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": "web"}},
                "template": template("v1"),
                "strategy": strategy,
            }
        });
        Self {
            now: start(),
            root,
            sets: BTreeMap::new(),
            pods: BTreeMap::new(),
            services: BTreeMap::new(),
            runs: BTreeMap::new(),
            hanging: Vec::new(),
            wake: None,
            log: String::new(),
            passes: 0,
            images: BTreeMap::new(),
            counter: 1,
        }
    }

    pub(super) fn with_services(mut self, names: &[&str]) -> Self {
        for name in names {
            self.services
                .insert((*name).to_owned(), ServiceView::default());
        }
        self
    }

    pub(super) fn root(&self) -> Rollout {
        Root::from_value(&self.root).expect("a Rollout")
    }

    pub(super) fn status(&self) -> RolloutStatus {
        self.root().parse_status().expect("a status")
    }

    pub(super) fn replicas(&self) -> i32 {
        self.root["spec"]["replicas"]
            .as_i64()
            .and_then(|number| number.try_into().ok())
            .unwrap_or(1)
    }

    /// A person changes the spec.
    pub(super) fn edit(&mut self, change: impl FnOnce(&mut Value)) {
        change(&mut self.root["spec"]);
        let generation = self.root["metadata"]["generation"]
            .as_i64()
            .unwrap_or_default();
        self.root["metadata"]["generation"] = (generation + 1).into();
    }

    pub(super) fn set_image(&mut self, image: &str) {
        self.say(&format!("person: image {image}"));
        let template = template(image);
        self.edit(|spec| spec["template"] = template);
    }

    /// A client patches the status.
    pub(super) fn patch_status(&mut self, patch: &Value) {
        self.say(&format!("client: status {patch}"));
        merge(&mut self.root["status"], patch);
    }

    pub(super) fn say(&mut self, line: &str) {
        let seconds = self.now.duration_since(start()).as_secs();
        let _ = writeln!(self.log, "[{seconds:>3}s] {line}");
    }

    fn sources(&self) -> Sources {
        let sources = Sources::default();
        for (name, set) in &self.sets {
            let meta = meta(name, &set.uid);
            drop(sources.sets.written(&meta, set.clone()));
        }
        for (name, service) in &self.services {
            drop(sources.services.written(&meta(name, name), service.clone()));
        }
        for (name, run) in &self.runs {
            drop(
                sources
                    .analysis
                    .runs
                    .written(&meta(name, &run.uid), run.clone()),
            );
        }
        for template in ["check", "watch"] {
            let object = json!({"metadata": {"name": template, "namespace": NAMESPACE}, "spec": {"metrics": []}});
            let root = Root::from_value(&object).expect("a template");
            drop(
                sources
                    .analysis
                    .templates
                    .namespaced
                    .written(&meta(template, template), root),
            );
        }
        sources
    }

    pub(super) fn observe(&self) -> Result<Observed, RolloutError> {
        observe::observe(&self.sources(), &self.root())
    }

    /// One pass of the controller. With `crash_after` the process dies after so many effects, before it
    /// has told anything. Gives the number of effects and of status writes.
    pub(super) fn pass(&mut self, crash_after: Option<usize>) -> (usize, usize) {
        self.passes += 1;
        let seen = match self.observe() {
            Ok(seen) => seen,
            Err(error) => {
                let report = status::rejected(&self.root(), &error.to_string(), self.now);
                return (0, self.write(&report));
            }
        };
        let plan = decide(&seen, self.now).plan;
        let mut done = Vec::new();
        for (index, action) in plan.actions.iter().enumerate() {
            if crash_after == Some(index) {
                self.say("controller: killed");
                return (index, 0);
            }
            self.say(&format!("controller: {action}"));
            let applied = self.apply(action);
            done.push(Done::new(index, Ok(applied)));
        }
        if crash_after.is_some_and(|limit| limit >= plan.actions.len()) {
            self.say("controller: killed before the status");
            return (done.len(), 0);
        }
        let report = status::report(&seen, &plan, &done, self.now);
        for event in &report.events {
            self.say(&format!("event: {}: {}", event.reason, event.note));
        }
        self.wake = if report.again {
            Some(self.now)
        } else {
            plan.wake
        };
        (plan.actions.len(), self.write(&report))
    }

    fn write(&mut self, report: &reconcile_core::reconcile::Report) -> usize {
        for patch in &report.patches {
            match patch.target {
                Target::Main => {
                    if patch.body.get("spec").is_some() {
                        let generation = self.root["metadata"]["generation"]
                            .as_i64()
                            .unwrap_or_default();
                        self.root["metadata"]["generation"] = (generation + 1).into();
                    }
                    merge(&mut self.root, &patch.body);
                }
                Target::Status => {
                    merge(&mut self.root, &patch.body);
                    let status = self.status();
                    let step = status
                        .current_step_index
                        .map(|index| format!(", step {index}"))
                        .unwrap_or_default();
                    self.say(&format!(
                        "status: {} {}{step}, {}/{}/{} updated/available/all",
                        status.phase,
                        if status.message.is_empty() {
                            "-"
                        } else {
                            &status.message
                        },
                        status.updated_replicas,
                        status.available_replicas,
                        status.replicas,
                    ));
                }
            }
        }
        report.patches.len()
    }

    /// Passes until nothing changes any more.
    pub(super) fn settle(&mut self) {
        const MOST: usize = 30;
        for _ in 0..MOST {
            let (actions, writes) = self.pass(None);
            if actions + writes == 0 {
                return;
            }
        }
        panic!("the controller does not come to rest:\n{}", self.log);
    }

    fn apply(&mut self, action: &Action) -> Applied {
        match action {
            Action::Adopt { name, .. } => {
                self.set(name).owner = Some(owner());
            }
            Action::Release { name, .. } => self.set(name).owner = None,
            Action::Create(set) => return self.create(set),
            Action::Change(change) => self.change(change),
            Action::Delete { name, .. } => {
                self.sets.remove(name);
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
            Action::StartRun {
                run_type,
                hash,
                revision,
            } => {
                return self.start_run(
                    &run_name("web", hash, &revision.to_string(), *run_type),
                    hash,
                );
            }
            Action::TerminateRun(run) => {
                let run = self.runs.get_mut(&run.name).expect("a run");
                run.terminate = true;
                run.phase = AnalysisPhase::Successful;
            }
            Action::DeleteRun(run) => drop(self.runs.remove(&run.name)),
        }
        Applied::Done
    }

    fn set(&mut self, name: &str) -> &mut ReplicaSetView {
        self.sets.get_mut(name).expect("the set exists")
    }

    fn create(&mut self, set: &NewSet) -> Applied {
        let owned = self
            .sets
            .get(&set.name)
            .map(|set| set.owner == Some(owner()));
        match owned {
            Some(true) => return Applied::Done,
            Some(false) => return Applied::Collision,
            None => {}
        }
        self.counter += 1;
        let template = &self.root["spec"]["template"];
        let image = template["spec"]["containers"][0]["image"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        self.images.insert(set.name.clone(), image);
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
            template: template_digest(template),
            replicas: set.replicas,
            ..ReplicaSetView::default()
        };
        self.sets.insert(set.name.clone(), view);
        Applied::Done
    }

    fn change(&mut self, change: &SetChange) {
        let set = self.set(&change.name);
        set.replicas = change.replicas.unwrap_or(set.replicas);
        set.min_ready = change.min_ready.unwrap_or(set.min_ready);
        for (key, value) in &change.annotations {
            match *key {
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
                other => panic!("unexpected annotation {other}"),
            }
        }
    }

    fn start_run(&mut self, name: &str, hash: &str) -> Applied {
        let mut free = name.to_owned();
        let mut number = 0;
        while let Some(run) = self.runs.get(&free) {
            if !run.is_completed() {
                return started(&free, run.phase.as_str());
            }
            number += 1;
            free = format!("{name}.{number}");
        }
        self.counter += 1;
        let view = RunView {
            key: reconcile_core::object::ObjectKey::new(NAMESPACE, &free),
            uid: format!("u-{}", self.counter),
            version: self.counter.to_string(),
            owner: Some(RunOwner {
                kind: "Rollout".into(),
                name: "web".into(),
                uid: UID.into(),
            }),
            labels: [(HASH_LABEL.to_owned(), hash.to_owned())].into(),
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

    /// An AnalysisRun ends.
    pub(super) fn end_run(&mut self, name: &str, phase: AnalysisPhase, message: &str) {
        self.say(&format!("analysis: {name} {}", phase.as_str()));
        let run = self.runs.get_mut(name).expect("the run exists");
        run.phase = phase;
        message.clone_into(&mut run.message);
    }

    /// The ReplicaSet controller makes or removes one pod of a set; unready pods go first.
    pub(super) fn make_or_remove_pod(&mut self, name: &str) -> bool {
        let wanted = usize::try_from(self.sets[name].replicas).unwrap_or_default();
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
    pub(super) fn make_ready(&mut self, name: &str) -> bool {
        let pod = self
            .pods
            .get_mut(name)
            .and_then(|pods| pods.iter_mut().find(|pod| !pod.ready && !pod.hangs));
        pod.map(|pod| pod.ready = true).is_some()
    }

    /// The ReplicaSet controller writes the status of a set.
    pub(super) fn count(&mut self, name: &str) {
        let pods = self.pods.get(name).cloned().unwrap_or_default();
        let ready = pods.iter().filter(|pod| pod.ready).count();
        let set = self.set(name);
        set.current = i32::try_from(pods.len()).unwrap_or_default();
        set.ready = i32::try_from(ready).unwrap_or_default();
        set.available = set.ready;
    }

    /// All peers act until they have nothing left to do.
    pub(super) fn peers(&mut self) {
        let names: Vec<String> = self.sets.keys().cloned().collect();
        for name in names {
            while self.make_or_remove_pod(&name) {}
            while self.make_ready(&name) {}
            self.count(&name);
        }
    }

    /// The controller and its peers take turns until nothing moves.
    pub(super) fn run(&mut self) {
        const MOST: usize = 100;
        for _ in 0..MOST {
            self.settle();
            let before = (self.sets.clone(), self.pods.clone());
            self.peers();
            if before == (self.sets.clone(), self.pods.clone()) {
                return;
            }
        }
        panic!("the world does not come to rest:\n{}", self.log);
    }

    pub(super) fn advance(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    pub(super) fn sizes(&self) -> BTreeMap<&str, i32> {
        self.sets
            .iter()
            .map(|(name, set)| (self.images[name].as_str(), set.replicas))
            .collect()
    }

    pub(super) fn set_of(&self, image: &str) -> &ReplicaSetView {
        let name = self
            .images
            .iter()
            .find(|(_, known)| *known == image)
            .map(|(name, _)| name);
        &self.sets[name.expect("an image that was deployed")]
    }
}

fn started(name: &str, phase: &str) -> Applied {
    Applied::Started(RunStatus {
        name: name.to_owned(),
        status: phase.to_owned(),
        message: String::new(),
    })
}

fn owner() -> SetOwner {
    SetOwner {
        kind: "Rollout".into(),
        name: "web".into(),
        uid: UID.into(),
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

pub(super) fn template(image: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": image}]}
    })
}

/// JSON merge patch.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(members) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in members {
        if value.is_null() {
            if let Some(object) = target.as_object_mut() {
                object.remove(key);
            }
        } else {
            merge(&mut target[key], value);
        }
    }
}
