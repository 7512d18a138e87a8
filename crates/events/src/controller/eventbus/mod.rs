//! EventBus: deploys a JetStream or uses the one that it names, keeps a connection to it, and says whether it can be
//! used.

mod apply;
pub mod deployment;
mod observe;
pub mod plan;
pub mod status;
pub mod validate;

use std::sync::Arc;

use jiff::Timestamp;
use reconcile_core::{
    clock::Clock,
    object::{ObjectKey, Root},
    reconcile::{Controller, Done, Plan, Report},
};

pub use deployment::BusDefaults;
pub use observe::{Credentials, Observed, credentials};
pub use plan::Action;

use super::{ControllerContext, ReconcileError, conditions};
use crate::api::EventBus;

/// The controller of `EventBuses`.
pub struct EventBusController {
    /// What the controllers share.
    pub context: ControllerContext,
    /// Defaults of buses that are deployed.
    pub defaults: Arc<BusDefaults>,
    /// The clock.
    pub clock: Clock,
}

impl Controller for EventBusController {
    type Kind = EventBus;
    type Observed = Observed;
    type Action = Action;
    type Decision = Plan<Action>;
    type Applied = ();
    type Error = ReconcileError;

    const NAME: &'static str = "eventbus-controller";
    // Event sources publish on every replica.
    const EVERY_REPLICA: bool = true;

    fn is_local(action: &Action) -> bool {
        matches!(action, Action::Connect(_) | Action::Disconnect)
    }

    async fn observe(&self, root: &Root<EventBus>) -> Result<Observed, ReconcileError> {
        self.look(root).await
    }

    fn plan(observed: &Observed, now: Timestamp) -> Plan<Action> {
        plan::plan(observed, now)
    }

    async fn apply(&self, observed: &Observed, action: &Action) -> Result<(), ReconcileError> {
        self.carry_out(observed, action).await
    }

    fn report(
        observed: &Observed,
        plan: &Plan<Action>,
        done: &[Done<(), ReconcileError>],
        now: Timestamp,
    ) -> Report {
        let failure = conditions::failure(done);
        status::report(observed, plan, failure.as_deref(), now)
    }

    fn forget(&self, key: &ObjectKey) {
        self.context.pool.remove(key);
        self.context.bus_changed(key);
    }
}
