//! The controller of Rollouts.
//!
//! ```text
//!   Rollouts ──────────┐
//!   ReplicaSets ───────┤ indexes ─► observe ─► plan (pure) ─► apply ─► status, revision, Events
//!   Services ──────────┤               │
//!   AnalysisRuns ──────┤               └─► InvalidSpec names the field
//!   templates ─────────┘
//! ```

mod apply;
mod error;
mod kinds;
mod metrics;
mod observe;
pub(crate) mod offline;
pub mod plan;
mod release;
mod start;
mod status;
mod validate;
pub mod world;

pub use apply::{Applied, Hands};
pub use error::RolloutError;
pub use observe::Sources;
pub use start::{RolloutConfig, start};
pub use validate::check;

use jiff::Timestamp;
use reconcile_core::reconcile::{Controller, Report};

use self::{
    plan::{Action, Decision},
    world::Observed,
};
use crate::api::rollout::{Rollout, RolloutKind};

/// The controller of Rollouts.
pub struct Rollouts {
    hands: Hands,
}

impl Rollouts {
    /// A controller that reads and writes through `hands`.
    pub fn new(hands: Hands) -> Self {
        Self { hands }
    }
}

impl Controller for Rollouts {
    type Kind = RolloutKind;
    type Observed = Observed;
    type Action = Action;
    type Decision = Decision;
    type Applied = Applied;
    type Error = RolloutError;

    const NAME: &'static str = "rollouts-controller";

    async fn observe(&self, root: &Rollout) -> Result<Observed, RolloutError> {
        observe::observe(&self.hands.sources, root)
    }

    fn plan(observed: &Observed, now: Timestamp) -> Decision {
        if observed.root.is_deleting() {
            return Decision::default();
        }
        plan::decide(observed, now)
    }

    async fn apply(&self, observed: &Observed, action: &Action) -> Result<Applied, RolloutError> {
        self.hands.apply(observed, action).await
    }

    fn report(
        observed: &Observed,
        decision: &Decision,
        done: &status::Outcomes,
        now: Timestamp,
    ) -> Report {
        if observed.root.is_deleting() {
            return Report::default();
        }
        status::report(observed, decision, done, now)
    }

    fn reject(root: &Rollout, error: &RolloutError, now: Timestamp) -> Report {
        match error {
            RolloutError::Invalid(error) if !root.is_deleting() => {
                status::rejected(root, &error.to_string(), now)
            }
            _ => Report::default(),
        }
    }
}

#[cfg(test)]
mod tests;
