//! What to do about an EventBus.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use reconcile_core::reconcile::Plan;

use super::{
    Observed,
    deployment::{Deployment, Live, Managed, live::SecretsState, objects::objects, secrets::Place},
};
use crate::bus::{BusConfig, BusState};

/// Held while EventSources or Sensors use the bus, as upstream.
pub const FINALIZER: &str = "eventbus-controller";
/// Secrets are read again this often, because they are not watched.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(300);
/// So soon while the bus is not connected or a secret is missing.
const LOOK_SOON: SignedDuration = SignedDuration::from_secs(10);

/// One effect.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Hold deletion back.
    AddFinalizer,
    /// Let deletion continue.
    RemoveFinalizer,
    /// Make new credentials of a bus that the controller deploys.
    CreateSecrets,
    /// Give clients the certificate authority of servers that upstream has deployed.
    AddAuthority(String),
    /// Make an object of the bus what it should be.
    Deploy(Box<Managed>),
    /// Delete the volumes of a bus that is deleted.
    DeleteVolumes,
    /// Connect, or exchange the connection for one with these settings.
    Connect(Box<BusConfig>),
    /// Drop the connection.
    Disconnect,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddFinalizer => write!(f, "add finalizer {FINALIZER}"),
            Self::RemoveFinalizer => write!(f, "remove finalizer {FINALIZER}"),
            Self::CreateSecrets => f.write_str("create credentials"),
            Self::AddAuthority(_) => f.write_str("add the certificate authority for clients"),
            Self::Deploy(object) => write!(f, "apply {} {}", object.kind, object.name),
            Self::DeleteVolumes => f.write_str("delete volumes"),
            Self::Connect(config) => write!(f, "connect to {}", config.urls.join(",")),
            Self::Disconnect => f.write_str("disconnect"),
        }
    }
}

/// Decides.
pub fn plan(observed: &Observed, now: Timestamp) -> Plan<Action> {
    let mut plan = Plan::new();
    let soon = now.saturating_add(LOOK_SOON).unwrap_or(now);
    if observed.object.meta.deleting {
        if observed.users.is_empty() {
            if observed.connection.is_some() {
                plan.act(Action::Disconnect);
            }
            if observed.object.meta.has(FINALIZER) {
                if deployment(observed).is_some() {
                    plan.act(Action::DeleteVolumes);
                }
                plan.act(Action::RemoveFinalizer);
            }
            plan.note("no EventSource or Sensor uses the bus: deletion continues");
        } else {
            plan.note(format!(
                "deletion waits: used by {}",
                observed.users.join(", ")
            ));
            plan.wake_at(soon);
        }
        return plan;
    }
    if let (Some(deployment), Some(live)) = (deployment(observed), &observed.live) {
        if let Some(foreign) = &live.foreign {
            // Nor are somebody else's credentials used.
            plan.note(format!("{foreign} belongs to somebody else"));
            plan.wake_at(soon);
            return plan;
        }
        deploy(&mut plan, observed, deployment, live);
    }
    let Some(Ok(config)) = &observed.credentials else {
        // The old connection stays: a slip in a manifest or secret must not stop what runs.
        plan.note("no usable settings; an existing connection is kept");
        if observed.spec.is_ok() {
            plan.wake_at(soon);
        }
        return plan;
    };
    if observed.live.is_none() && !observed.object.meta.has(FINALIZER) {
        plan.act(Action::AddFinalizer);
    }
    match &observed.connection {
        Some((current, _)) if current == config => plan.note("connected with these settings"),
        Some(_) => {
            plan.act(Action::Connect(Box::new(config.clone())));
            plan.note("the settings changed");
        }
        None => {
            plan.act(Action::Connect(Box::new(config.clone())));
            plan.note("no connection yet");
        }
    }
    let ready = matches!(&observed.connection, Some((_, BusState::Ready { .. })));
    plan.wake_at(if ready {
        now.saturating_add(LOOK_AGAIN).unwrap_or(now)
    } else {
        soon
    });
    plan
}

fn deployment(observed: &Observed) -> Option<&Deployment> {
    observed.spec.as_ref().ok()?.deployment.as_ref()
}

/// Makes what exists of a bus what it should be.
fn deploy(plan: &mut Plan<Action>, observed: &Observed, deployment: &Deployment, live: &Live) {
    let meta = &observed.object.meta;
    if !meta.has(FINALIZER) {
        plan.act(Action::AddFinalizer);
    }
    match &live.secrets {
        SecretsState::Complete => {}
        SecretsState::NoAuthority(authority) => plan.act(Action::AddAuthority(authority.clone())),
        SecretsState::Missing => plan.act(Action::CreateSecrets),
    }
    let place = Place {
        names: &deployment.names,
        namespace: &meta.key.namespace,
        owner: &live.owner,
    };
    for object in objects(deployment, &place, live.encryption) {
        if live.has(&object) {
            continue;
        }
        plan.note(format!("{} {} differs", object.kind, object.name));
        plan.act(Action::Deploy(Box::new(object)));
    }
    plan.note(format!(
        "{} of {} servers are ready",
        live.ready, deployment.replicas
    ));
}
