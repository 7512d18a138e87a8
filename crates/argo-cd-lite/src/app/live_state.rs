//! The live side of an Application: its objects, and whether they are what Git says.

use std::{collections::HashSet, sync::Arc};

use futures::{StreamExt, stream};
use kube::core::GroupVersionKind;
use reconcile_core::{
    apply::{get, resource_of},
    object::ObjectKey,
};

use super::{ObserveError, Observed, Place, Problem};
use crate::{
    clusters::{GroupKind, Live, Lookup, ResourceId},
    render::{Scope, TargetSet},
};

/// Comparisons of one application that run at the same time.
const COMPARISONS: usize = 16;

/// Reads the live objects and compares the targets with them.
pub(super) async fn compare(at: Place<'_>, observed: &mut Observed) -> Result<(), ObserveError> {
    let sets: Vec<Arc<TargetSet>> = [Some(&observed.source), observed.sync_source.as_ref()]
        .into_iter()
        .flatten()
        .filter_map(|source| source.ready().map(|(_, set)| set.clone()))
        .collect();
    let mut kinds: HashSet<GroupKind> = HashSet::new();
    for set in &sets {
        kinds.extend(set.targets.iter().map(|target| target.id.kind.clone()));
    }
    find_unserved(at, observed, &kinds).await?;
    live_of(at, observed, &kinds).await?;
    follow(at, observed, &sets).await?;
    for set in &sets {
        check_permissions(at, observed, set);
    }
    if let Some((_, set)) = observed.source.ready() {
        let set = set.clone();
        observed.same = same(at, observed, &set).await?;
    }
    observed.create_namespace = namespace_is_missing(at, observed).await?;
    observed.namespace_refused = namespace_refusal(at, observed);
    Ok(())
}

async fn find_unserved(
    at: Place<'_>,
    observed: &mut Observed,
    kinds: &HashSet<GroupKind>,
) -> Result<(), ObserveError> {
    let missing = || -> HashSet<GroupKind> {
        kinds
            .iter()
            .filter(|kind| at.cluster.discovery.preferred(kind).is_none())
            .cloned()
            .collect()
    };
    observed.unserved = missing();
    if !observed.unserved.is_empty() {
        at.cluster.discovery.refresh().await?;
        observed.unserved = missing();
    }
    Ok(())
}

/// Reads the live objects of `kinds` and of every kind in the status.
pub(super) async fn live_of(
    at: Place<'_>,
    observed: &mut Observed,
    kinds: &HashSet<GroupKind>,
) -> Result<(), ObserveError> {
    let mut kinds = kinds.clone();
    kinds.extend(
        observed
            .status
            .resources
            .iter()
            .map(|row| GroupKind::new(row.group.as_str(), row.kind.as_str())),
    );
    let results = observed
        .status
        .operation_state
        .as_ref()
        .and_then(|state| state.sync_result.as_ref());
    // Plain objects have a row in the status already; hooks may have none yet.
    let hooks = results
        .into_iter()
        .flat_map(|result| &result.resources)
        .filter(|row| !row.hook_type.is_empty());
    kinds.extend(hooks.map(|row| GroupKind::new(row.group.as_str(), row.kind.as_str())));
    // What is excluded is neither compared nor pruned, also when it was managed before.
    let managed = at.context.argo.current().managed.clone();
    let server = &*at.cluster.destination().server;
    let is_managed = |kind: &GroupKind| !managed.kinds.excludes(&kind.group, &kind.kind, server);
    kinds.retain(is_managed);
    at.cluster.live.ensure(&kinds).await?;
    observed.live = at
        .cluster
        .live
        .of_instance(&observed.instance)
        .into_iter()
        .filter(|(id, _)| is_managed(&id.kind))
        .collect();
    keep_permitted(at, observed);
    observed.live_complete = true;
    Ok(())
}

/// Leaves out live objects that the project does not permit: they are neither compared nor deleted, whoever
/// put the application's name on them. A project that cannot be read permits as much as none.
fn keep_permitted(at: Place<'_>, observed: &mut Observed) {
    let known = at
        .context
        .project(observed.spec.project_name())
        .filter(|known| !known.blocks());
    if let Some(known) = known {
        let project = &known.project;
        observed
            .live
            .retain(|id, _| project.permits_object(at.cluster.destination(), id));
    }
}

