//! What a pass would observe of an Application, for those who show it. Nothing is planned or written.

use std::{collections::HashSet, sync::Arc};

use reconcile_core::object::{ObjectKey, Root};

use super::{
    Context, ObserveError, Observed, Place,
    live_state::{compare, live_of, note_handed_over},
    observe::{begin, validate_spec},
    orphans::find,
    source::read_git,
};
use crate::{
    api::Application,
    clusters::{Cluster, ClusterError, ResourceId},
    project::Project,
};

/// Both sides of an Application, and its cluster.
pub struct Inspection {
    /// What a pass would see.
    pub observed: Observed,
    /// The cluster of the destination.
    pub cluster: Arc<Cluster>,
}

/// Objects in the destination namespace that no Application manages, when the project looks for them.
pub async fn orphans(context: &Context, inspection: &Inspection) -> Vec<ResourceId> {
    let at = Place {
        context,
        cluster: &inspection.cluster,
        client: &inspection.cluster.reads,
    };
    let found = find(at, &inspection.observed, Project::tells_orphans).await;
    found.map(|found| found.objects).unwrap_or_default()
}

/// Looks at an Application as the last pass did: at the refs that are known, and with the live objects of now. `None`
/// when there is no such Application, or none that is reconciled.
pub async fn inspect(
    context: &Context,
    key: &ObjectKey,
) -> Result<Option<Inspection>, ObserveError> {
    let Some(root) = context.roots.get(key) else {
        return Ok(None);
    };
    let mut observed = begin(context, &root);
    if observed.skip.is_some() {
        return Ok(None);
    }
    // Requests are for the passes.
    (observed.operation, observed.refresh) = (None, None);
    observed.spec = root.parse_spec()?;
    let resolved = context.clusters.resolve(&observed.spec.destination);
    let spec = resolved.map_err(ClusterError::Unusable)?;
    observed.destination = Ok(spec.destination.clone());
    // A pass opens it.
    let cluster = context.clusters.get(&spec.destination)?;
    let at = Place {
        context,
        cluster: &cluster,
        client: &cluster.reads,
    };
    let looked = cluster.connection.guard(look(at, &root, &mut observed));
    let looked = Box::pin(looked).await;
    if context.roots.get(key).is_none() {
        // It was deleted meanwhile, and nothing may be kept for it.
        context.forget(key);
    }
    looked?;
    Ok(Some(Inspection { observed, cluster }))
}

async fn look(
    at: Place<'_>,
    root: &Root<Application>,
    observed: &mut Observed,
) -> Result<(), ObserveError> {
    at.cluster.discovery.ensure().await?;
    if observed.deleting {
        live_of(at, observed, &HashSet::new()).await?;
        note_handed_over(at, observed);
        return Ok(());
    }
    validate_spec(at.context, root, observed);
    if !observed.problems.iter().any(|problem| problem.blocks) {
        read_git(at, observed, None).await?;
    }
    compare(at, observed).await
}
