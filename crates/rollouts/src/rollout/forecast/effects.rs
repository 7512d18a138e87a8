//! What the actions of a pass do to the simulated objects.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use reconcile_core::{kube_types::GoDuration, object::ObjectKey};
use serde_json::Value;

use super::{
    Scenario,
    world::{Run, Set, World},
};
use crate::{
    analysis::{
        RunOwner, RunView,
        build::{ROLLOUT_TYPE_LABEL, RunType, STEP_INDEX_LABEL, run_name},
    },
    api::{
        analysis::{AnalysisPhase, Metric, RolloutAnalysis},
        rollout::{
            DESIRED_REPLICAS, HASH_LABEL, REVISION, REVISION_HISTORY, RunStatus,
            SCALE_DOWN_DEADLINE,
        },
    },
    rollout::{
        Applied,
        kinds::annotation_digest,
        observed::{ReplicaSetOwner, ReplicaSetView},
        plan::{
            Action, NewReplicaSet, ReplicaSetChange, copied_annotations, hash::template_digest,
        },
    },
};

/// Time of a single measurement.
const MEASUREMENT: SignedDuration = SignedDuration::from_secs(1);
/// Time of an analysis of which the files say nothing.
pub(super) const UNKNOWN_ANALYSIS: SignedDuration = SignedDuration::from_secs(60);

impl World {
    pub(super) fn apply(&mut self, action: &Action, scenario: Scenario) -> Applied {
        match action {
            // All ReplicaSets of a simulation belong to its Rollout.
            Action::Adopt { .. }
            | Action::Release { .. }
            | Action::SetFlags { .. }
            | Action::ScaleWorkload(_)
            | Action::Evict(_)
            | Action::ChangePod(_) => {}
            Action::Create(set) => return self.create(set),
            Action::Change(change) => self.change(change),
            Action::Delete { name, .. } => drop(self.sets.remove(name)),
            Action::Switch { service, to, .. } => {
                let name = self.name().to_owned();
                if let Some(service) = self.services.get_mut(service) {
                    service.hash = Some(to.clone());
                    service.managed_by = Some(name);
                }
            }
            Action::StartRun {
                run_type,
                hash,
                revision,
            } => return self.start_run(*run_type, hash, *revision, scenario),
            Action::TerminateRun(run) => {
                if let Some(run) = self.runs.get_mut(&run.name) {
                    run.view.terminate = true;
                    run.view.phase = AnalysisPhase::Successful;
                }
            }
            Action::Route(goal) => self.traffic.write(goal),
            Action::DeleteRun(run) => drop(self.runs.remove(&run.name)),
            Action::StartExperiment(start) => return self.start_experiment(start),
            Action::TerminateExperiment { name } => self.end_experiment(name),
            Action::DeleteExperiment { name } => drop(self.experiments.remove(name)),
        }
        Applied::Done
    }

    pub(super) fn next_uid(&mut self) -> String {
        self.counter += 1;
        format!("simulated-{}", self.counter)
    }