/// Makes sure that live objects with the names of targets are in the index, whoever made them.
async fn follow(
    at: Place<'_>,
    observed: &mut Observed,
    sets: &[Arc<TargetSet>],
) -> Result<(), ObserveError> {
    let mut ids: Vec<ResourceId> = sets
        .iter()
        .flat_map(|set| &set.targets)
        .filter(|target| target.generate_name.is_none())
        .map(|target| target.id.clone())
        .collect();
    ids.sort();
    ids.dedup();
    // A new application that syncs by itself will apply everything in this very pass, whatever is there.
    let lookup = if observed.spec.automated().is_none() || observed.status.sync.is_some() {
        Lookup::Read
    } else {
        Lookup::Skip
    };
    let released = at
        .cluster
        .live
        .follow(&observed.key, ids.clone(), lookup)
        .await?;
    at.cluster.differ.cache().forget(&released);
    if observed.is_hard() {
        at.cluster.differ.cache().forget(&ids);
    }
    for id in ids {
        if !observed.live.contains_key(&id)
            && let Some(live) = at.cluster.live.get(&id)
        {
            observed.live.insert(id, live);
        }
    }
    keep_permitted(at, observed);
    note_shared_definitions(at, observed);
    note_handed_over(at, observed);
    Ok(())
}

/// Finds objects with our mark that another application describes. One that we describe too stays ours while we are not
/// being deleted.
pub(super) fn note_handed_over(at: Place<'_>, observed: &mut Observed) {
    let described: HashSet<ResourceId> = match observed.source.ready() {
        Some((_, set)) if !observed.deleting => {
            set.targets.iter().map(|target| target.id.clone()).collect()
        }
        _ => HashSet::new(),
    };
    let is_handed_over = |id: &ResourceId, live: &Live| {
        live.belongs_to(&observed.instance)
            && !described.contains(id)
            && at
                .cluster
                .live
                .followers(id)
                .iter()
                .any(|app| *app != observed.key && may_manage(at, app, id))
    };
    observed.handed_over = observed
        .live
        .iter()
        .filter(|(id, live)| is_handed_over(id, live))
        .map(|(id, _)| id.clone())
        .collect();
}

/// True when this application lives on and its project permits the object: nobody else can keep objects of others.
fn may_manage(at: Place<'_>, app: &ObjectKey, id: &ResourceId) -> bool {
    let Some(root) = at.context.roots.get(app).filter(|root| !root.is_deleting()) else {
        return false;
    };
    let Ok(spec) = root.parse_spec() else {
        return false;
    };
    let sources = spec.sources();
    at.context
        .project(spec.project_name())
        .is_some_and(|known| {
            let project = &known.project;
            !known.blocks()
                && project.permits_namespace(&app.namespace, &at.context.settings.control_plane)
                && !sources.is_empty()
                && sources
                    .iter()
                    .all(|source| project.permits_repository(&source.repo_url))
                && project.permits_object(at.cluster.destination(), id)
        })
}

/// Finds the definitions of kinds that other applications name, too.
fn note_shared_definitions(at: Place<'_>, observed: &mut Observed) {
    let Some((_, set)) = observed.source.ready() else {
        return;
    };
    let set = set.clone();
    for target in set.targets.iter().filter(|target| target.defines.is_some()) {
        let mut apps = at.cluster.live.followers(&target.id);
        apps.retain(|app| *app != observed.key);
        apps.sort();
        if !apps.is_empty() {
            observed.shared_definitions.insert(target.id.clone(), apps);
        }
    }
}

