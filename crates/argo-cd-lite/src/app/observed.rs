//! Everything that a plan for one Application may look at.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;
use reconcile_core::object::ObjectKey;
use serde_json::value::RawValue;

use super::{HardRefresh, InvalidOperation};
use crate::{
    api::{
        ApplicationSpec, ApplicationStatus, CLEANUP, ManagedNamespaceMetadata, Operation,
        Revisions, SyncResult, SyncWindow, Time,
    },
    clusters::{Destination, DestinationError, GroupKind, Live, ResourceId, Turn},
    diff::{IgnoreRules, WebhookChanges},
    project::ServiceAccountError,
    render::TargetSet,
    sync::{DeletionPhase, SyncOptions},
};

/// A request to look again, from the refresh annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// Ask Git again.
    Normal,
    /// Ask Git again and trust nothing that was rendered or compared before.
    Hard,
}

/// Why nothing is done in a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Skip {
    /// `skip-reconcile` of the Application or of its cluster.
    SwitchedOff,
    /// The cluster has not answered yet.
    Connecting,
    /// Enough other passes work on the cluster.
    Busy,
    /// An application controller of Argo CD runs in this pod.
    Original(Arc<str>),
}

/// A condition to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// One of upstream's condition types.
    pub type_: &'static str,
    /// Message for people.
    pub message: String,
    /// Stops automated syncs.
    pub blocks: bool,
}

impl Problem {
    /// The spec cannot be acted on.
    pub fn invalid_spec(message: impl Into<String>) -> Self {
        Self {
            type_: "InvalidSpecError",
            message: message.into(),
            blocks: true,
        }
    }

    /// Git and cluster cannot be compared.
    pub fn comparison(message: impl Into<String>) -> Self {
        Self {
            type_: "ComparisonError",
            message: message.into(),
            blocks: true,
        }
    }

    /// Something to know that stops nothing.
    pub fn remark(type_: &'static str, message: impl Into<String>) -> Self {
        Self {
            type_,
            message: message.into(),
            blocks: false,
        }
    }
}

/// What Git says.
#[derive(Clone, Debug)]
pub enum SourceState {
    /// The targets at a commit.
    Ready {
        /// The commit of each source.
        revisions: Revisions,
        /// The targets.
        set: Arc<TargetSet>,
    },
    /// They cannot be read.
    Failed {
        /// Why.
        message: String,
        /// It may pass by itself.
        transient: bool,
        /// It has not lasted long: keep the status of before and say nothing yet.
        grace: bool,
    },
    /// The spec is invalid, so Git was not read.
    NotAsked,
}

impl SourceState {
    /// Sources that must not be used, for a reason that does not pass by itself.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::Failed {
            message: message.into(),
            transient: false,
            grace: false,
        }
    }

    /// Commits and targets, when they are known.
    pub fn ready(&self) -> Option<(&Revisions, &Arc<TargetSet>)> {
        match self {
            Self::Ready { revisions, set } => Some((revisions, set)),
            _ => None,
        }
    }
}

/// Everything that a plan may look at.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Name under which objects are tracked.
    pub instance: String,
    /// Namespace of the control plane.
    pub control_plane: String,
    /// The spec, as far as it could be read.
    pub spec: ApplicationSpec,
    /// The status, as far as it could be read.
    pub status: ApplicationStatus,
    /// The status as it is stored; as text, because a tree of a large one takes many times its size.
    pub old_status: Option<Box<RawValue>>,
    /// The request, if there is one, or what is wrong with it.
    pub operation: Option<Result<Operation, InvalidOperation>>,
    /// Deletion was requested.
    pub deleting: bool,
    /// Finalizers as stored.
    pub finalizers: Vec<String>,
    /// Do nothing at all, for this reason.
    pub skip: Option<Skip>,
    /// The cluster that the spec names, or why there is none.
    pub destination: Result<Destination, DestinationError>,
    /// Lets other passes wait while this one works on the cluster.
    pub turn: Option<Turn>,
    /// The refresh annotation.
    pub refresh: Option<Refresh>,
    /// What Git says at the target revision.
    pub source: SourceState,
    /// What Git says at the revision of the operation in work, when that is another one.
    pub sync_source: Option<SourceState>,
    /// Live objects that the application tracks or that its targets name.
    pub live: HashMap<ResourceId, Arc<Live>>,
    /// All live objects are known: only then may anything be deleted.
    pub live_complete: bool,
    /// Targets whose live object needs no change.
    pub same: HashSet<ResourceId>,
    /// Targets that may not be applied, and why.
    pub refused: BTreeMap<ResourceId, String>,
    /// Kinds that the cluster does not serve.
    pub unserved: HashSet<GroupKind>,
    /// What is wrong with the spec, the project or the repository.
    pub problems: Vec<Problem>,
    /// The destination namespace has to be created first.
    pub create_namespace: bool,
    /// Why the destination namespace must not be created or labelled, when it must not.
    pub namespace_refused: Option<String>,
    /// The user that writes on the cluster; `None` is the controller. An error stops every write.
    pub sync_user: Result<Option<String>, ServiceAccountError>,
    /// Objects that carry our mark and that another application describes by now: they are left to it.
    pub handed_over: HashSet<ResourceId>,
    /// Definitions of kinds that other applications bring, too. They carry no mark that says so.
    pub shared_definitions: BTreeMap<ResourceId, Vec<ObjectKey>>,
    /// Sync windows of the project.
    pub windows: Vec<SyncWindow>,
    /// Whether changes by admission webhooks count as differences.
    pub webhook_changes: WebhookChanges,
    /// When the deletion was requested.
    pub deleted_at: Option<Timestamp>,
    /// When a person confirmed prunes and deletions that ask for it.
    pub approved_at: Option<Timestamp>,
    /// Until when the objects of the last wave must be given time.
    pub settle_until: Option<Timestamp>,
    /// Refreshes without caches that come by themselves.
    pub hard_refresh: Option<HardRefresh>,
    /// When what no watch reports is read again.
    pub look_again: Option<Timestamp>,
}

