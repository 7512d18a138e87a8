//! What to do about a Sensor.

use std::fmt;

use jiff::Timestamp;
use reconcile_core::reconcile::Plan;

use super::Observed;

/// Upstream's finalizer. It is never added here: what the bus keeps for a deleted Sensor is removed
/// without holding the object back. An object that upstream has marked must be let go, though.
pub const FINALIZER: &str = "sensor-controller";

/// One effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Let deletion continue.
    RemoveFinalizer,
    /// Run the triggers of the spec.
    Run,
    /// Run nothing; the bus keeps what comes meanwhile.
    Pause,
    /// Leave it to another process, with what the bus keeps for it.
    Leave,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RemoveFinalizer => write!(f, "remove finalizer {FINALIZER}"),
            Self::Run => f.write_str("run the triggers"),
            Self::Pause => f.write_str("pause"),
            Self::Leave => f.write_str("leave it to another process"),
        }
    }
}

/// Decides.
pub fn plan(observed: &Observed, _: Timestamp) -> Plan<Action> {
    let mut plan = Plan::new();
    if observed.object.meta.deleting {
        plan.act(Action::Pause);
        if observed.object.meta.has(FINALIZER) {
            plan.act(Action::RemoveFinalizer);
        }
        plan.note("deleted");
        return plan;
    }
    if let Some(elsewhere) = &observed.elsewhere {
        plan.act(Action::Leave);
        plan.note(elsewhere.to_string());
        return plan;
    }
    match (&observed.spec, &observed.bus) {
        (Err(_), _) => {
            plan.act(Action::Pause);
            plan.note("the spec cannot be used");
        }
        (Ok(_), None) => {
            plan.act(Action::Pause);
            plan.note(format!("waits for EventBus {}", observed.bus_key.name));
        }
        (Ok((sensor, _)), Some(_)) => {
            plan.act(Action::Run);
            plan.note(match sensor.triggers.len() {
                1 => "1 trigger".to_owned(),
                count => format!("{count} triggers"),
            });
        }
    }
    plan
}
