//! What to do for one Application; a plain function of what was observed.

pub mod automated;
pub mod compare;
pub mod decide;
pub mod deletion;
mod refusal;
pub mod retry;
pub mod state;
mod tasks;

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use reconcile_core::reconcile::Plan;

use super::{Observed, SourceState};
use crate::{
    api::{ManagedNamespaceMetadata, Phase},
    cluster::ResourceId,
    sync::{
        SyncOptions,
        plan::{HookObject, Task},
    },
};
use decide::{Course, decide};

/// Pause before looking again for what nothing tells about: a kind that the cluster does not serve, a
/// repository that cannot be fetched.
const UNTOLD_RETRY: SignedDuration = SignedDuration::from_secs(10);

/// One effect.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Create the destination namespace, or give it the labels and annotations that were asked for.
    EnsureNamespace {
        /// Name.
        name: String,
        /// Labels and annotations.
        metadata: Option<ManagedNamespaceMetadata>,
    },
    /// Carry out tasks of a sync.
    Run(Box<Run>),
    /// Release or delete hooks.
    Hooks(Vec<HookObject>),
    /// The operation has ended; for the metrics.
    Conclude(Phase, bool),
    /// Delete objects of an application that is being deleted.
    Delete {
        /// The objects with their uids.
        objects: Vec<(ResourceId, String)>,
        /// Wait for dependents first.
        foreground: bool,
    },
}

/// Tasks to carry out.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent properties, not a state"
)]
pub struct Run {
    /// To be tried without effect before anything else.
    pub rehearse: Vec<Task>,
    /// Only rehearse.
    pub dry_run: bool,
    /// Groups, one after another.
    pub groups: Vec<Vec<Task>>,
    /// Success ends the operation.
    pub last: bool,
    /// Options of the sync.
    pub options: SyncOptions,
    /// Delete and create instead of changing.
    pub force: bool,
    /// Marks hooks of this operation.
    pub operation: String,
    /// Use the targets of the operation's own revision.
    pub own_source: bool,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EnsureNamespace { name, .. } => write!(f, "ensure namespace {name}"),
            Self::Run(run) => {
                if !run.rehearse.is_empty() {
                    write!(f, "rehearse {} tasks; ", run.rehearse.len())?;
                }
                let tasks: Vec<String> = run
                    .groups
                    .iter()
                    .flatten()
                    .take(8)
                    .map(ToString::to_string)
                    .collect();
                let count: usize = run.groups.iter().map(Vec::len).sum();
                write!(f, "run {count} tasks: {}", tasks.join(", "))?;
                if count > tasks.len() {
                    f.write_str(", …")
                } else {
                    Ok(())
                }
            }
            Self::Hooks(hooks) => {
                let hooks: Vec<String> = hooks.iter().map(ToString::to_string).collect();
                write!(f, "hooks: {}", hooks.join(", "))
            }
            Self::Conclude(phase, _) => write!(f, "conclude {}", phase.word()),
            Self::Delete { objects, .. } => {
                let names: Vec<String> = objects
                    .iter()
                    .take(8)
                    .map(|(id, _)| id.to_string())
                    .collect();
                write!(f, "delete {} objects: {}", objects.len(), names.join(", "))
            }
        }
    }
}

/// Plans a pass.
pub(super) fn plan(observed: &Observed, now: Timestamp) -> Plan<Action> {
    let mut plan = Plan::new();
    if observed.skip {
        plan.note("reconciliation is switched off by annotation");
        return plan;
    }
    if observed.deleting {
        deletion::plan(observed, &mut plan);
        return plan;
    }
    let decision = decide(observed, now);
    for note in &decision.notes {
        plan.note(note.clone());
    }
    if let Some(at) = decision.wake {
        plan.wake_at(at);
    }
    if !observed.unserved.is_empty() {
        // Nothing tells when a kind appears.
        plan.wake_at(now.saturating_add(UNTOLD_RETRY).unwrap_or(now));
    }
    if matches!(
        observed.source,
        SourceState::Failed {
            transient: true,
            ..
        }
    ) {
        // A fetch that failed is not repeated by the poll of refs.
        plan.wake_at(now.saturating_add(UNTOLD_RETRY).unwrap_or(now));
    }
    if let Course::Act { actions, .. } = decision.course {
        for action in actions {
            plan.act(action);
        }
    }
    plan
}
