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
mod cleanup;
pub(crate) mod config;
mod duration_metrics;
pub(crate) mod effects;
mod error;
mod experiment_step;
pub mod flags;
mod followed;
pub(crate) mod forecast;
mod injected;
pub(crate) mod kinds;
mod metrics;
pub(crate) mod observe;
pub mod observed;
pub(crate) mod offline;
pub(crate) mod peaks;
pub mod plan;
pub mod pod_rules;
pub mod pods;
mod replica_set;
pub(crate) mod resources;
mod route_writes;
mod service_cleanup;
pub(crate) mod simulated;
mod start;
mod status;
pub mod targets;
pub mod traffic;
mod validate;
pub mod workload;
mod workload_effects;

pub use config::RolloutConfig;
pub use effects::{Applied, Effects};
pub use error::RolloutError;
pub use observe::Sources;
pub use start::start;
pub use validate::check;

use jiff::Timestamp;
use reconcile_core::{
    event::EventNote,
    object::ObjectKey,
    reconcile::{Controller, Report},
};

use self::{
    observed::Observed,
    plan::{Action, Decision},
};
use crate::api::rollout::{Rollout, RolloutKind};

/// The controller of Rollouts.
pub struct Rollouts {
    effects: Effects,
}

impl Rollouts {
    /// A controller that reads and writes through `effects`.
    pub fn new(effects: Effects) -> Self {
        Self { effects }
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
        self.effects.read_workload(root).await?;
        let mut observed = observe::observe(&self.effects.sources, root)?;
        self.effects.observe_traffic(&mut observed).await?;
        self.effects.observe_targets(&mut observed).await?;
        self.effects.observe_flags(&mut observed).await?;
        self.effects.observe_pods(&mut observed).await?;
        Ok(observed)
    }

    fn plan(observed: &Observed, now: Timestamp) -> Decision {
        if observed.root.is_deleting() {
            return Decision::default();
        }
        plan::decide(observed, now)
    }

    async fn apply(&self, observed: &Observed, action: &Action) -> Result<Applied, RolloutError> {
        self.effects.apply(observed, action).await
    }

    fn events(action: &Action, applied: &Applied) -> Vec<EventNote> {
        match applied {
            Applied::Experimenting(name) => {
                let text = format!("Created Experiment '{name}'");
                vec![EventNote::normal("ExperimentCreated", text)]
            }
            _ => action.events(),
        }
    }

    fn leading_events(decision: &Decision) -> &[EventNote] {
        &decision.leading_events
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

    fn forget(&self, key: &ObjectKey) {
        self.effects.sources.peaks.forget(key);
        self.effects.sources.route_writes.take(key);
    }

    fn reject(root: &Rollout, error: &RolloutError, now: Timestamp) -> Report {
        match error {
            RolloutError::Invalid(error) | RolloutError::Unrouted(error) if !root.is_deleting() => {
                status::rejected(root, &error.to_string(), now)
            }
            _ => Report::default(),
        }
    }
}

#[cfg(test)]
mod tests;
