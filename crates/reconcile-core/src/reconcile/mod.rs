//! One way to reconcile: observe, plan, apply, report.
//!
//! ```text
//!   index change / wake-up ──► Queue ──► observe ──► plan ──► apply ──► report
//!                                        (reads +   (pure)   (effects)  (status, Events,
//!                                         validate)                      next wake-up)
//! ```
//!
//! A [`Controller`] supplies the four steps for one kind; [`Driver`] runs them: one pass per object at a
//! time, only while this process leads, with the retry that the error's [`ErrorClass`](crate::error::ErrorClass) asks for.

mod backoff;
mod complaints;
mod driver;
mod in_memory;
mod plan;
mod queue;
mod queue_metrics;
mod report;

pub use backoff::Backoff;
use complaints::Complaints;
pub use driver::{Driver, DriverConfig};
pub use in_memory::{InMemory, Passed, merge_patch, pass_in_memory};
pub use plan::{Note, Plan};
pub use queue::Queue;
pub use queue_metrics::QueueMetrics;
pub use report::{Report, RootPatch, Target, into_merge_diff, merge_diff};

use std::{fmt, future::Future};

use jiff::Timestamp;

use crate::{
    error::Classify,
    event::EventNote,
    object::{Kind, ObjectKey, Root},
};

/// The four steps of a reconcile for one kind.
pub trait Controller: Send + Sync + 'static {
    /// The kind whose objects are reconciled.
    type Kind: Kind;
    /// Everything a plan may look at: the checked spec, the status and the live objects around it.
    type Observed: Send + Sync;
    /// One effect, as printable data.
    type Action: fmt::Debug + fmt::Display + Send + Sync;
    /// What a pass decided: the plan, and whatever else the report needs to know of the decision.
    type Decision: AsRef<Plan<Self::Action>> + Send + Sync;
    /// What carrying out an action brought, for the report.
    type Applied: Send + Sync;
    /// What can go wrong in observe or apply.
    type Error: std::error::Error + Classify + Send + Sync + 'static;

    /// Lower-case name of the controller for logs, metrics and the Event reporter.
    const NAME: &'static str;
    /// Whether replicas that do not lead, or do not hold the shard of the object, run passes too, for their local actions.
    const EVERY_REPLICA: bool = false;

    /// Reads and validates; must not write. Reads come from indexes wherever one exists.
    fn observe(
        &self,
        root: &Root<Self::Kind>,
    ) -> impl Future<Output = Result<Self::Observed, Self::Error>> + Send;

    /// Decides, once a pass; a plain function of its arguments.
    fn plan(observed: &Self::Observed, now: Timestamp) -> Self::Decision;

    /// Carries out one action. Actions run in the order of the plan; after the first failure the rest of
    /// the plan is dropped, because later actions may rely on earlier ones.
    fn apply(
        &self,
        observed: &Self::Observed,
        action: &Self::Action,
    ) -> impl Future<Output = Result<Self::Applied, Self::Error>> + Send;

    /// True for an action that concerns this process alone and needs no lease, such as opening a port. A replica that
    /// does not lead carries out only these, and reports nothing.
    fn is_local(action: &Self::Action) -> bool {
        let _ = action;
        false
    }

    /// The Events about an action that succeeded; a plain function. They are emitted whatever becomes of the rest of the
    /// pass, at once unless [`Controller::leading_events`] come first. The Events of the report are emitted when the
    /// status is written.
    fn events(action: &Self::Action, applied: &Self::Applied) -> Vec<EventNote> {
        let _ = (action, applied);
        Vec::new()
    }

    /// The Events about what happened before the actions of the pass, such as the step that ended; a plain function.
    /// They are emitted when the status is written, in front of those of the actions, which then wait for it too.
    fn leading_events(decision: &Self::Decision) -> &[EventNote] {
        let _ = decision;
        &[]
    }

    /// Computes what is written to the root object, from the decision and what was really applied; a plain
    /// function.
    fn report(
        observed: &Self::Observed,
        decision: &Self::Decision,
        done: &[Done<Self::Applied, Self::Error>],
        now: Timestamp,
    ) -> Report;

    /// Computes what is written to a root object that could not be observed, for example an `InvalidSpec` condition
    /// that names the field; a plain function. The default writes nothing.
    fn reject(root: &Root<Self::Kind>, error: &Self::Error, now: Timestamp) -> Report {
        let _ = (root, error, now);
        Report::default()
    }

    /// This process may not act for the object any more, because its shard goes to another one: stop what runs for it
    /// and forget what the other process may change, as if the object had never been here. What was begun holds up the
    /// hand-over by [`Claim::work`](crate::shards::Claim::work). Not called when a leader loses its lease.
    fn let_go(&self, key: &ObjectKey) {
        let _ = key;
    }

    /// The object is gone from the API server: drop what is kept in memory for it.
    fn forget(&self, key: &ObjectKey) {
        let _ = key;
    }
}

/// The outcome of one action of the plan. Actions that were not reached have none.
#[derive(Debug)]
pub struct Done<R, E> {
    /// Position of the action in [`Plan::actions`].
    pub index: usize,
    /// The result of [`Controller::apply`].
    pub result: Result<R, E>,
}

impl<R, E> Done<R, E> {
    /// The action of `plan` that this is the outcome of.
    pub fn action<'p, A>(&self, plan: &'p Plan<A>) -> Option<&'p A> {
        plan.actions.get(self.index)
    }
}

#[cfg(test)]
mod tests;