impl Observed {
    /// URL of the cluster; as the spec has it when it leads to none.
    pub fn server(&self) -> &str {
        match &self.destination {
            Ok(destination) => &destination.server,
            Err(_) => &self.spec.destination.server,
        }
    }

    /// The operation in work: the stored one while it has not ended, else the request.
    pub fn current_operation(&self) -> Option<&Operation> {
        let state = self.status.operation_state.as_ref();
        state
            .filter(|state| !state.phase.completed())
            .map(|state| &state.operation)
            .or_else(|| self.operation.as_ref()?.as_ref().ok())
    }

    /// Options of the operation in work, or of the application while there is none.
    pub fn sync_options(&self) -> SyncOptions {
        let operation = self.current_operation();
        let policy = self.spec.sync_policy.as_ref();
        let list = match operation.and_then(|operation| operation.sync.as_ref()) {
            Some(sync) if !sync.sync_options.is_empty() => Some(&sync.sync_options),
            _ => policy.map(|policy| &policy.sync_options),
        };
        SyncOptions::from_list(list.into_iter().flatten().map(String::as_str))
    }

    /// How live objects are compared.
    pub fn ignore_rules(&self) -> IgnoreRules {
        IgnoreRules::new(&self.spec.ignore_differences, self.webhook_changes)
    }

    /// True when a person confirmed prunes and deletions after this time. Times in the API have whole seconds.
    pub fn is_confirmed_since(&self, since: Option<Time>) -> bool {
        let approved = self.approved_at.map(Timestamp::as_second);
        approved.is_some_and(|at| since.is_none_or(|since| at >= since.seconds()))
    }

    /// True for the destination namespace while the application keeps its labels and annotations. Git need
    /// not describe it, and it is never pruned.
    pub fn is_managed_namespace(&self, id: &ResourceId) -> bool {
        self.managed_namespace_metadata().is_some()
            && id.kind.is("", "Namespace")
            && *id.name == *self.spec.destination.namespace
    }

    /// True when caches of this pass do not count.
    pub fn is_hard(&self) -> bool {
        self.refresh == Some(Refresh::Hard) || self.hard_refresh.is_some_and(|refresh| refresh.due)
    }

    /// What the destination namespace should carry.
    pub fn managed_namespace_metadata(&self) -> Option<&ManagedNamespaceMetadata> {
        let policy = self.spec.sync_policy.as_ref()?;
        policy.managed_namespace_metadata.as_ref()
    }

    /// True when the sync with this result gave the namespace something else than the spec says now.
    pub fn namespace_metadata_changed(&self, result: Option<&SyncResult>) -> bool {
        let wanted = self.managed_namespace_metadata();
        wanted.is_some()
            && result.is_some_and(|result| result.managed_namespace_metadata.as_ref() != wanted)
    }

    /// The finalizers with those of the hooks that Git describes; `None` when they need no change.
    pub fn wanted_finalizers(&self) -> Option<Vec<String>> {
        let (_, set) = self.source.ready()?;
        let mut wanted = self.finalizers.clone();
        for phase in DeletionPhase::ALL {
            let has_hook = set.targets.iter().any(|target| target.runs_at(phase));
            for name in [
                phase.finalizer().to_owned(),
                format!("{}{CLEANUP}", phase.finalizer()),
            ] {
                if has_hook && !wanted.contains(&name) {
                    wanted.push(name);
                } else if !has_hook {
                    wanted.retain(|known| *known != name);
                }
            }
        }
        (wanted != self.finalizers).then_some(wanted)
    }

    /// Tracked objects that `set` does not describe and that are ours to delete: they say of themselves
    /// who they are, and no other object owns them.
    pub fn prune_candidates(&self, set: &TargetSet) -> Vec<(ResourceId, Arc<Live>)> {
        let described: HashSet<&ResourceId> = set.targets.iter().map(|target| &target.id).collect();
        let mut prune_candidates: Vec<(ResourceId, Arc<Live>)> = self
            .live
            .iter()
            .filter(|(id, live)| {
                !described.contains(id)
                    && !live.owned
                    && !self.is_managed_namespace(id)
                    && !self.handed_over.contains(id)
                    && live.belongs_to(&self.instance)
                    && live
                        .tracking
                        .as_ref()
                        .is_some_and(|tracking| tracking.describes(id))
            })
            .map(|(id, live)| (id.clone(), live.clone()))
            .collect();
        prune_candidates.sort_by(|a, b| a.0.cmp(&b.0));
        prune_candidates
    }
}
