//! EventSource: keeps its events served by the data plane, and its Service leading there.

mod apply;
mod observe;
pub mod plan;
pub mod registrations;
pub mod removal;
pub mod service;
pub mod slices;
pub mod status;
pub mod validate;

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use jiff::Timestamp;
use parking_lot::Mutex;
use reconcile_core::{
    object::{ObjectKey, Root},
    reconcile::{Controller, Done, Plan, Report},
};
use serde_json::Value;

pub use observe::Observed;
pub use plan::Action;
pub use removal::Removals;
pub use slices::Slices;

use super::{ControllerContext, ReconcileError, conditions};
use crate::{api::EventSource, replicas::Replica, worker::SourceHealth};

/// The controller of EventSources.
pub struct EventSourceController {
    /// What the controllers share.
    pub context: ControllerContext,
    /// Address under which other pods reach this process; `None` when there is no such address.
    pub address: Option<IpAddr>,
    /// This process among those that serve.
    pub replica: Replica,
    /// Services as they were last applied, so that an unchanged one costs no request.
    pub services: Arc<Mutex<HashMap<ObjectKey, Option<Value>>>>,
    /// `EndpointSlices` of this replica as they were last applied.
    pub slices: Slices,
    /// Removals of what deleted events have registered.
    pub removals: Removals,
    /// Ports that each EventSource names: when they change, EventSources of other namespaces that name
    /// them want a pass.
    pub ports: Arc<Mutex<HashMap<ObjectKey, BTreeSet<u16>>>>,
}

/// What an action brought.
#[derive(Clone, Debug, PartialEq)]
pub enum Applied {
    /// Nothing to report.
    Nothing,
    /// The source runs.
    Running(SourceHealth),
}

impl Controller for EventSourceController {
    type Kind = EventSource;
    type Observed = Observed;
    type Action = Action;
    type Decision = Plan<Action>;
    type Applied = Applied;
    type Error = ReconcileError;

    const NAME: &'static str = "eventsource-controller";
    // Endpoints are served on every replica; what pulls or keeps time runs where the claim of the object is.
    const EVERY_REPLICA: bool = true;

    fn is_local(action: &Action) -> bool {
        matches!(action, Action::Run | Action::Stop | Action::Endpoints)
    }

    async fn observe(&self, root: &Root<EventSource>) -> Result<Observed, ReconcileError> {
        Ok(self.look(root).await)
    }

    fn plan(observed: &Observed, now: Timestamp) -> Plan<Action> {
        plan::plan(observed, now)
    }

    async fn apply(&self, observed: &Observed, action: &Action) -> Result<Applied, ReconcileError> {
        self.carry_out(observed, action).await
    }

    fn report(
        observed: &Observed,
        plan: &Plan<Action>,
        done: &[Done<Applied, ReconcileError>],
        now: Timestamp,
    ) -> Report {
        let failure = conditions::failure(done);
        let health = done.iter().find_map(|done| match &done.result {
            Ok(Applied::Running(health)) => Some(health),
            _ => None,
        });
        status::report(observed, plan, health, failure.as_deref(), now)
    }

    fn let_go(&self, key: &ObjectKey) {
        // The next process may write another one.
        self.services.lock().remove(key);
        self.removals.stop(key);
    }

    fn forget(&self, key: &ObjectKey) {
        self.context.plane.stop_source(key);
        self.services.lock().remove(key);
        self.removals.stop(key);
        self.withdraw_later(key);
        self.ports_changed(key, &BTreeSet::new());
    }
}
