//! The end of an application that owns its objects: highest wave first, one wave at a time.

use std::sync::Arc;

use reconcile_core::reconcile::Plan;

use super::Action;
use crate::{
    api::RESOURCES_FINALIZER,
    app::Observed,
    cluster::{Live, ResourceId},
    sync::SyncOptions,
};

/// What is left to do before the application may go.
#[derive(Clone, Debug, PartialEq)]
pub enum Remains {
    /// No finalizer of ours: nothing.
    NotOurs,
    /// Objects of this wave must be deleted, or are being deleted.
    Wave(Vec<(ResourceId, Arc<Live>)>),
    /// Hooks that would run at the deletion and are not supported, so that nothing may be deleted.
    Hooks,
    /// Nothing; the finalizer can go.
    Nothing,
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
    if !observed
        .finalizers
        .iter()
        .any(|name| is_resources_finalizer(name))
    {
        return Remains::NotOurs;
    }
    if observed.deletion_hooks {
        return Remains::Hooks;
    }
    let mut left: Vec<(ResourceId, Arc<Live>)> = observed
        .live
        .iter()
        .filter(|(id, live)| is_deleted_with(observed, id, live))
        .map(|(id, live)| (id.clone(), live.clone()))
        .collect();
    // Whatever is on its way must be gone before the next wave begins.
    let Some(highest) = left
        .iter()
        .filter(|(_, live)| live.deleting)
        .map(|(_, live)| wave(live))
        .max()
        .or_else(|| left.iter().map(|(_, live)| wave(live)).max())
    else {
        return Remains::Nothing;
    };
    left.retain(|(_, live)| wave(live) == highest || live.deleting);
    left.sort_by(|a, b| a.0.cmp(&b.0));
    Remains::Wave(left)
}

fn wave(live: &Live) -> i32 {
    live.settings.as_ref().map_or(0, |settings| settings.wave)
}

/// Objects that go with the application: its own, unless they say otherwise. Definitions of kinds are
/// spared, because other objects of the kind would go with them.
fn is_deleted_with(observed: &Observed, id: &ResourceId, live: &Live) -> bool {
    let settings = live.settings();
    let kept = settings.keep || keeps(&settings.options) || keeps(&options_of(observed));
    live.belongs_to(&observed.instance)
        && live
            .tracking
            .as_ref()
            .is_some_and(|tracking| tracking.describes(id))
        && !live.owned
        && !kept
        && &*id.kind.kind != "CustomResourceDefinition"
}

/// `Delete=confirm` is not supported yet; what asks for it stays.
fn keeps(options: &SyncOptions) -> bool {
    options.has("Delete=false") || options.has("Delete=confirm")
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
        Remains::Hooks => plan.note("deletion waits: its hooks are not supported yet"),
        Remains::Nothing => plan.note("deletion: no object is left"),
        Remains::Wave(_) if !observed.live_complete => {
            plan.note("deletion waits until all live objects are known");
        }
        Remains::Wave(left) => {
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
                .map(|(id, live)| crate::sync::plan::HookObject {
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
    }
    plan
}
