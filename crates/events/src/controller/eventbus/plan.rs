//! What to do about an EventBus.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use reconcile_core::reconcile::Plan;

use super::Observed;
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
    let Some(Ok(config)) = &observed.credentials else {
        // The old connection stays: a slip in a manifest or secret must not stop what runs.
        plan.note("no usable settings; an existing connection is kept");
        if observed.spec.is_ok() {
            plan.wake_at(soon);
        }
        return plan;
    };
    if !observed.object.meta.has(FINALIZER) {
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
