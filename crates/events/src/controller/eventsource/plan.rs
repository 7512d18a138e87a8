//! What to do about an EventSource.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use reconcile_core::reconcile::Plan;

use super::{Observed, validate::CheckedSpec};
use crate::controller::dedicated::Elsewhere;

/// Upstream's finalizer. It is added only where something is to be removed at a service; an object that upstream has
/// marked must be let go, though.
pub const FINALIZER: &str = "eventsource-controller";
/// Secrets are read again this often, because they are not watched.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(60);
/// So soon while a part cannot run, for example because a port is taken.
const LOOK_SOON: SignedDuration = SignedDuration::from_secs(10);

/// One effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Have deletion wait for what is removed at services.
    AddFinalizer,
    /// Remove at services what deleted events have registered.
    RemoveRegistered,
    /// Let deletion continue.
    RemoveFinalizer,
    /// Serve what the spec asks for.
    Run,
    /// Serve nothing.
    Stop,
    /// Make the Service what it should be; remove it when none is asked for.
    Service,
    /// Have the Service lead to this replica, as long as one is asked for.
    Endpoints,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddFinalizer => write!(f, "add finalizer {FINALIZER}"),
            Self::RemoveRegistered => f.write_str("remove what deleted events have registered"),
            Self::RemoveFinalizer => write!(f, "remove finalizer {FINALIZER}"),
            Self::Run => f.write_str("serve the events"),
            Self::Stop => f.write_str("stop serving"),
            Self::Service => f.write_str("apply the Service"),
            Self::Endpoints => f.write_str("publish the endpoints of this replica"),
        }
    }
}

/// Decides.
pub fn plan(observed: &Observed, now: Timestamp) -> Plan<Action> {
    let mut plan = Plan::new();
    if observed.object.meta.deleting {
        plan.act(Action::Stop);
        if observed.published {
            plan.act(Action::Endpoints);
        }
        if observed.object.meta.has(FINALIZER) {
            let_go(observed, &mut plan);
        }
        plan.note("deleted");
        return plan;
    }
    if let Some(elsewhere) = &observed.elsewhere {
        plan.act(Action::Stop);
        if observed.published {
            plan.act(Action::Endpoints);
        }
        plan.note(elsewhere.to_string());
        return plan;
    }
    let Ok(spec) = &observed.spec else {
        plan.act(Action::Stop);
        if observed.published {
            plan.act(Action::Endpoints);
        }
        plan.note("the spec cannot be used");
        return plan;
    };
    let registrations = &observed.registrations;
    let registered = !registrations.records().is_empty();
    if registered && !observed.object.meta.has(FINALIZER) {
        plan.act(Action::AddFinalizer);
        plan.note("events have registered at services what goes with them");
    }
    if observed.bus.is_some() {
        plan.act(Action::Run);
        plan.note(format!(
            "{} webhooks, {} other events",
            observed.source.webhooks.len(),
            observed.source.tasks.len()
        ));
    } else {
        plan.act(Action::Stop);
        plan.note(format!("waits for EventBus {}", spec.bus));
    }
    if !observed.service_done {
        plan.act(Action::Service);
        plan.note(if observed.source.service {
            "the Service is not applied yet"
        } else {
            "no Service is asked for"
        });
    }
    if spec.service.is_some() || observed.published {
        plan.act(Action::Endpoints);
    }
    if !registrations.stale.is_empty() && registrations.removal.is_none() {
        plan.act(Action::RemoveRegistered);
        plan.note("deleted events have left something at services");
    }
    let again = |after| now.saturating_add(after).unwrap_or(now);
    if !observed.missing.is_empty() {
        plan.wake_at(again(LOOK_SOON));
    }
    if uses_secrets(spec) {
        plan.wake_at(again(LOOK_AGAIN));
    }
    plan
}

/// True when Secrets may change what the events need.
fn uses_secrets(spec: &CheckedSpec) -> bool {
    let webhooks = spec.webhooks.iter();
    let mut secrets = webhooks.map(|(_, secrets)| !secrets.is_empty());
    let mut tasks = spec.tasks.iter();
    secrets.any(|some| some) || tasks.any(|task| !task.source.secrets().is_empty())
}

/// What a deleted object waits for.
fn let_go(observed: &Observed, plan: &mut Plan<Action>) {
    let registrations = &observed.registrations;
    if registrations.stale.is_empty() || registrations.left().is_some() {
        plan.act(Action::RemoveFinalizer);
        return;
    }
    if registrations.removal.is_some() {
        plan.note("waits for the removal of what its events have registered");
        return;
    }
    match observed.elsewhere {
        // They remove it.
        Some(Elsewhere::Pod | Elsewhere::Shared) => {
            plan.note("what its events have registered is removed elsewhere");
        }
        Some(Elsewhere::PodMissing(_)) | None => plan.act(Action::RemoveRegistered),
    }
}
