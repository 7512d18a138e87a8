//! The AnalysisRun controller: observe, plan, apply, report.

use jiff::Timestamp;
use kube::Client;
use reconcile_core::{
    clock::Clock,
    object::{ObjectKey, Root},
    reconcile::{Controller, Done, Queue, Report},
};

use super::{
    apply::{Effects, RunError},
    checked_specs::CheckedSpecs,
    observe::{ObservedRun, observe},
    pending::PendingMeasurements,
    plan::{Decision, RunAction, decide},
    provider::{ProviderConfig, Providers},
    status::report,
};
use crate::api::analysis::AnalysisRun;

/// The controller of AnalysisRuns.
pub struct AnalysisRuns {
    effects: Effects,
    specs: CheckedSpecs,
}

impl AnalysisRuns {
    /// A controller that queues a run in `queue` when one of its measurements ends.
    pub fn new(client: Client, clock: Clock, queue: Queue, config: ProviderConfig) -> Self {
        let providers = Providers::new(client.clone(), clock, config);
        let pending = PendingMeasurements::default();
        Self {
            effects: Effects {
                client,
                queue,
                pending,
                providers,
            },
            specs: CheckedSpecs::default(),
        }
    }
}

impl Controller for AnalysisRuns {
    type Kind = AnalysisRun;
    type Observed = ObservedRun;
    type Action = RunAction;
    type Decision = Decision;
    type Applied = ();
    type Error = RunError;

    const NAME: &'static str = "analysis-controller";

    async fn observe(&self, root: &Root<AnalysisRun>) -> Result<ObservedRun, RunError> {
        let mut observed = observe(root, &self.specs);
        let status = &observed.situation.status;
        let contents = self
            .effects
            .pending
            .look(&observed.key, &observed.uid, status);
        observed.situation.delivered = contents.delivered;
        observed.situation.in_flight = contents.in_flight;
        Ok(observed)
    }

    fn plan(observed: &ObservedRun, now: Timestamp) -> Decision {
        decide(&observed.situation, now)
    }

    async fn apply(&self, observed: &ObservedRun, action: &RunAction) -> Result<(), RunError> {
        match action {
            RunAction::Measure(launch) => self.effects.launch(observed, launch),
            RunAction::Delete => self.effects.delete(observed).await?,
        }
        Ok(())
    }

    fn report(
        observed: &ObservedRun,
        decision: &Decision,
        _: &[Done<(), RunError>],
        _: Timestamp,
    ) -> Report {
        report(observed, decision)
    }

    fn forget(&self, key: &ObjectKey) {
        self.effects.pending.forget(key);
        self.specs.forget(key);
    }
}
