//! `plan`: the tasks of a sync, in order.

use std::{collections::HashMap, io::Write, path::Path, sync::Arc};

use jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject};
use serde::Serialize;

use super::{CliError, PlanArgs, application, health::write_line, input, source};
use crate::{
    api::{SyncOperation, Time},
    clusters::{Live, ResourceId},
    health::Checks,
    sync::{
        SyncOptions,
        plan::{BuildInput, TaskKind, build},
    },
};

/// One line of the answer.
#[derive(Serialize)]
struct Line<'a> {
    phase: &'static str,
    wave: i32,
    action: &'static str,
    group: &'a str,
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    hook: bool,
}

pub(super) fn run(args: &PlanArgs, out: &mut impl Write) -> Result<(), CliError> {
    let live = match &args.live {
        Some(path) => read_live(path)?,
        None => HashMap::new(),
    };
    for app in application::read(&args.file, &args.source.namespace)? {
        let rendered = source::targets(&app, &args.source, None)?;
        let set = &rendered.set;
        let mut extras: Vec<(ResourceId, Arc<Live>)> = live
            .iter()
            .filter(|(id, object)| {
                let described = set.targets.iter().any(|target| target.id == **id);
                let own = object.tracking.as_ref().is_some_and(|tracking| {
                    tracking.instance == app.placement.instance && tracking.describes(id)
                });
                own && !described && !object.owned && !object.settings().is_hook()
            })
            .map(|(id, object)| (id.clone(), object.clone()))
            .collect();
        extras.sort_by(|a, b| a.0.cmp(&b.0));
        let policy = app.spec.sync_policy.clone().unwrap_or_default();
        let options = SyncOptions::from_list(policy.sync_options.iter().map(String::as_str));
        let sync = SyncOperation {
            prune: policy
                .automated
                .is_none_or(|automated| automated.prune == Some(true)),
            ..SyncOperation::default()
        };
        let tasks = build(&BuildInput {
            targets: set,
            live: &|id| live.get(id).cloned(),
            prune_candidates: &extras,
            sync: &sync,
            options: &options,
            revision: &rendered.revision,
            started: Time::new(Timestamp::UNIX_EPOCH),
            confirmed: false,
            in_sync: &|_| false,
        });
        for task in &tasks {
            let line = Line {
                phase: task.phase.word(),
                wave: task.wave,
                action: match task.kind {
                    TaskKind::Apply(_) | TaskKind::Hook(_) => "apply",
                    TaskKind::Prune => "prune",
                    TaskKind::ConfirmPrune => "confirm-prune",
                    TaskKind::SkipPrune(_) => "skip-prune",
                },
                group: &task.id.kind.group,
                kind: &task.id.kind.kind,
                namespace: &task.id.namespace,
                name: &task.id.name,
                hook: task.is_hook(),
            };
            write_line(out, &line)?;
        }
    }
    Ok(())
}

fn read_live(path: &Path) -> Result<HashMap<ResourceId, Arc<Live>>, CliError> {
    let checks = Checks::default();
    let mut live = HashMap::new();
    for read in input::objects(path)? {
        let object: DynamicObject =
            serde_json::from_value(read.object).map_err(|error| CliError::Input {
                file: read.file.clone(),
                reason: error.to_string(),
            })?;
        let types = object.types.clone().unwrap_or_default();
        let (group, version) = types
            .api_version
            .split_once('/')
            .unwrap_or(("", &types.api_version));
        let resource = ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: types.api_version.clone(),
            kind: types.kind.clone(),
            plural: String::new(),
        };
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let id = ResourceId::new(group, types.kind.as_str(), namespace, name);
        live.insert(id, Arc::new(Live::of(&checks, &resource, &object)));
    }
    Ok(live)
}
