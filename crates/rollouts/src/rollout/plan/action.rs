//! The effects a plan may ask for.

use std::{borrow::Cow, cmp::Ordering, collections::BTreeMap, fmt};

use reconcile_core::event::EventNote;

use super::conditions::reason;
use crate::{
    analysis::build::RunType,
    api::rollout::PodMetadata,
    rollout::{flags::FlagEdit, pod_rules::AntiAffinity, traffic::RouteGoal},
};

/// One effect.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Take over a ReplicaSet that nobody owns.
    Adopt {
        /// Its name.
        name: String,
        /// The resourceVersion that it was observed at; another one means: look again.
        version: String,
    },
    /// Give up a ReplicaSet that the selector does not match any more.
    Release {
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
    },
    /// Create the ReplicaSet of the newest template.
    Create(NewReplicaSet),
    /// Scale or annotate a ReplicaSet.
    Change(ReplicaSetChange),
    /// Delete a ReplicaSet without pods.
    Delete {
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
    },
    /// Scale the Deployment that the template comes from.
    ScaleWorkload(WorkloadScale),
    /// Evict a pod, so that its ReplicaSet makes a young one.
    Evict(PodRef),
    /// Set and remove labels and annotations of a pod.
    ChangePod(PodChange),
    /// Let a Service select the pods of another ReplicaSet.
    Switch {
        /// Name of the Service.
        service: String,
        /// The hash that it selects now.
        from: Option<String>,
        /// The hash that it should select.
        to: String,
    },
    /// Give the new version its share of the traffic, and the routes that it has beside.
    Route(RouteGoal),
    /// Start an analysis.
    StartRun {
        /// What it is for.
        run_type: RunType,
        /// Pod template hash of the new version.
        hash: String,
        /// Revision of the new version.
        revision: i64,
    },
    /// Ask an AnalysisRun to end.
    TerminateRun(RunRef),
    /// Delete a finished AnalysisRun.
    DeleteRun(RunRef),
    /// Edit feature flags of a ConfigMap.
    SetFlags {
        /// The ConfigMap.
        config_map: String,
        /// The edits.
        edits: Vec<FlagEdit>,
    },
    /// Create the Experiment of a step.
    StartExperiment(ExperimentStart),
    /// Ask an Experiment to end.
    TerminateExperiment {
        /// Its name.
        name: String,
    },
    /// Delete a finished Experiment.
    DeleteExperiment {
        /// Its name.
        name: String,
    },
}

/// The Experiment of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExperimentStart {
    /// Index of the step.
    pub index: i32,
    /// Pod template hash of the new version.
    pub hash: String,
    /// Revision of the new version.
    pub revision: i64,
    /// Names the try of the step, see [`crate::experiment::view::STEP`].
    pub mark: String,
    /// ReplicaSet of the new version.
    pub canary_set: String,
    /// ReplicaSet of the stable version.
    pub stable_set: String,
}

/// An AnalysisRun of the Rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRef {
    /// Its name.
    pub name: String,
}

/// A new size of the Deployment that the template comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadScale {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Pods that it should have had so far.
    pub from: i32,
    /// Pods that it should have.
    pub to: i32,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRef {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// Changes of a pod; a key without a value is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodChange {
    /// The pod.
    pub pod: PodRef,
    /// Labels.
    pub labels: BTreeMap<String, Option<String>>,
    /// Annotations.
    pub annotations: BTreeMap<String, Option<String>>,
}

/// Changes of the pod template of a ReplicaSet; a key without a value is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateChange {
    /// What the version has of its own from now on.
    pub metadata: PodMetadata,
    /// Labels.
    pub labels: BTreeMap<String, Option<String>>,
    /// Annotations.
    pub annotations: BTreeMap<String, Option<String>>,
    /// The version that it avoids, when that changes.
    pub avoids: Option<(AntiAffinity, String)>,
}

/// The ReplicaSet of the newest template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewReplicaSet {
    /// Its name.
    pub name: String,
    /// Pod template hash.
    pub hash: String,
    /// Pods to begin with.
    pub replicas: i32,
    /// Revision.
    pub revision: i64,
    /// Labels and annotations that its pods have for a time.
    pub metadata: PodMetadata,
    /// The version that its pods avoid.
    pub avoids: Option<(AntiAffinity, String)>,
}

/// Changes of a ReplicaSet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaSetChange {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its revision.
    pub revision: i64,
    /// Pods that it should have had so far.
    pub from: i32,
    /// Pods that it should have.
    pub replicas: Option<i32>,
    /// Annotations to set, or to remove.
    pub annotations: BTreeMap<Cow<'static, str>, Option<String>>,
    /// `minReadySeconds`.
    pub min_ready: Option<i32>,
    /// The pod template.
    pub template: Option<TemplateChange>,
}

