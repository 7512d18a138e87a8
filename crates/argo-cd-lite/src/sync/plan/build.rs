//! From targets and live objects to tasks.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{Task, TaskKind, order};
use crate::{
    api::{ResourceRef, SyncOperation, Time},
    clusters::{Live, ResourceId},
    render::{Target, TargetSet},
    sync::{SyncOptions, SyncPhase},
};

/// What tasks are built from.
pub struct BuildInput<'a> {
    /// What Git describes.
    pub targets: &'a TargetSet,
    /// Live objects that the application tracks or that its targets name.
    pub live: &'a dyn Fn(&ResourceId) -> Option<Arc<Live>>,
    /// Tracked objects that Git does not describe and that may be pruned.
    pub prune_candidates: &'a [(ResourceId, Arc<Live>)],
    /// The request.
    pub sync: &'a SyncOperation,
    /// Options of the application and of the request.
    pub options: &'a SyncOptions,
    /// Commit, for the names of generated hooks.
    pub revision: &'a str,
    /// Start of the operation, for the same.
    pub started: Time,
    /// A person has confirmed the prunes of this operation.
    pub confirmed: bool,
    /// True when the object of this target needs no change.
    pub in_sync: &'a dyn Fn(&ResourceId) -> bool,
}

/// Builds the tasks of a sync, in order.
pub fn build(input: &BuildInput<'_>) -> Vec<Task> {
    let partial = !input.sync.resources.is_empty();
    let apply_only = input
        .sync
        .sync_strategy
        .is_some_and(|strategy| strategy.apply.is_some());
    let mut tasks = Vec::new();
    let mut generated = HashMap::new();
    for (index, target) in input.targets.targets.iter().enumerate() {
        match &target.settings.hook {
            Some(hook) if hook.skip || partial || apply_only => {}
            Some(hook) => {
                for phase in &hook.phases {
                    let id = hook_id(input, target, *phase, &mut generated);
                    tasks.push(hook_task(input, index, *phase, id));
                }
            }
            None if is_asked_for(input, &target.id) && !is_left_alone(input, &target.id) => {
                tasks.push(plain_task(input, index, target));
            }
            None => {}
        }
    }
    for (id, live) in input.prune_candidates {
        if is_asked_for(input, id) {
            tasks.push(prune_task(input, id, live));
        }
    }
    let last = input.options.has("PruneLast=true");
    order::reverse_prunes(&mut tasks, |task| {
        task.is_delete() && (last || task.settings.options.has("PruneLast=true"))
    });
    order::lift(&mut tasks, |index| {
        let (group, kind) = input.targets.targets.get(index)?.defines.as_ref()?;
        Some((group.to_string(), kind.to_string()))
    });
    order::sort(&mut tasks);
    drop_repeated(&mut tasks);
    tasks
}

/// True when the request names no objects, or this one.
fn is_asked_for(input: &BuildInput<'_>, id: &ResourceId) -> bool {
    let fits = |wanted: &ResourceRef| {
        *wanted.group == *id.kind.group
            && *wanted.kind == *id.kind.kind
            && *wanted.name == *id.name
            && (wanted.namespace.is_empty() || *wanted.namespace == *id.namespace)
    };
    input.sync.resources.is_empty() || input.sync.resources.iter().any(fits)
}

/// What identifies a hook. `generated` counts the names that were made before, because several hooks may have one
/// `generateName`.
fn hook_id(
    input: &BuildInput<'_>,
    target: &Target,
    phase: SyncPhase,
    generated: &mut HashMap<ResourceId, usize>,
) -> ResourceId {
    let Some(prefix) = &target.generate_name else {
        return target.id.clone();
    };
    let name = hook_name(prefix, input.revision, phase, input.started);
    let id = ResourceId {
        name: name.as_str().into(),
        ..target.id.clone()
    };
    let count = generated.entry(id.clone()).or_insert(0);
    *count += 1;
    match *count {
        1 => id,
        count => ResourceId {
            name: format!("{name}-{count}").into(),
            ..id
        },
    }
}

fn hook_task(input: &BuildInput<'_>, index: usize, phase: SyncPhase, id: ResourceId) -> Task {
    let target = &input.targets.targets[index];
    Task {
        live: (input.live)(&id),
        version: target.version.clone(),
        kind: TaskKind::Hook(index),
        phase,
        wave: target.settings.wave,
        settings: target.settings.clone(),
        id,
    }
}

/// The name of a hook with `generateName`: the same for one operation, whatever happens in between.
pub fn hook_name(prefix: &str, revision: &str, phase: SyncPhase, started: Time) -> String {
    let short: String = revision.chars().take(7).collect();
    format!(
        "{prefix}{short}-{}-{}",
        phase.word().to_lowercase(),
        started.seconds()
    )
}

fn plain_task(input: &BuildInput<'_>, index: usize, target: &Target) -> Task {
    Task {
        id: target.id.clone(),
        version: target.version.clone(),
        kind: TaskKind::Apply(index),
        phase: SyncPhase::Sync,
        wave: target.settings.wave,
        settings: target.settings.clone(),
        live: (input.live)(&target.id),
    }
}

/// True when only what differs was asked for, and this object does not.
fn is_left_alone(input: &BuildInput<'_>, id: &ResourceId) -> bool {
    input.options.has("ApplyOutOfSyncOnly=true")
        && (input.in_sync)(id)
        && (input.live)(id).is_some()
}

fn prune_task(input: &BuildInput<'_>, id: &ResourceId, live: &Arc<Live>) -> Task {
    let settings = live.settings();
    let kept = settings.options.has("Prune=false") || input.options.has("Prune=false");
    let confirm = settings.options.has("Prune=confirm") || input.options.has("Prune=confirm");
    let confirm = confirm && !input.confirmed;
    let kind = if !input.sync.prune {
        TaskKind::SkipPrune("ignored (requires pruning)")
    } else if kept {
        TaskKind::SkipPrune("ignored (no prune)")
    } else if confirm {
        TaskKind::ConfirmPrune
    } else {
        TaskKind::Prune
    };
    Task {
        id: id.clone(),
        version: live.version.clone(),
        kind,
        phase: SyncPhase::Sync,
        wave: settings.wave,
        settings,
        live: Some(live.clone()),
    }
}

/// One result row per object and phase; a second task for the same row could not be distinguished.
fn drop_repeated(tasks: &mut Vec<Task>) {
    let mut seen: HashSet<(ResourceId, SyncPhase)> = HashSet::new();
    tasks.retain(|task| seen.insert((task.id.clone(), task.phase)));
}
