//! The warning of objects in the destination namespace that no Application manages.

use std::collections::HashSet;

use super::{Observed, Place, Problem};
use crate::clusters::ResourceId;

/// Counts the orphaned objects of the destination namespace, when the project asks for that.
pub(super) async fn warn(at: Place<'_>, observed: &mut Observed) {
    let name = observed.spec.project_name();
    let count = |count| at.context.metrics.orphans(&observed.key, name, count);
    let namespace = observed.spec.destination.namespace.clone();
    let known = at.context.project(name);
    let warns = known.filter(|known| known.project.warns_of_orphans() && !namespace.is_empty());
    let Some(known) = warns else {
        return count(None);
    };
    let project = &known.project;
    let cluster = at.cluster.destination();
    let managed = at.context.argo.current().managed.clone();
    let now = at.context.clock.now();
    let inventory = &at.cluster.inventory;
    let found = inventory
        .unmanaged(&namespace, &managed, &cluster.server, now)
        .await;
    // An object that Git describes is on its way to a mark.
    let described: HashSet<&ResourceId> = (observed.source.ready().into_iter())
        .flat_map(|(_, set)| set.targets.iter().map(|target| &target.id))
        .collect();
    let orphans = (found.objects.iter())
        .filter(|id| !described.contains(id) && project.is_orphan(cluster, id));
    let orphans = orphans.count();
    count(Some(orphans));
    observed.look_again = Some(found.next);
    if orphans > 0 {
        observed.problems.push(Problem::remark(
            "OrphanedResourceWarning",
            format!("Application has {orphans} orphaned resources"),
        ));
    }
}
