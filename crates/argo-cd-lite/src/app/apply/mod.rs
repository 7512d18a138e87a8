//! Effects, and what they brought.

mod hooks;
mod namespace;
mod object;
mod refusal;
mod tasks;
mod write;

use std::sync::Arc;

use jiff::Timestamp;
use reconcile_core::{error::error_chain, object::ObjectKey};
use tokio::runtime::Handle;

use super::{Context, ObserveError, Observed, Place, plan::Action};
use crate::{
    api::ResourceResult,
    clusters::{Live, ResourceId, instance_name},
    metrics::SyncEnd,
    sync::plan::{HookObject, Task},
};

/// What an action brought.
#[derive(Clone, Debug)]
pub enum Applied {
    /// Results of tasks.
    Tasks(TaskOutcomes),
    /// Objects as they are now; `None` for those that are gone.
    Objects(Vec<(ResourceId, Option<Arc<Live>>)>),
    /// Result of a namespace.
    Namespace(Box<ResourceResult>),
    /// Nothing to report.
    Done,
}

/// Results of tasks.
#[derive(Clone, Debug, Default)]
pub struct TaskOutcomes {
    /// One per task that was tried.
    pub outcomes: Vec<TaskOutcome>,
    /// A dry run was refused, so nothing was changed.
    pub refused: bool,
    /// Only a dry run was asked for.
    pub dry_run: bool,
}

/// Result of one task.
#[derive(Clone, Debug)]
pub struct TaskOutcome {
    /// The object.
    pub id: ResourceId,
    /// The row for the operation's result.
    pub row: ResourceResult,
    /// The object as it is now.
    pub after: After,
    /// The object is now what Git says.
    pub same: bool,
}

impl TaskOutcome {
    /// A task after which nothing new is known of its object.
    fn unknown(task: &Task, row: ResourceResult) -> Self {
        Self {
            id: task.id.clone(),
            row,
            after: After::Unknown,
            same: false,
        }
    }
}

/// What is known of an object after a task.
#[derive(Clone, Debug)]
pub enum After {
    /// Nothing new.
    Unknown,
    /// It is not there any more.
    Gone,
    /// It is like this.
    Is(Arc<Live>),
}

/// Carries out one action.
pub(super) async fn apply(
    context: &Context,
    observed: &Observed,
    action: &Action,
) -> Result<Applied, ObserveError> {
    if let Action::Conclude(phase) = action {
        context.metrics.synced(&SyncEnd {
            app: &observed.key,
            project: observed.spec.project_name(),
            server: observed.server(),
            phase: *phase,
            dry_run: false,
            seconds: since_begin(observed, context.clock.now()),
        });
        context.notes.set_settle(&observed.key, None);
        return Ok(Applied::Done);
    }
    let cluster = context.cluster(observed)?;
    let claim = context.authority.claim_of(&observed.key);
    let claim = claim.ok_or(ObserveError::NotHeld)?;
    let client = match observed.sync_user.as_ref() {
        Ok(user) => cluster.writer(&claim, user.as_deref()),
        Err(error) => return Err(error.clone().into()),
    };
    let at = Place {
        context,
        cluster: &cluster,
        client: &client,
    };
    cluster.connection.guard(act(at, observed, action)).await
}

/// Takes the finalizer off the hooks of an Application that is gone and left its objects behind: nobody else would, and
/// their namespace could not be deleted.
pub(super) fn release_hooks(context: &Context, app: &ObjectKey) {
    let (Some(cluster), Some(claim), Ok(runtime)) = (
        context.clusters.of(app),
        context.authority.claim_of(app),
        Handle::try_current(),
    ) else {
        return;
    };
    let instance = instance_name(app, &context.settings.control_plane);
    let hooks: Vec<HookObject> = (cluster.live.of_instance(&instance).into_iter())
        .filter(|(_, live)| live.hook_finalizer)
        .map(|(id, live)| HookObject {
            id,
            uid: live.uid.to_string(),
            finalizer: true,
            delete: false,
        })
        .collect();
    if hooks.is_empty() {
        return;
    }
    let (context, app) = (context.clone(), app.clone());
    runtime.spawn(async move {
        let _held = claim.work();
        let at = Place {
            context: &context,
            cluster: &cluster,
            client: &cluster.writer(&claim, None),
        };
        match hooks::settle(at, &hooks).await {
            Ok(_) => tracing::info!(application = %app, count = hooks.len(), "hooks of a deleted Application released"),
            Err(error) => {
                let error = error_chain(&error);
                tracing::warn!(application = %app, error, "cannot release the hooks of a deleted Application");
            }
        }
    });
}

/// Seconds since the operation in work began; 0 for one that begins in this pass.
fn since_begin(observed: &Observed, now: Timestamp) -> f64 {
    let state = observed.status.operation_state.as_ref();
    let started = state
        .filter(|state| !state.phase.completed())
        .and_then(|state| state.started_at);
    started.map_or(0.0, |started| {
        now.duration_since(started.timestamp()).as_secs_f64()
    })
}

/// Carries out an action on the cluster of the Application.
async fn act(at: Place<'_>, observed: &Observed, action: &Action) -> Result<Applied, ObserveError> {
    match action {
        Action::EnsureNamespace { name, metadata } => {
            namespace::ensure(at, name, metadata.as_ref())
                .await
                .map(|row| Applied::Namespace(Box::new(row)))
        }
        Action::Run(run) => tasks::run(at, observed, run).await.map(Applied::Tasks),
        Action::Hooks(list) => hooks::settle(at, list).await.map(Applied::Objects),
        // Needs no cluster.
        Action::Conclude(_) => Ok(Applied::Done),
        Action::CreateHooks { hooks, deletion } => hooks::create_all(at, observed, hooks, deletion)
            .await
            .map(Applied::Objects),
        Action::Delete {
            objects,
            foreground,
        } => hooks::delete_all(at, objects, *foreground)
            .await
            .map(Applied::Objects),
    }
}
