//! What to do for one Application; a plain function of what was observed.

pub mod automated;
pub mod compare;
pub mod decide;
pub mod deletion;
mod refusal;
pub mod retry;
pub mod state;
mod step;
mod tasks;
mod windows;

pub use step::{OperationStep, Start};

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use reconcile_core::reconcile::Plan;

use super::{Observed, Skip, SourceState};
use crate::{
    api::{ManagedNamespaceMetadata, Phase},
    clusters::ResourceId,
    sync::{
        SyncOptions,
        plan::{HookObject, Task},
    },
};
use decide::{SyncDecision, decide};
use deletion::{Remains, remains};

/// Pause before a retry of what no watch reports: a kind that the cluster does not serve, a repository that cannot be
/// fetched.
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
    /// Create hooks that run at the deletion.
    CreateHooks {
        /// Positions of the targets, with the names of the objects.
        hooks: Vec<(usize, ResourceId)>,
        /// Identifies the hooks of this deletion.
        deletion: String,
    },
    /// The operation has ended; for the metrics.
    Conclude(Phase),
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
    pub dry_run: Vec<Task>,
    /// Do nothing but the dry run.
    pub dry_run_only: bool,
    /// Groups, one after another.
    pub groups: Vec<Vec<Task>>,
    /// Success ends the operation.
    pub last: bool,
    /// Options of the sync.
    pub options: SyncOptions,
    /// Delete and create instead of changing.
    pub force: bool,
    /// Identifies the hooks of this operation.
    pub operation: String,
    /// Use the targets of the operation's own revision.
    pub own_source: bool,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EnsureNamespace { name, .. } => write!(f, "ensure namespace {name}"),
            Self::Run(run) => {
                if !run.dry_run.is_empty() {
                    write!(f, "dry run of {} tasks; ", run.dry_run.len())?;
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
            Self::CreateHooks { hooks, .. } => {
                let names: Vec<String> = hooks.iter().map(|(_, id)| id.to_string()).collect();
                write!(f, "create hooks: {}", names.join(", "))
            }
            Self::Conclude(phase) => write!(f, "conclude {}", phase.word()),
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

/// What a pass decides.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// The Application asks not to be reconciled.
    Skip(Plan<Action>),
    /// The Application is being deleted.
    Delete {
        /// Effects, next wake-up, reasons.
        plan: Plan<Action>,
        /// What is left to delete.
        remains: Remains,
    },
    /// Git was compared with the cluster.
    Sync(Box<SyncDecision>),
}

impl AsRef<Plan<Action>> for Decision {
    fn as_ref(&self) -> &Plan<Action> {
        match self {
            Self::Skip(plan) | Self::Delete { plan, .. } => plan,
            Self::Sync(decision) => &decision.plan,
        }
    }
}

/// Decides about a pass.
pub(super) fn plan(observed: &Observed, now: Timestamp) -> Decision {
    if let Some(why) = &observed.skip {
        let mut plan = Plan::new();
        plan.note(match why {
            Skip::SwitchedOff => "reconciliation is switched off by annotation",
            Skip::Connecting => "waits for the first answer of its cluster",
            Skip::Busy => "waits for other passes over its cluster",
            Skip::Original(_) => "an application controller of Argo CD runs",
        });
        return Decision::Skip(plan);
    }
    if observed.deleting {
        let remains = remains(observed);
        let plan = deletion::plan(observed, &remains);
        return Decision::Delete { plan, remains };
    }
    let mut decision = decide(observed, now);
    let fetch_failed = matches!(
        observed.source,
        SourceState::Failed {
            transient: true,
            ..
        }
    );
    // No watch reports that a kind appears, and the poll of refs does not repeat a fetch that failed.
    if fetch_failed || !observed.unserved.is_empty() {
        let at = now.saturating_add(UNTOLD_RETRY).unwrap_or(now);
        decision.plan.wake_at(at);
    }
    if let Some(refresh) = observed.hard_refresh {
        decision.plan.wake_at(refresh.next);
    }
    if let Some(at) = observed.look_again {
        decision.plan.wake_at(at);
    }
    Decision::Sync(Box::new(decision))
}
