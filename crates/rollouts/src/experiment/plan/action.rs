//! The effects a plan may ask for.

use std::fmt;

use jiff::Timestamp;
use reconcile_core::event::EventNote;

use crate::analysis::build::NewRun;

/// One effect.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Create the ReplicaSet of a template.
    CreateReplicaSet {
        /// The template.
        template: String,
        /// Name of the ReplicaSet.
        name: String,
        /// Pods to begin with.
        replicas: i32,
    },
    /// Scale a ReplicaSet, or change when it is to be scaled down.
    Change(SetChange),
    /// Create the Service of a template.
    CreateService {
        /// The template.
        template: String,
        /// Name of the Service.
        name: String,
    },
    /// Delete the Service of a template.
    DeleteService {
        /// Its name.
        name: String,
    },
    /// Start an analysis.
    StartRun {
        /// The analysis.
        analysis: String,
        /// The run.
        run: Box<NewRun>,
    },
    /// Ask an AnalysisRun to end.
    TerminateRun {
        /// The analysis.
        analysis: String,
        /// Name of the run.
        name: String,
    },
}

/// A change of a ReplicaSet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetChange {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Pods that it should have had so far.
    pub from: i32,
    /// Pods that it should have.
    pub replicas: Option<i32>,
    /// When it is to be scaled down.
    pub deadline: DeadlineChange,
}

/// What becomes of the annotation that says when a ReplicaSet is to be scaled down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadlineChange {
    /// It stays as it is.
    Keep,
    /// It gets this time.
    Set(Timestamp),
    /// It goes.
    Remove,
}

impl Action {
    /// The Events about the action once it is carried out.
    pub fn events(&self) -> Vec<EventNote> {
        match self {
            Self::CreateReplicaSet { name, replicas, .. } => {
                let text = format!("Created ReplicaSet {name} with size {replicas}");
                vec![EventNote::normal("NewReplicaSetCreated", text)]
            }
            Self::Change(SetChange {
                name,
                from,
                replicas: Some(to),
                ..
            }) => {
                let direction = if to > from { "up" } else { "down" };
                let text = format!("Scaled {direction} ReplicaSet {name} from {from} to {to}");
                vec![EventNote::normal("ScalingReplicaSet", text)]
            }
            Self::TerminateRun { analysis, name } => {
                let text = format!("Terminating {analysis} ({name})");
                vec![EventNote::normal("AnalysisRunTerminating", text)]
            }
            Self::Change(_)
            | Self::CreateService { .. }
            | Self::DeleteService { .. }
            | Self::StartRun { .. } => Vec::new(),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateReplicaSet { name, replicas, .. } => {
                write!(f, "create ReplicaSet {name} with {replicas} pods")
            }
            Self::Change(change) => {
                match change.replicas {
                    Some(to) => {
                        let SetChange { name, from, .. } = change;
                        write!(f, "scale ReplicaSet {name} from {from} to {to}")?;
                    }
                    None => write!(f, "annotate ReplicaSet {}", change.name)?,
                }
                match &change.deadline {
                    DeadlineChange::Set(at) => write!(f, ", scale-down-deadline={at}"),
                    DeadlineChange::Remove => write!(f, ", no scale-down-deadline"),
                    DeadlineChange::Keep => Ok(()),
                }
            }
            Self::CreateService { name, .. } => write!(f, "create Service {name}"),
            Self::DeleteService { name } => write!(f, "delete Service {name}"),
            Self::StartRun { analysis, run } => {
                write!(
                    f,
                    "start analysis {analysis} as AnalysisRun {}",
                    run.key.name
                )
            }
            Self::TerminateRun { name, .. } => write!(f, "terminate AnalysisRun {name}"),
        }
    }
}
