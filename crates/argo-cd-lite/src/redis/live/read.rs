//! Reads objects of a cluster: single ones, or all of a kind in a namespace when many of them are wanted.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{ApiResource, DynamicObject, TypeMeta};
use reconcile_core::apply::{get, list};

use super::failed;
use crate::{
    clusters::{Cluster, GroupKind, ResourceId},
    redis::AnswerError,
};

/// Requests at the same time for one answer.
pub(super) const REQUESTS: usize = 16;
/// From so many objects of a kind in a namespace on, all of them are listed.
const LIST_FROM: usize = 8;

/// Objects of a kind in a namespace.
struct Wanted {
    resource: ApiResource,
    ids: Vec<ResourceId>,
}

/// The objects of these names that are there.
pub(super) async fn read_objects(
    cluster: &Cluster,
    ids: Vec<ResourceId>,
) -> Result<HashMap<ResourceId, DynamicObject>, AnswerError> {
    let mut groups: BTreeMap<(GroupKind, String), Vec<ResourceId>> = BTreeMap::new();
    for id in ids {
        let name = (id.kind.clone(), id.namespace.to_string());
        groups.entry(name).or_default().push(id);
    }
    let mut requests = Vec::new();
    for ((kind, _), ids) in groups {
        let Some(served) = cluster.discovery.preferred(&kind) else {
            continue;
        };
        let resource = served.resource.clone();
        if ids.len() >= LIST_FROM {
            requests.push(Wanted { resource, ids });
        } else {
            requests.extend(ids.into_iter().map(|id| Wanted {
                resource: resource.clone(),
                ids: vec![id],
            }));
        }
    }
    let found: Vec<Vec<(ResourceId, DynamicObject)>> = stream::iter(requests)
        .map(|wanted| read(cluster, wanted))
        .buffer_unordered(REQUESTS)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

async fn read(
    cluster: &Cluster,
    Wanted { resource, ids }: Wanted,
) -> Result<Vec<(ResourceId, DynamicObject)>, AnswerError> {
    if let [id] = ids.as_slice() {
        let found = get(&cluster.reads, &resource, &id.key()).await;
        let found = found.map_err(|error| failed(&error))?;
        let object = found.map(|object| (id.clone(), typed(object, &resource)));
        return Ok(object.into_iter().collect());
    }
    let namespace = ids.first().map(|id| id.namespace.clone());
    let found = list(
        &cluster.reads,
        &resource,
        &namespace.unwrap_or_default(),
        "",
    )
    .await;
    let wanted: HashSet<ResourceId> = ids.into_iter().collect();
    let found = found.map_err(|error| failed(&error))?.into_iter();
    let named = found.map(|object| {
        let metadata = &object.metadata;
        let id = ResourceId::new(
            &resource.group,
            &resource.kind,
            metadata.namespace.clone().unwrap_or_default(),
            metadata.name.clone().unwrap_or_default(),
        );
        (id, typed(object, &resource))
    });
    Ok(named.filter(|(id, _)| wanted.contains(id)).collect())
}

/// The items of a list do not say their kind.
fn typed(mut object: DynamicObject, resource: &ApiResource) -> DynamicObject {
    object.types = Some(TypeMeta {
        api_version: resource.api_version.clone(),
        kind: resource.kind.clone(),
    });
    object
}
