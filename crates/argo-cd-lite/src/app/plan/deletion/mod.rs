//! The end of an application: its `PreDelete` hooks, its objects, highest wave first, then its `PostDelete` hooks.

mod hooks;

pub use hooks::{HookStage, has_hook_finalizer, is_hook_finalizer};

use std::sync::Arc;

use reconcile_core::reconcile::Plan;

use super::Action;
use crate::{
    api::RESOURCES_FINALIZER,
    app::Observed,
    clusters::{Live, ResourceId},
    sync::{DeletionPhase, SyncOptions, plan::HookObject},
};

/// What is left to do before the application may go.
#[derive(Clone, Debug, PartialEq)]
pub enum Remains {
    /// No finalizer of ours: nothing.
    NotOurs,
    /// Hooks of a phase have not run.
    Hooks(HookStage),
    /// Objects whose deletion a person must confirm; nothing is deleted before.
    Unconfirmed(Vec<ResourceId>),
    /// Objects of this wave must be deleted, or are being deleted.
    Wave(Vec<(ResourceId, Arc<Live>)>),
    /// Objects of hooks that go at the end.
    Cleanup(Vec<HookObject>),
    /// No controller handles these finalizers any more.
    Finalizers(Vec<String>),
}

/// True for the finalizers that make the objects go with the application.
pub fn is_resources_finalizer(name: &str) -> bool {
    name == RESOURCES_FINALIZER
        || name
            .strip_prefix(RESOURCES_FINALIZER)
            .is_some_and(|rest| matches!(rest, "/foreground" | "/background"))
}

/// True when objects are deleted without waiting for their dependents.
pub fn is_background(observed: &Observed) -> bool {
    observed
        .finalizers
        .iter()
        .any(|name| name.strip_prefix(RESOURCES_FINALIZER) == Some("/background"))
}

/// What is left of an application that is being deleted.
pub fn remains(observed: &Observed) -> Remains {
    let ours: Vec<String> = observed
        .finalizers
        .iter()
        .filter(|name| is_resources_finalizer(name) || hooks::is_hook_finalizer(name))
        .cloned()
        .collect();
    if ours.is_empty() {
        return Remains::NotOurs;
    }
    if observed.destination.is_err() {
        // As upstream: what is on a cluster that nobody knows stays there, and does not hold up the Application.
        return Remains::Finalizers(ours);
    }
    if let Some(left) = hooks::remains(observed, DeletionPhase::PreDelete) {
        return left;
    }
    if let Some(left) = objects(observed) {
        return left;
    }
    if let Some(left) = hooks::remains(observed, DeletionPhase::PostDelete) {
        return left;
    }
    let cleanup = hooks::cleanup(observed);
    if cleanup.is_empty() {
        Remains::Finalizers(ours)
    } else {
        Remains::Cleanup(cleanup)
    }
}

/// The objects that are left, when they go with the application.
fn objects(observed: &Observed) -> Option<Remains> {
    observed
        .finalizers
        .iter()
        .find(|name| is_resources_finalizer(name))?;
    let mut left: Vec<(ResourceId, Arc<Live>)> = observed
        .live
        .iter()
        .filter(|(id, live)| is_deleted_with(observed, id, live))
        .map(|(id, live)| (id.clone(), live.clone()))
        .collect();
    left.sort_by(|a, b| a.0.cmp(&b.0));
    let since = observed.deleted_at.map(crate::api::Time::new);
    if !observed.is_confirmed_since(since) {
        let all = needs_confirmation(&options_of(observed));
        let unconfirmed: Vec<ResourceId> = left
            .iter()
            .filter(|(_, live)| !live.deleting && (all || live.settings().needs_confirmation()))
            .map(|(id, _)| id.clone())
            .collect();
        if !unconfirmed.is_empty() {
            return Some(Remains::Unconfirmed(unconfirmed));
        }
    }
    // Whatever is on its way must be gone before the next wave begins.
    let highest = left
        .iter()
        .filter(|(_, live)| live.deleting)
        .map(|(_, live)| wave(live))
        .max()
        .or_else(|| left.iter().map(|(_, live)| wave(live)).max())?;
    left.retain(|(_, live)| wave(live) == highest || live.deleting);
    Some(Remains::Wave(left))
}

fn wave(live: &Live) -> i32 {
    live.settings.as_ref().map_or(0, |settings| settings.wave)
}

/// Objects that go with the application: its own, unless they say otherwise. Definitions of kinds are
/// spared, because other objects of the kind would go with them; hooks of the deletion go at its end.
fn is_deleted_with(observed: &Observed, id: &ResourceId, live: &Live) -> bool {
    let settings = live.settings();
    let kept = settings.keep
        || settings.options.has("Delete=false")
        || options_of(observed).has("Delete=false");
    live.belongs_to(&observed.instance)
        && live
            .tracking
            .as_ref()
            .is_some_and(|tracking| tracking.describes(id))
        && !live.owned
        && !observed.handed_over.contains(id)
        && !kept
        && !hooks::is_deletion_hook(observed, live)
        && &*id.kind.kind != "CustomResourceDefinition"
}

fn needs_confirmation(options: &SyncOptions) -> bool {
    options.has("Delete=confirm") || options.has("Prune=confirm")
}

fn options_of(observed: &Observed) -> SyncOptions {
    let policy = observed.spec.sync_policy.as_ref();
    let options = policy.map(|policy| policy.sync_options.as_slice());
    SyncOptions::from_list(options.unwrap_or_default().iter().map(String::as_str))
}

/// Plans a pass over an application that is being deleted.
pub(super) fn plan(observed: &Observed, remains: &Remains) -> Plan<Action> {
    let mut plan = Plan::new();
    match remains {
        Remains::NotOurs => plan.note("deletion: the objects stay"),
        Remains::Finalizers(names) => {
            if let Err(error) = &observed.destination {
                plan.note(format!("deletion: the objects stay, {error}"));
            }
            plan.note(format!("deletion: done with {}", names.join(", ")));
        }
        _ if !observed.live_complete => {
            plan.note("deletion waits until all live objects are known");
        }
        Remains::Hooks(stage) => stage.plan(observed, &mut plan),
        Remains::Unconfirmed(objects) => {
            plan.note(format!(
                "deletion waits for a confirmation of {} objects",
                objects.len()
            ));
        }
        Remains::Cleanup(hooks) => {
            plan.note(format!("deletion: {} hooks are removed", hooks.len()));
            plan.act(Action::Hooks(hooks.clone()));
        }
        Remains::Wave(left) => wave_plan(observed, left, &mut plan),
    }
    plan
}

fn wave_plan(observed: &Observed, left: &[(ResourceId, Arc<Live>)], plan: &mut Plan<Action>) {
    let objects: Vec<(ResourceId, String)> = left
        .iter()
        .filter(|(_, live)| !live.deleting)
        .map(|(id, live)| (id.clone(), live.uid.to_string()))
        .collect();
    plan.note(format!(
        "deletion: {} objects of this wave are left",
        left.len()
    ));
    if !objects.is_empty() {
        plan.act(Action::Delete {
            objects,
            foreground: !is_background(observed),
        });
    }
    let hooks: Vec<_> = left
        .iter()
        .filter(|(_, live)| live.hook_finalizer)
        .map(|(id, live)| HookObject {
            id: id.clone(),
            uid: live.uid.to_string(),
            finalizer: true,
            delete: false,
        })
        .collect();
    if !hooks.is_empty() {
        plan.act(Action::Hooks(hooks));
    }
}
