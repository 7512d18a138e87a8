//! The values that are made of what the controller knows: read when they are asked for, and kept nowhere.

mod cluster;
mod hosts;
mod managed;
mod masked;
mod network;
mod node;
mod owned;
mod read;
mod tree;

use std::collections::{BTreeMap, HashMap};

use futures::{FutureExt, future::BoxFuture};
use kube::api::DynamicObject;
use reconcile_core::error::error_chain;
use serde_json::Value;

use super::{AnswerError, LiveAnswers};
use crate::{
    app::{Context, Inspection, inspect, orphans_of},
    clusters::{ResourceId, instance_owner},
};
use hosts::Hosts;
use managed::{ManagedObject, rows};
use read::read_objects;
use tree::{RootObject, Tree};

/// Orphaned objects of one tree.
const MAX_ORPHANS: usize = 1000;

/// Answers from the controller.
pub struct ControllerAnswers {
    context: Context,
    hosts: Hosts,
}

/// An error with its causes.
fn failed(error: &(dyn std::error::Error + 'static)) -> AnswerError {
    AnswerError::Failed(error_chain(error))
}

fn json(value: &Value) -> Result<Option<Vec<u8>>, AnswerError> {
    let text = serde_json::to_vec(value).map_err(|error| failed(&error))?;
    Ok(Some(text))
}

impl ControllerAnswers {
    /// Answers from this controller.
    pub fn new(context: Context) -> Self {
        Self {
            context,
            hosts: Hosts::default(),
        }
    }

    async fn inspect(&self, instance: &str) -> Result<Option<Inspection>, AnswerError> {
        let key = instance_owner(instance, &self.context.settings.control_plane);
        inspect(&self.context, &key)
            .await
            .map_err(|error| failed(&error))
    }

    async fn tree_of(&self, instance: &str) -> Result<Option<Vec<u8>>, AnswerError> {
        let Some(inspection) = self.inspect(instance).await? else {
            return Ok(None);
        };
        let (context, cluster) = (&self.context, &inspection.cluster);
        let objects = live_objects(&inspection).await?;
        let mut orphans = orphans_of(context, &inspection).await;
        orphans.truncate(MAX_ORPHANS);
        let orphans = read_objects(cluster, orphans).await?;
        let known = objects.values().chain(orphans.values());
        let owned = owned::read(cluster, known).await?;
        let roots = roots(&inspection, objects);
        let tree = Tree::new(roots, orphan_roots(orphans), owned, &context.checks());
        let labels = context.argo.current().node_labels.clone();
        let now = context.clock.now();
        let hosts = self.hosts.of_tree(cluster, &tree.hosted, &labels, now);
        json(&tree.to_value(&hosts.await))
    }

    async fn managed_of(&self, instance: &str) -> Result<Option<Vec<u8>>, AnswerError> {
        let Some(inspection) = self.inspect(instance).await? else {
            return Ok(None);
        };
        let objects = live_objects(&inspection).await?;
        let settings = self.context.argo.current();
        let rules = inspection.observed.ignore_rules().with_settings(&settings);
        let objects = managed_objects(&inspection, objects).await?;
        json(&rows(objects, &rules))
    }
}

impl LiveAnswers for ControllerAnswers {
    fn tree(&self, instance: String) -> BoxFuture<'_, Result<Option<Vec<u8>>, AnswerError>> {
        async move { self.tree_of(&instance).await }.boxed()
    }

    fn managed(&self, instance: String) -> BoxFuture<'_, Result<Option<Vec<u8>>, AnswerError>> {
        async move { self.managed_of(&instance).await }.boxed()
    }

    fn cluster(&self, server: String) -> BoxFuture<'_, Result<Option<Vec<u8>>, AnswerError>> {
        async move {
            match cluster::info(&self.context, &server) {
                Some(info) => json(&info),
                None => Ok(None),
            }
        }
        .boxed()
    }
}

/// The live objects of an Application as they are stored.
async fn live_objects(
    inspection: &Inspection,
) -> Result<HashMap<ResourceId, DynamicObject>, AnswerError> {
    let observed = &inspection.observed;
    let ids = observed
        .live
        .keys()
        .filter(|id| !observed.handed_over.contains(id));
    read_objects(&inspection.cluster, ids.cloned().collect()).await
}

/// Orphaned objects, sorted by name.
fn orphan_roots(objects: HashMap<ResourceId, DynamicObject>) -> Vec<RootObject> {
    let roots = objects.into_iter().map(|(id, object)| {
        let version = object.types.as_ref().map_or("", |types| {
            let text = types.api_version.as_str();
            text.rsplit_once('/').map_or(text, |(_, version)| version)
        });
        RootObject {
            version: version.into(),
            id,
            object: Some(object),
        }
    });
    let mut roots: Vec<RootObject> = roots.collect();
    roots.sort_by(|a, b| a.id.cmp(&b.id));
    roots
}

/// The objects at the top of the tree: those that are there, and those that are missing.
fn roots(
    inspection: &Inspection,
    mut objects: HashMap<ResourceId, DynamicObject>,
) -> Vec<RootObject> {
    let observed = &inspection.observed;
    let mut roots: BTreeMap<ResourceId, RootObject> = BTreeMap::new();
    if let Some((_, set)) = observed.source.ready() {
        let plain = set
            .targets
            .iter()
            .filter(|target| !target.settings.is_hook() && target.generate_name.is_none());
        for target in plain {
            let missing = RootObject {
                id: target.id.clone(),
                version: target.version.clone(),
                object: None,
            };
            roots.insert(target.id.clone(), missing);
        }
    }
    for (id, live) in &observed.live {
        if let Some(object) = objects.remove(id) {
            let root = RootObject {
                id: id.clone(),
                version: live.version.clone(),
                object: Some(object),
            };
            roots.insert(id.clone(), root);
        }
    }
    roots.into_values().collect()
}

/// Both sides of each object, with what the server would make of it where they differ.
async fn managed_objects(
    inspection: &Inspection,
    mut objects: HashMap<ResourceId, DynamicObject>,
) -> Result<Vec<ManagedObject>, AnswerError> {
    let (observed, cluster) = (&inspection.observed, &inspection.cluster);
    let mut managed = Vec::new();
    if let Some((_, set)) = observed.source.ready() {
        for target in &set.targets {
            let live = objects.remove(&target.id);
            let is_hook = target.settings.is_hook();
            if (is_hook && live.is_none()) || target.generate_name.is_some() {
                continue;
            }
            let live = live.and_then(|live| serde_json::to_value(live).ok());
            let same = observed.same.contains(&target.id) || (is_hook && live.is_some());
            let served = cluster.discovery.version(&target.id.kind, &target.version);
            let predicted = match (&live, served) {
                (Some(live), Some(served)) if !same => {
                    let asked = cluster.differ.predict(target, live, &served.resource).await;
                    Some(asked.map_err(|error| failed(&error))?)
                }
                _ => None,
            };
            managed.push(ManagedObject {
                id: target.id.clone(),
                target: Some(target.value()),
                live,
                predicted,
                hook: is_hook,
                same,
            });
        }
    }
    for (id, object) in objects {
        managed.push(ManagedObject {
            id,
            target: None,
            live: serde_json::to_value(object).ok(),
            predicted: None,
            hook: false,
            same: false,
        });
    }
    Ok(managed)
}
