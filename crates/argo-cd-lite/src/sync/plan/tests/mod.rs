//! Steps of a sync, in examples and in a simulation.

mod simulation;
mod steps;

use std::{collections::BTreeMap, sync::Arc};

use serde_json::json;

use super::*;
use crate::{
    api::{SyncOperation, Time},
    clusters::{Live, Tracking},
    health::Health,
    render::{Placement, Scope, TargetSet, build as build_targets},
    sync::{SyncOptions, SyncPhase, SyncSettings},
};

/// Mark of the operation in these tests.
const OPERATION: &str = "0-0";

/// An object: kind, name, annotations without their prefix.
pub(super) type Object<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

/// Targets from short descriptions. Names that end in `-` become `generateName`.
pub(super) fn targets(objects: &[Object<'_>]) -> TargetSet {
    let manifests = objects
        .iter()
        .map(|(kind, name, annotations)| {
            let api = if *kind == "Job" { "batch/v1" } else { "v1" };
            let key = if name.ends_with('-') { "generateName" } else { "name" };
            let annotations: BTreeMap<String, &str> = annotations
                .iter()
                .map(|(key, value)| (format!("argocd.argoproj.io/{key}"), *value))
                .collect();
            json!({"apiVersion": api, "kind": kind, "metadata": {key: name, "annotations": annotations}})
        })
        .collect();
    let placement = Placement {
        instance: "app".into(),
        namespace: "ns".into(),
        ..Placement::default()
    };
    build_targets(manifests, &placement, |_, kind| {
        if kind == "Namespace" {
            Scope::Cluster
        } else {
            Scope::Namespaced
        }
    })
}

/// A live object of the application.
pub(super) fn live(
    id: &ResourceId,
    health: Option<Code>,
    operation: Option<&str>,
    settings: SyncSettings,
) -> Arc<Live> {
    Arc::new(Live {
        uid: format!("uid-{}", id.name).into(),
        version: "v1".into(),
        tracking: Tracking::parse(&crate::clusters::tracking_id("app", id, "ns")).map(Box::new),
        owned: false,
        deleting: false,
        hook_finalizer: operation.is_some(),
        health: health.map(Health::of),
        hash: 1,
        update_hash: 1,
        settings: (!settings.is_plain()).then(|| Box::new(settings)),
        operation: operation.map(Into::into),
        images: Vec::new(),
    })
}

pub(super) type LiveMap = BTreeMap<ResourceId, Arc<Live>>;

/// Tasks for targets and live objects.
pub(super) fn tasks(
    set: &TargetSet,
    live: &LiveMap,
    sync: &SyncOperation,
    options: &[&str],
) -> Vec<Task> {
    let described: Vec<&ResourceId> = set.targets.iter().map(|target| &target.id).collect();
    let prune_candidates: Vec<(ResourceId, Arc<Live>)> = live
        .iter()
        .filter(|(id, live)| !described.contains(id) && !live.settings().is_hook())
        .map(|(id, live)| (id.clone(), live.clone()))
        .collect();
    let options = SyncOptions::from_list(options.iter().copied());
    build(&BuildInput {
        targets: set,
        live: &|id| live.get(id).cloned(),
        prune_candidates: &prune_candidates,
        sync,
        options: &options,
        revision: "0123456789",
        started: Time::new(jiff::Timestamp::UNIX_EPOCH),
        confirmed: false,
        in_sync: &|_| false,
    })
}

/// Tasks that apply so many ConfigMaps.
pub(super) fn apply_tasks(count: usize) -> Vec<Task> {
    let names: Vec<String> = (0..count).map(|at| format!("map-{at:05}")).collect();
    let objects: Vec<Object<'_>> = names
        .iter()
        .map(|name| ("ConfigMap", name.as_str(), [].as_slice()))
        .collect();
    let sync = SyncOperation::default();
    tasks(&targets(&objects), &LiveMap::new(), &sync, &[])
}

/// The order of tasks, in one line each.
pub(super) fn order(tasks: &[Task]) -> Vec<String> {
    tasks.iter().map(ToString::to_string).collect()
}