impl Action {
    /// The Events about the action once it is carried out.
    pub fn events(&self) -> Vec<EventNote> {
        match self {
            Self::Create(set) => {
                let (name, revision) = (&set.name, set.revision);
                let text = format!("Created ReplicaSet {name} (revision {revision})");
                let created = EventNote::normal(reason::CREATED, text);
                let scaled = scaled(name, revision, 0, set.replicas);
                [created].into_iter().chain(scaled).collect()
            }
            Self::Change(change) => change
                .replicas
                .and_then(|to| scaled(&change.name, change.revision, change.from, to))
                .into_iter()
                .collect(),
            Self::Switch { service, from, to } if from.as_ref() != Some(to) => {
                let from = from.as_deref().unwrap_or_default();
                let text =
                    format!("Switched selector for service '{service}' from '{from}' to '{to}'");
                vec![EventNote::normal("SwitchService", text)]
            }
            _ => Vec::new(),
        }
    }
}

fn scaled(name: &str, revision: i64, from: i32, to: i32) -> Option<EventNote> {
    let direction = match to.cmp(&from) {
        Ordering::Greater => "up",
        Ordering::Less => "down",
        Ordering::Equal => return None,
    };
    let text =
        format!("Scaled {direction} ReplicaSet {name} (revision {revision}) from {from} to {to}");
    Some(EventNote::normal("ScalingReplicaSet", text))
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Adopt { name, .. } => write!(f, "adopt ReplicaSet {name}"),
            Self::Release { name, .. } => write!(f, "release ReplicaSet {name}"),
            Self::Create(set) => {
                write!(
                    f,
                    "create ReplicaSet {} with {} pods as revision {}",
                    set.name, set.replicas, set.revision
                )
            }
            Self::Change(change) => write_change(f, change),
            Self::Delete { name, .. } => write!(f, "delete ReplicaSet {name}"),
            Self::ScaleWorkload(scale) => write!(
                f,
                "scale Deployment {} from {} to {}",
                scale.name, scale.from, scale.to
            ),
            Self::Evict(pod) => write!(f, "evict Pod {}", pod.name),
            Self::ChangePod(change) => write!(f, "label Pod {}", change.pod.name),
            Self::Switch { service, from, to } => {
                write!(
                    f,
                    "switch Service {service} from {} to {to}",
                    from.as_deref().unwrap_or("everything")
                )
            }
            Self::Route(goal) => goal.fmt(f),
            Self::StartRun { run_type, hash, .. } => {
                write!(f, "start {} analysis of {hash}", run_type.label())
            }
            Self::TerminateRun(run) => write!(f, "terminate AnalysisRun {}", run.name),
            Self::DeleteRun(run) => write!(f, "delete AnalysisRun {}", run.name),
            Self::SetFlags { config_map, edits } => {
                let flags: Vec<&str> = edits.iter().map(|edit| edit.at.flag.as_str()).collect();
                write!(f, "edit {} in ConfigMap {config_map}", flags.join(", "))
            }
            Self::StartExperiment(start) => {
                write!(f, "create the Experiment of step {}", start.index)
            }
            Self::TerminateExperiment { name } => write!(f, "terminate Experiment {name}"),
            Self::DeleteExperiment { name } => write!(f, "delete Experiment {name}"),
        }
    }
}

fn write_change(f: &mut fmt::Formatter<'_>, change: &ReplicaSetChange) -> fmt::Result {
    match change.replicas {
        Some(to) => write!(
            f,
            "scale ReplicaSet {} from {} to {to}",
            change.name, change.from
        )?,
        None => write!(f, "annotate ReplicaSet {}", change.name)?,
    }
    for (key, value) in &change.annotations {
        let short = key.rsplit('/').next().unwrap_or(key);
        match value {
            Some(value) => write!(f, ", {short}={value}")?,
            None => write!(f, ", no {short}")?,
        }
    }
    if let Some(seconds) = change.min_ready {
        write!(f, ", minReadySeconds={seconds}")?;
    }
    if change.template.is_some() {
        f.write_str(", with other metadata of its pods")?;
    }
    Ok(())
}

/// The edits of flags as actions, one for each ConfigMap.
pub(super) fn set_flags(edits: &[FlagEdit]) -> Vec<Action> {
    let mut actions: Vec<Action> = Vec::new();
    for edit in edits {
        let known = actions.iter_mut().find_map(|action| match action {
            Action::SetFlags { config_map, edits } if *config_map == edit.at.config_map => {
                Some(edits)
            }
            _ => None,
        });
        match known {
            Some(edits) => edits.push(edit.clone()),
            None => actions.push(Action::SetFlags {
                config_map: edit.at.config_map.clone(),
                edits: vec![edit.clone()],
            }),
        }
    }
    actions
}
