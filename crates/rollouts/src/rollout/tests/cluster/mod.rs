//! A world in memory: the API server's objects, people who change them, and passes of the controller.
//! What its actions do is in [`effects`], what other controllers do in [`peers`], what goes wrong in [`faults`], what a
//! pass need not read again in [`memory`].

mod effects;
mod faults;
mod memory;
mod peers;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt::Write as _,
    ops::{Deref, DerefMut},
};

use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use reconcile_core::{
    event::EventNote,
    reconcile::{InMemory, Report, Target, merge_patch, pass_in_memory},
};
use serde_json::{Value, json};

pub(super) use self::faults::RouterFault;
use self::{memory::Memory, peers::Pod};
use crate::{
    api::analysis::AnalysisPhase,
    rollout::{
        Applied, RolloutError, Rollouts,
        flags::Flags,
        observed::{Observed, ReplicaSetView, ServiceView},
        plan::Action,
        simulated::SimulatedObjects,
        status,
    },
};

pub(super) const UID: &str = "u-rollout";
const NAMESPACE: &str = "ns";

/// The world.
pub(super) struct Cluster {
    objects: SimulatedObjects,
    pub(super) pods: BTreeMap<String, Vec<Pod>>,
    pub(super) flags: Flags,
    /// Images whose pods never become ready.
    pub(super) hanging: Vec<String>,
    /// A budget protects all pods from eviction.
    pub(super) protected: bool,
    /// A webhook changes the templates of new ReplicaSets.
    pub(super) mutating: bool,
    /// Somebody changes the Rollout between the read of the next pass and its report.
    pub(super) interloper: Option<fn(&mut Value)>,
    /// ReplicaSets as the last event showed them, while events are late.
    late: Option<BTreeMap<String, ReplicaSetView>>,
    pub(super) router: RouterFault,
    /// Weight of the new version that the router really sends; none when its objects differ.
    pub(super) sent: Option<i32>,
    /// The order in which everybody acts before they come to rest; a fixed one without it.
    pub(super) order: Option<StdRng>,
    pub(super) wake: Option<Timestamp>,
    pub(super) log: String,
    /// Every call to `pass`, for bounds.
    pub(super) passes: usize,
    images: BTreeMap<String, String>,
    memory: RefCell<Option<Memory>>,
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
        let mut objects = SimulatedObjects::new(root, start());
        add_templates(&mut objects);
        Self {
            objects,
            pods: BTreeMap::new(),
            flags: Flags::new(),
            hanging: Vec::new(),
            protected: false,
            mutating: false,
            interloper: None,
            late: None,
            router: RouterFault::None,
            sent: Some(0),
            order: None,
            wake: None,
            log: String::new(),
            passes: 0,
            images: BTreeMap::new(),
            memory: RefCell::new(None),
        }
    }

    pub(super) fn with_services(mut self, names: &[&str]) -> Self {
        for name in names {
            self.services
                .insert((*name).to_owned(), ServiceView::default());
        }
        self
    }

    pub(super) fn replicas(&self) -> i32 {
        self.root["spec"]["replicas"]
            .as_i64()
            .and_then(|number| number.try_into().ok())
            .unwrap_or(1)
    }

    /// A person changes the spec.
    pub(super) fn edit(&mut self, change: impl FnOnce(&mut Value)) {
        self.edit_spec(change);
    }

    pub(super) fn set_image(&mut self, image: &str) {
        self.say(&format!("person: image {image}"));
        let template = template(image);
        self.edit(|spec| spec["template"] = template);
    }

    /// A client patches the status.
    pub(super) fn patch_status(&mut self, patch: &Value) {
        self.say(&format!("client: status {patch}"));
        merge_patch(&mut self.root["status"], patch);
    }

    /// A person promotes a paused Rollout.
    pub(super) fn promote(&mut self) {
        self.patch_status(&json!({"pauseConditions": null}));
        self.run();
    }

    pub(super) fn say(&mut self, line: &str) {
        let seconds = self.now.duration_since(start()).as_secs();
        let _ = writeln!(self.log, "[{seconds:>3}s] {line}");
    }

    pub(super) fn observe(&self) -> Result<Observed, RolloutError> {
        let mut observed = self.observe_indexes()?;
        let canary = observed.spec.canary();
        if canary.is_some_and(|canary| canary.routing.is_some()) {
            observed.traffic = Some(self.traffic.clone());
        }
        observed.flags = Some(self.flags.clone());
        observed.pods = Some(self.pod_views());
        Ok(observed)
    }

    /// One pass of the controller. With `crash_after` the process dies after so many effects, before it
    /// reports. Returns the number of effects and of status writes.
    pub(super) fn pass(&mut self, crash_after: Option<usize>) -> (usize, usize) {
        self.passes += 1;
        let seen = match self.observe_late() {
            Ok(seen) => seen,
            Err(error) => {
                let report = status::rejected(&self.root(), &error.to_string(), self.now);
                return (0, self.write_report(&report));
            }
        };
        let now = self.now;
        let mut process = Process {
            cluster: self,
            effects: 0,
            crash_after,
        };
        let passed = pass_in_memory::<Rollouts>(&mut process, &seen, now);
        let Some(report) = passed.report else {
            return (passed.tried, 0);
        };
        if crash_after.is_some() {
            self.say("controller: killed before the status");
            return (passed.tried, 0);
        }
        if let Some(change) = self.interloper.take() {
            self.edit(change);
            if report.patches.iter().any(|patch| patch.guarded) {
                self.say("controller: conflict");
                self.wake = Some(self.now);
                return (passed.tried, 1);
            }
        }
        for event in &report.events {
            self.say(&format!("event: {}: {}", event.reason, event.note));
        }
        self.wake = if report.again {
            Some(self.now)
        } else {
            passed.decision.plan.wake
        };
        (passed.tried, self.write_report(&report))
    }

    fn write_report(&mut self, report: &Report) -> usize {
        self.write(report);
        if report
            .patches
            .iter()
            .any(|patch| patch.target == Target::Status)
        {
            let status = self.status();
            let step = status
                .current_step_index
                .map(|index| format!(", step {index}"))
                .unwrap_or_default();
            let message = match status.message.as_str() {
                "" => "-",
                message => message,
            };
            self.say(&format!(
                "status: {} {message}{step}, {}/{}/{} updated/available/all",
                status.phase, status.updated_replicas, status.available_replicas, status.replicas,
            ));
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

    /// An AnalysisRun ends.
    pub(super) fn end_run(&mut self, name: &str, phase: AnalysisPhase, message: &str) {
        self.say(&format!("analysis: {name} {}", phase.as_str()));
        let run = self.runs.get_mut(name).expect("the run exists");
        run.phase = phase;
        message.clone_into(&mut run.message);
    }

    pub(super) fn end_experiment(&mut self, name: &str, phase: AnalysisPhase) {
        self.say(&format!("experiment: {name} {}", phase.as_str()));
        let view = self
            .experiments
            .get_mut(name)
            .expect("the Experiment exists");
        view.phase = phase;
        "simulated".clone_into(&mut view.message);
    }

    pub(super) fn advance(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    pub(super) fn sizes(&self) -> BTreeMap<&str, i32> {
        self.replica_sets
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
        &self.replica_sets[name.expect("an image that was deployed")]
    }
}

/// The `AnalysisTemplate` objects that the strategies of the tests name.
fn add_templates(objects: &mut SimulatedObjects) {
    let needy = json!([{"name": "must"}]);
    let endless =
        json!([{"name": "m", "interval": "5s", "provider": {"web": {"url": "http://x/"}}}]);
    for (template, args, metrics) in [
        ("check", json!([]), json!([])),
        ("watch", json!([]), json!([])),
        ("needy", needy, json!([])),
        ("endless", json!([]), endless),
    ] {
        objects.add_template(&json!({
            "metadata": {"name": template, "namespace": NAMESPACE},
            "spec": {"metrics": metrics, "args": args}
        }));
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

pub(super) fn template(image: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": image}]}
    })
}

/// The process of the controller, which may be killed after so many effects.
struct Process<'c> {
    cluster: &'c mut Cluster,
    effects: usize,
    crash_after: Option<usize>,
}

impl InMemory<Rollouts> for Process<'_> {
    fn apply(
        &mut self,
        observed: &Observed,
        action: &Action,
    ) -> Option<Result<Applied, RolloutError>> {
        if self.crash_after == Some(self.effects) {
            self.cluster.say("controller: killed");
            return None;
        }
        self.effects += 1;
        self.cluster.say(&format!("controller: {action}"));
        if let Action::Route(_) = action
            && let Some(error) = self.cluster.refusal()
        {
            return Some(Err(error));
        }
        let applied = self.cluster.apply_action(observed, action);
        match action {
            Action::Route(_) => self.cluster.note_route(),
            Action::Change(change) => self.cluster.note_change(change),
            _ => {}
        }
        Some(Ok(applied))
    }

    fn event(&mut self, event: &EventNote) {
        self.cluster
            .say(&format!("event: {}: {}", event.reason, event.note));
    }
}
