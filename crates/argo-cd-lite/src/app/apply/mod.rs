//! Effects, and what they brought.

mod hooks;
mod namespace;
mod object;
mod tasks;

use std::sync::Arc;

use super::{Context, ObserveError, Observed, plan::Action};
use crate::{
    api::ResourceResult,
    cluster::{Live, ResourceId},
};

/// What an action brought.
#[derive(Clone, Debug)]
pub enum Applied {
    /// Results of tasks.
    Tasks(Tasks),
    /// Objects as they are now; `None` for those that are gone.
    Objects(Vec<(ResourceId, Option<Arc<Live>>)>),
    /// Result of a namespace.
    Namespace(Box<ResourceResult>),
    /// Nothing to report.
    Done,
}

/// Results of tasks.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    /// One per task that was tried.
    pub outcomes: Vec<Outcome>,
    /// A rehearsal was refused, so nothing was changed.
    pub refused: bool,
    /// Only a rehearsal was asked for.
    pub dry_run: bool,
}

/// Result of one task.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The object.
    pub id: ResourceId,
    /// The row for the operation's result.
    pub row: ResourceResult,
    /// The object as it is now.
    pub after: After,
    /// The object is now what Git says.
    pub same: bool,
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
    match action {
        Action::EnsureNamespace { name, metadata } => {
            namespace::ensure(context, name, metadata.as_ref())
                .await
                .map(|row| Applied::Namespace(Box::new(row)))
        }
        Action::Run(run) => tasks::run(context, observed, run).await.map(Applied::Tasks),
        Action::Hooks(list) => hooks::settle(context, list).await.map(Applied::Objects),
        Action::Conclude(phase, dry_run) => {
            context.metrics.synced(
                &observed.key,
                observed.spec.project_name(),
                *phase,
                *dry_run,
            );
            context.notes.set_settle(&observed.key, None);
            Ok(Applied::Done)
        }
        Action::Delete {
            objects,
            foreground,
        } => hooks::delete_all(context, objects, *foreground)
            .await
            .map(Applied::Objects),
    }
}
