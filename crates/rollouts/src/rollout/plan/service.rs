//! Switches of Service selectors.

use super::{action::Action, planner::Planner};

/// Points a Service at a set when that has pods to serve with: one when the Service is managed already,
/// all of them when it is taken over.
pub(super) fn point(planner: &mut Planner<'_>, service: &str, index: usize) {
    let Some(view) = planner.services.get(service) else {
        return;
    };
    let set = &planner.replica_sets[index];
    let ready = if view.managed_by.is_some() {
        set.dependable() > 0
    } else {
        set.replicas > 0 && set.dependable() >= set.replicas
    };
    if ready || planner.observed.spec.replicas == 0 {
        let hash = set.view.hash.clone();
        switch(planner, service, &hash);
    }
}

/// Switches a Service to a hash, whether or not pods have it.
pub(super) fn switch(planner: &mut Planner<'_>, service: &str, hash: &str) {
    let owner = planner
        .observed
        .root
        .metadata
        .name
        .clone()
        .unwrap_or_default();
    let Some(view) = planner.services.get_mut(service) else {
        return;
    };
    if view.hash.as_deref() == Some(hash) && view.managed_by.as_ref() == Some(&owner) {
        return;
    }
    let from = view.hash.replace(hash.to_owned());
    view.managed_by = Some(owner);
    planner.note(format!("Service {service} selects {hash}"));
    let to = hash.to_owned();
    let replaced = planner
        .switches
        .iter_mut()
        .find(|action| matches!(action, Action::Switch { service: name, .. } if name == service));
    match replaced {
        Some(Action::Switch { to: old, .. }) => *old = to,
        _ => planner.switches.push(Action::Switch {
            service: service.to_owned(),
            from,
            to,
        }),
    }
}
