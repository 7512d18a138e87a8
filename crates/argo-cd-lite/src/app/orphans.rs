//! Objects in the destination namespace that no Application manages: a warning, and what the tree shows.

use std::collections::HashSet;

use jiff::Timestamp;

use super::{Observed, Place, Problem};
use crate::{clusters::ResourceId, project::Project};

/// The orphaned objects of a namespace.
pub(super) struct Orphans {
    /// What identifies them, sorted.
    pub(super) objects: Vec<ResourceId>,
    /// When the namespace is read again.
    next: Timestamp,
}

/// Counts the orphaned objects of the destination namespace, when the project asks for that.
pub(super) async fn warn(at: Place<'_>, observed: &mut Observed) {
    let name = observed.spec.project_name();
    let count = |count| at.context.metrics.orphans(&observed.key, name, count);
    let Some(orphans) = find(at, observed, Project::warns_of_orphans).await else {
        return count(None);
    };
    let number = orphans.objects.len();
    count(Some(number));
    observed.look_again = Some(orphans.next);
    if number > 0 {
        observed.problems.push(Problem::remark(
            "OrphanedResourceWarning",
            format!("Application has {number} orphaned resources"),
        ));
    }
}

/// The orphaned objects of the destination namespace, where the project wants them.
pub(super) async fn find(
    at: Place<'_>,
    observed: &Observed,
    wants: impl Fn(&Project) -> bool,
) -> Option<Orphans> {
    let namespace = &observed.spec.destination.namespace;
    let known = at.context.project(observed.spec.project_name());
    let known = known.filter(|known| wants(&known.project) && !namespace.is_empty())?;
    let cluster = at.cluster.destination();
    let managed = at.context.argo.current().managed.clone();
    let now = at.context.clock.now();
    let inventory = &at.cluster.inventory;
    let found = inventory
        .unmanaged(namespace, &managed, &cluster.server, now)
        .await;
    // An object that Git describes is on its way to a mark.
    let described: HashSet<&ResourceId> = (observed.source.ready().into_iter())
        .flat_map(|(_, set)| set.targets.iter().map(|target| &target.id))
        .collect();
    let objects = (found.objects.iter())
        .filter(|id| !described.contains(id) && known.project.is_orphan(cluster, id));
    Some(Orphans {
        objects: objects.cloned().collect(),
        next: found.next,
    })
}
