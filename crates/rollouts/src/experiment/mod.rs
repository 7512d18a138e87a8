//! The controller of Experiments.
//!
//! ```text
//!   Experiments ───────┐
//!   ReplicaSets ───────┤ indexes ─► observe ─► plan (pure) ─► apply ─► status, Events
//!   Services ──────────┤               │
//!   AnalysisRuns ──────┤               └─► InvalidSpec names the field
//!   templates ─────────┘
//! ```
//!
//! Every object has a name that follows from the Experiment, so one that was created before the process
//! ended is found again and never doubled.

mod apply;
mod error;
mod metrics;
mod objects;
mod observe;
pub mod observed;
mod offline;
pub mod plan;
mod run;
mod start;
mod status;
pub(crate) mod validate;
pub(crate) mod view;

pub use apply::Applied;
pub use error::ExperimentError;
pub(crate) use offline::explain;
pub use start::start;
pub(crate) use validate::refusal;

use jiff::Timestamp;
use reconcile_core::{
    event::EventNote,
    reconcile::{Controller, Report},
};

use self::{
    observed::Observed,
    plan::{Action, Decision},
};
use crate::{
    api::experiment::{Experiment, ExperimentKind},
    rollout::effects::Effects,
};

/// The controller of Experiments.
pub struct Experiments {
    effects: Effects,
}

impl Experiments {
    /// A controller that reads and writes through `effects`.
    pub fn new(effects: Effects) -> Self {
        Self { effects }
    }
}

impl Controller for Experiments {
    type Kind = ExperimentKind;
    type Observed = Observed;
    type Action = Action;
    type Decision = Decision;
    type Applied = Applied;
    type Error = ExperimentError;

    const NAME: &'static str = "experiments-controller";

    async fn observe(&self, root: &Experiment) -> Result<Observed, ExperimentError> {
        observe::observe(&self.effects.sources, root)
    }

    fn plan(observed: &Observed, now: Timestamp) -> Decision {
        if observed.root.is_deleting() {
            return Decision::default();
        }
        plan::decide(observed, now)
    }

    async fn apply(
        &self,
        observed: &Observed,
        action: &Action,
    ) -> Result<Applied, ExperimentError> {
        apply::apply(&self.effects, observed, action).await
    }

    fn events(action: &Action, applied: &Applied) -> Vec<EventNote> {
        match applied {
            Applied::Refused { .. } => Vec::new(),
            Applied::Done | Applied::Started { .. } => action.events(),
        }
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

    fn reject(root: &Experiment, error: &ExperimentError, now: Timestamp) -> Report {
        match error {
            ExperimentError::Invalid(error) if !root.is_deleting() => {
                status::rejected(root, &error.to_string(), now)
            }
            _ => Report::default(),
        }
    }
}

#[cfg(test)]
mod tests;
