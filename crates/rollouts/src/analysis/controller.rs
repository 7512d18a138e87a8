//! The AnalysisRun controller: observe, plan, apply, report.

use jiff::Timestamp;
use kube::Client;
use reconcile_core::{
    clock::Clock,
    object::{ObjectKey, Root},
    reconcile::{Controller, Done, Plan, Queue, Report},
};

use super::{
    apply::{Hands, RunAction, RunError},
    mailbox::Mailbox,
    observe::{ObservedRun, observe},
    plan::decide,
    provider::Providers,
    status::report,
};
use crate::api::analysis::AnalysisRun;

/// The controller of AnalysisRuns.
pub struct AnalysisRuns {
    hands: Hands,
}

impl AnalysisRuns {
    /// A controller that queues a run in `queue` when one of its measurements ends.
    /// `prometheus_address` is used by metrics that name none.
    pub fn new(
        client: Client,
        clock: Clock,
        queue: Queue,
        prometheus_address: Option<String>,
    ) -> Self {
        let providers = Providers::new(client.clone(), clock, prometheus_address);
        let mailbox = Mailbox::default();
        Self {
            hands: Hands {
                client,
                queue,
                mailbox,
                providers,
            },
        }
    }
}

impl Controller for AnalysisRuns {
    type Kind = AnalysisRun;
    type Observed = ObservedRun;
    type Action = RunAction;
    type Applied = ();
    type Error = RunError;

    const NAME: &'static str = "analysis-controller";

    async fn observe(&self, root: &Root<AnalysisRun>) -> Result<ObservedRun, RunError> {
        let mut observed = observe(root);
        let status = &observed.situation.status;
        let contents = self
            .hands
            .mailbox
            .look(&observed.key, &observed.uid, status);
        observed.situation.delivered = contents.delivered;
        observed.situation.in_flight = contents.in_flight;
        Ok(observed)
    }

    fn plan(observed: &ObservedRun, now: Timestamp) -> Plan<RunAction> {
        let decision = decide(&observed.situation, now);
        let mut plan = Plan::new();
        for launch in decision.launches {
            plan.act(RunAction::Measure(Box::new(launch)));
        }
        if decision.delete {
            plan.act(RunAction::Delete);
        }
        if let Some(wake) = decision.wake {
            plan.wake_at(wake);
        }
        for note in decision.notes {
            plan.note(note);
        }
        plan
    }

    async fn apply(&self, observed: &ObservedRun, action: &RunAction) -> Result<(), RunError> {
        match action {
            RunAction::Measure(launch) => self.hands.launch(observed, launch),
            RunAction::Delete => self.hands.delete(observed).await?,
        }
        Ok(())
    }

    fn report(
        observed: &ObservedRun,
        _: &Plan<RunAction>,
        _: &[Done<RunAction, (), RunError>],
        now: Timestamp,
    ) -> Report {
        report(observed, &decide(&observed.situation, now))
    }

    fn forget(&self, key: &ObjectKey) {
        self.hands.mailbox.forget(key);
    }
}
