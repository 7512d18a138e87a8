//! The AnalysisRun controller: observe, plan, apply, report.

use std::fmt;

use jiff::Timestamp;
use kube::{Client, api::PropagationPolicy, core::GroupVersionKind};
use reconcile_core::{
    apply::{self, ApplyError},
    clock::Clock,
    fields,
    object::{Kind, ObjectKey, Root},
    reconcile::{Classify, Controller, Done, ErrorClass, EventNote, Plan, Queue, Report, Target},
};
use serde_json::Value;
use thiserror::Error;

use super::{
    mailbox::Mailbox,
    plan::{Decision, Launch, MeasureOutcome, Situation, decide},
    provider::{Order, Providers},
    validate::{InvalidRun, check},
};
use crate::api::{
    analysis::{AnalysisRun, AnalysisRunSpec, AnalysisRunStatus},
    analysis_fields::RUN_LEDGER,
};

/// The controller of AnalysisRuns.
pub struct AnalysisRuns {
    client: Client,
    queue: Queue,
    mailbox: Mailbox,
    providers: Providers,
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
        Self {
            client,
            queue,
            mailbox: Mailbox::default(),
            providers,
        }
    }

    /// Starts a measurement beside the passes. Its end queues the run.
    fn launch(&self, observed: &ObservedRun, launch: &Launch) {
        let Some(metric) = observed.spec.metrics.get(launch.index) else {
            return;
        };
        let (key, uid) = (observed.key.clone(), observed.uid.clone());
        if !self
            .mailbox
            .begin(&key, &uid, &launch.metric, &observed.situation.status)
        {
            return;
        }
        let order = Order {
            namespace: key.namespace.clone(),
            run_name: key.name.clone(),
            run_uid: uid.clone(),
            metric: metric.clone(),
            arguments: observed.spec.args.clone(),
            number: launch.number,
            retention: launch.retention,
            open: launch.resume.clone(),
            terminate: launch.terminate,
        };
        let ticket = Ticket {
            mailbox: self.mailbox.clone(),
            queue: self.queue.clone(),
            key,
            uid,
            metric: launch.metric.clone(),
            outcome: None,
        };
        let providers = self.providers.clone();
        tokio::spawn(async move {
            let mut ticket = ticket;
            ticket.outcome = Some(providers.measure(&order).await);
        });
    }
}

/// Hands in what came of a measurement when it is dropped, so that one that is cancelled or panics is
/// not waited for.
struct Ticket {
    mailbox: Mailbox,
    queue: Queue,
    key: ObjectKey,
    uid: String,
    metric: String,
    outcome: Option<MeasureOutcome>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.mailbox
            .deliver(&self.key, &self.uid, &self.metric, self.outcome.take());
        self.queue.add(self.key.clone());
    }
}

/// A run as a pass sees it.
#[derive(Debug)]
pub struct ObservedRun {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Uid of the run.
    pub uid: String,
    /// The raw spec; empty when it has a wrong form.
    pub spec: AnalysisRunSpec,
    /// Everything that the plan looks at.
    pub situation: Situation,
    /// The persisted status in the form that this version writes it, to find what changed.
    pub persisted: Value,
    /// Fields that the manifest sets and that have no effect; empty for none.
    pub ignored: String,
}

/// One effect of a pass.
#[derive(Clone, Debug, PartialEq)]
pub enum RunAction {
    /// Start a measurement.
    Measure(Box<Launch>),
    /// Delete the run.
    Delete,
}

impl fmt::Display for RunAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Measure(launch) => launch.fmt(f),
            Self::Delete => f.write_str("delete the run"),
        }
    }
}

/// What can go wrong in a pass.
#[derive(Debug, Error)]
pub enum RunError {
    /// The run could not be deleted.
    #[error(transparent)]
    Api(#[from] ApplyError),
}

impl Classify for RunError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Api(error) => error.class(),
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
        let contents = self.mailbox.look(&observed.key, &observed.uid, status);
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
            RunAction::Measure(launch) => self.launch(observed, launch),
            RunAction::Delete => {
                let kind = GroupVersionKind::gvk(
                    AnalysisRun::GROUP,
                    AnalysisRun::VERSION,
                    AnalysisRun::KIND,
                );
                let resource = apply::resource_of(&kind, AnalysisRun::PLURAL);
                let uid = Some(observed.uid.as_str());
                let how = PropagationPolicy::Background;
                apply::delete(&self.client, &resource, &observed.key, uid, how).await?;
            }
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
        self.mailbox.forget(key);
    }
}

/// Reads a run. A part that has a wrong form becomes the reason why the run ends in an error.
pub(super) fn observe(root: &Root<AnalysisRun>) -> ObservedRun {
    let spec = root.parse_spec();
    let status = root.parse_status();
    let checked = match (&spec, &status) {
        (Err(error), _) | (_, Err(error)) => Err(InvalidRun::Spec(error.to_string())),
        (Ok(spec), Ok(_)) => check(spec),
    };
    let persisted = match (&root.status, &status) {
        (Some(_), Ok(status)) => serde_json::to_value(status).unwrap_or_default(),
        _ => root.status_value(),
    };
    let spec = spec.unwrap_or_default();
    let status: AnalysisRunStatus = status.unwrap_or_default();
    // Told once, when the run starts. A run that cannot be carried out says why in its status.
    let ignored = if status.started_at.is_none() && checked.is_ok() {
        fields::message(&RUN_LEDGER.findings(&root.spec_value(), "spec"))
    } else {
        String::new()
    };
    ObservedRun {
        key: root.key(),
        uid: root.uid().to_owned(),
        situation: Situation {
            checked,
            terminate: spec.terminate,
            ttl: spec.ttl_strategy.clone(),
            deleting: root.is_deleting(),
            status,
            delivered: Vec::new(),
            in_flight: std::collections::HashSet::default(),
        },
        spec,
        persisted,
        ignored,
    }
}

/// What the run and its readers are told. The status is a part of the object itself: upstream's CRD has
/// no status subresource for runs.
pub(super) fn report(observed: &ObservedRun, decision: &Decision) -> Report {
    let mut report = Report::default();
    if observed.situation.deleting || decision.delete {
        return report;
    }
    let status = serde_json::to_value(&decision.status).unwrap_or_default();
    report.status_at(Target::Main, &observed.persisted, &status);
    if !observed.ignored.is_empty() {
        report.event(EventNote::warning(
            "UnsupportedFields",
            observed.ignored.clone(),
        ));
    }
    for event in &decision.events {
        report.event(event.clone());
    }
    report
}