    fn create(&mut self, set: &NewReplicaSet) -> Applied {
        let Ok(root) = self.rollout() else {
            return Applied::Done;
        };
        let uid = self.next_uid();
        let spec = &self.root["spec"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut labels: BTreeMap<String, String> = spec["template"]["metadata"]["labels"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), text(value)))
            .collect();
        labels.insert(HASH_LABEL.to_owned(), set.hash.clone());
        let number = |value: &Value| value.as_i64().and_then(|number| number.try_into().ok());
        // The order tells objects of one second apart.
        let order = SignedDuration::from_millis(i64::from(self.counter));
        let view = ReplicaSetView {
            name: set.name.clone(),
            uid,
            created: self.now.saturating_add(order).ok(),
            labels,
            owner: Some(ReplicaSetOwner {
                kind: "Rollout".to_owned(),
                name: self.name().to_owned(),
                uid: text(&self.root["metadata"]["uid"]),
            }),
            hash: set.hash.clone(),
            revision: set.revision,
            desired: number(&spec["replicas"]),
            template: template_digest(&spec["template"]),
            annotations: copied_annotations(&root)
                .map(|(key, value)| annotation_digest(key, value))
                .collect(),
            metadata: Some(set.metadata.clone()),
            avoids: set.avoids.as_ref().map(|(_, hash)| hash.clone()),
            replicas: set.replicas,
            min_ready: number(&spec["minReadySeconds"]).unwrap_or(0),
            ..ReplicaSetView::default()
        };
        let pods = Vec::new();
        self.sets.insert(set.name.clone(), Set { view, pods });
        Applied::Done
    }

    fn change(&mut self, change: &ReplicaSetChange) {
        let Some(Set { view: set, .. }) = self.sets.get_mut(&change.name) else {
            return;
        };
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
                    let mark = annotation_digest(other, text.unwrap_or_default());
                    set.annotations.push(mark);
                }
            }
        }
    }

    fn start_run(
        &mut self,
        run_type: RunType,
        hash: &str,
        revision: i64,
        scenario: Scenario,
    ) -> Applied {
        let wanted = run_name(self.name(), hash, &revision.to_string(), run_type);
        let mut name = wanted.clone();
        let mut number = 0;
        while self.runs.contains_key(&name) {
            number += 1;
            name = format!("{wanted}.{number}");
        }
        let mut labels = BTreeMap::from([
            (HASH_LABEL.to_owned(), hash.to_owned()),
            (ROLLOUT_TYPE_LABEL.to_owned(), run_type.label().to_owned()),
        ]);
        if let RunType::Step(index) = run_type {
            labels.insert(STEP_INDEX_LABEL.to_owned(), index.to_string());
        }
        let uid = self.next_uid();
        let view = RunView {
            key: ObjectKey::new(self.namespace(), &name),
            version: uid.clone(),
            uid,
            owner: Some(RunOwner {
                kind: "Rollout".to_owned(),
                name: self.name().to_owned(),
                uid: self.root["metadata"]["uid"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
            }),
            labels,
            created: Some(self.now),
            deleting: false,
            phase: AnalysisPhase::Running,
            message: String::new(),
            terminate: false,
            metrics: Vec::new(),
        };
        let fails = scenario.failing == Some(run_type);
        let length = self.length(run_type, fails);
        let ends = length.map(|length| self.now.saturating_add(length).unwrap_or(Timestamp::MAX));
        let phase = if fails {
            AnalysisPhase::Failed
        } else {
            AnalysisPhase::Successful
        };
        self.runs.insert(name.clone(), Run { view, ends, phase });
        Applied::Started(RunStatus {
            name,
            status: "Running".to_owned(),
            message: String::new(),
        })
    }

    /// How long the analysis takes by its templates; none when it runs until it is terminated.
    fn length(&self, run_type: RunType, fails: bool) -> Option<SignedDuration> {
        let strategy = &self.root["spec"]["strategy"];
        let analysis = match run_type {
            RunType::Step(index) => {
                let index = usize::try_from(index).unwrap_or_default();
                &strategy["canary"]["steps"][index]["analysis"]
            }
            RunType::Background => &strategy["canary"]["analysis"],
            RunType::PrePromotion => &strategy["blueGreen"]["prePromotionAnalysis"],
            RunType::PostPromotion => &strategy["blueGreen"]["postPromotionAnalysis"],
        };
        let analysis: RolloutAnalysis =
            serde_json::from_value(analysis.clone()).unwrap_or_default();
        let templates = self
            .templates
            .resolve(self.namespace(), &analysis.templates);
        let templates = templates.unwrap_or_default();
        let metrics: Vec<&Metric> = templates.iter().flat_map(|spec| &spec.metrics).collect();
        if metrics.is_empty() {
            return Some(UNKNOWN_ANALYSIS);
        }
        let mut longest = SignedDuration::ZERO;
        for metric in metrics {
            longest = longest.max(length_of(metric, fails)?);
        }
        Some(longest)
    }
}

/// Time that a metric needs for its verdict; none when it is measured until the run is terminated.
fn length_of(metric: &Metric, fails: bool) -> Option<SignedDuration> {
    let duration = |text: Option<&String>| {
        let parsed = text.and_then(|text| text.parse::<GoDuration>().ok());
        parsed.map(GoDuration::to_signed)
    };
    let number = |field: Option<&IntOrString>| match field? {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(text) => text.parse().ok(),
    };
    let interval = duration(metric.interval.as_ref());
    let count = if fails {
        number(metric.failure_limit.as_ref()).unwrap_or(0).max(0) + 1
    } else {
        match (number(metric.count.as_ref()), interval) {
            (Some(count @ 1..), _) => count,
            (_, None) => 1,
            (_, Some(_)) => return None,
        }
    };
    let between = interval.unwrap_or_default().saturating_mul(count - 1);
    let delay = duration(metric.initial_delay.as_ref()).unwrap_or_default();
    Some(delay.saturating_add(between).saturating_add(MEASUREMENT))
}