pub(super) fn check_permissions(at: Place<'_>, observed: &mut Observed, set: &TargetSet) {
    let name = observed.spec.project_name().to_owned();
    let Some(known) = at.context.project(&name) else {
        return;
    };
    let project = &known.project;
    for target in &set.targets {
        let scope = at
            .cluster
            .discovery
            .scope(&target.id.kind.group, &target.id.kind.kind);
        if let Some(prefix) = target
            .generate_name
            .as_ref()
            .filter(|_| !target.settings.is_hook())
        {
            let reason = format!(
                "{} with generateName {prefix}: only hooks may have generated names; set metadata.name",
                target.id.kind
            );
            observed
                .problems
                .push(Problem::remark("InvalidSpecError", reason.clone()));
            observed.refused.insert(target.id.clone(), reason);
        } else if scope == Scope::Namespaced && target.id.namespace.is_empty() {
            let reason = format!(
                "Namespace for {} {} is missing.",
                target.id.name, target.id.kind
            );
            observed
                .problems
                .push(Problem::remark("InvalidSpecError", reason.clone()));
            observed.refused.insert(target.id.clone(), reason);
        } else if let Some(reason) = unmanaged(at, scope, &target.id) {
            observed.problems.push(Problem::comparison(format!(
                "Failed to load live state: {reason}"
            )));
            observed.refused.insert(target.id.clone(), reason);
        } else if scope != Scope::Unserved
            && !project.permits_object(at.cluster.destination(), &target.id)
        {
            observed.refused.insert(
                target.id.clone(),
                format!("{} is not permitted in project {name}", target.id),
            );
        }
    }
}

/// Why the Secret of the cluster leaves an object out.
fn unmanaged(at: Place<'_>, scope: Scope, id: &ResourceId) -> Option<String> {
    let managed = &at.cluster.spec().scope;
    if scope == Scope::Unserved {
        return None;
    }
    managed.refusal(&id.kind.kind, &id.namespace, &id.name)
}

async fn same(
    at: Place<'_>,
    observed: &Observed,
    set: &TargetSet,
) -> Result<HashSet<ResourceId>, ObserveError> {
    let rules = observed
        .ignore_rules()
        .with_settings(&at.context.argo.current());
    let pairs: Vec<(usize, Arc<Live>)> = set
        .targets
        .iter()
        .enumerate()
        .filter(|(_, target)| !target.settings.is_hook() && target.generate_name.is_none())
        .filter_map(|(index, target)| Some((index, observed.live.get(&target.id)?.clone())))
        .collect();
    let mut verdicts = stream::iter(pairs)
        .map(|(index, live)| {
            let rules = &rules;
            async move {
                let target = &set.targets[index];
                let served = at
                    .cluster
                    .discovery
                    .version(&target.id.kind, &target.version)
                    .or_else(|| at.cluster.discovery.preferred(&target.id.kind));
                let Some(served) = served else {
                    return Ok((index, false));
                };
                at.cluster
                    .differ
                    .same(target, &live, &served.resource, rules)
                    .await
                    .map(|same| (index, same))
            }
        })
        .buffer_unordered(COMPARISONS);
    let mut same = HashSet::new();
    while let Some(verdict) = verdicts.next().await {
        let (index, is_same) = verdict?;
        if is_same {
            same.insert(set.targets[index].id.clone());
        }
    }
    Ok(same)
}

/// Why the project does not allow that the destination namespace is created or labelled.
fn namespace_refusal(at: Place<'_>, observed: &Observed) -> Option<String> {
    let name = observed.spec.destination.namespace.as_str();
    if name.is_empty() || !observed.sync_options().has("CreateNamespace=true") {
        return None;
    }
    let known = at.context.project(observed.spec.project_name())?;
    let project = &known.project;
    let id = ResourceId::new("", "Namespace", "", name);
    (!project.permits_object(at.cluster.destination(), &id)).then(|| {
        format!(
            "Namespace {name} is not permitted in project {}: CreateNamespace and managedNamespaceMetadata need it in clusterResourceWhitelist",
            project.name
        )
    })
}

/// True when a sync would have to create the destination namespace.
async fn namespace_is_missing(at: Place<'_>, observed: &Observed) -> Result<bool, ObserveError> {
    let name = observed.spec.destination.namespace.as_str();
    let options = observed.sync_options();
    if name.is_empty() || !options.has("CreateNamespace=true") || at.cluster.knows_namespace(name) {
        return Ok(false);
    }
    let resource = resource_of(&GroupVersionKind::gvk("", "v1", "Namespace"), "namespaces");
    let found = get(at.client, &resource, &ObjectKey::new("", name)).await?;
    if found.is_some() {
        at.cluster.namespace_exists(name);
    } else {
        at.cluster.namespace_is_missing(name);
    }
    Ok(found.is_none())
}
