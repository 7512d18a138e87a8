//! The effects of a pass: measurements that start, runs that are deleted.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use kube::{Client, api::PropagationPolicy, core::GroupVersionKind};
use reconcile_core::{
    apply::{self, ApplyError},
    error::{Classify, ErrorClass},
    object::{Kind, ObjectKey},
    reconcile::Queue,
};
use thiserror::Error;

use super::{
    observe::ObservedRun,
    pending::PendingMeasurements,
    plan::{Launch, MeasureOutcome},
    provider::{MeasurementRequest, Providers},
};
use crate::api::analysis::AnalysisRun;

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

/// Carries out actions.
pub(super) struct Effects {
    pub(super) client: Client,
    pub(super) queue: Queue,
    pub(super) pending: PendingMeasurements,
    pub(super) providers: Providers,
}

impl Effects {
    /// Starts a measurement beside the passes. Its end queues the run.
    pub(super) fn launch(&self, observed: &ObservedRun, launch: &Launch) {
        let Some(metric) = observed.spec.metrics.get(launch.index) else {
            return;
        };
        let (key, uid) = (&observed.key, &observed.uid);
        let status = &observed.situation.status;
        if !self.pending.begin(key, uid, &launch.metric, status) {
            return;
        }
        let request = MeasurementRequest {
            namespace: key.namespace.clone(),
            run_name: key.name.clone(),
            run_uid: uid.clone(),
            run_started: status.started_at.as_ref().map(|time| time.0),
            metric: metric.clone(),
            arguments: observed.spec.args.clone(),
            number: launch.number,
            retention: launch.retention,
            open: launch.open().cloned(),
            terminate: launch.ends(),
            is_detached: false,
        };
        let measurement = PendingMeasurement {
            pending: self.pending.clone(),
            queue: self.queue.clone(),
            key: key.clone(),
            uid: uid.clone(),
            metric: launch.metric.clone(),
            outcome: None,
        };
        let providers = self.providers.clone();
        tokio::spawn(async move {
            let mut measurement = measurement;
            let measured = AssertUnwindSafe(providers.measure(&request))
                .catch_unwind()
                .await;
            // A fault in a provider counts as an error of the metric, with its retries and its limit.
            measurement.outcome = Some(measured.unwrap_or_else(|_| providers.broken(&request)));
        });
    }

    /// Deletes the run.
    pub(super) async fn delete(&self, observed: &ObservedRun) -> Result<(), ApplyError> {
        let kind =
            GroupVersionKind::gvk(AnalysisRun::GROUP, AnalysisRun::VERSION, AnalysisRun::KIND);
        let resource = apply::resource_of(&kind, AnalysisRun::PLURAL);
        let uid = Some(observed.uid.as_str());
        let how = PropagationPolicy::Background;
        apply::delete(&self.client, &resource, &observed.key, uid, how)
            .await
            .map(drop)
    }
}

/// Stores the outcome of a measurement when it is dropped, so that no pass waits for one that was cancelled.
struct PendingMeasurement {
    pending: PendingMeasurements,
    queue: Queue,
    key: ObjectKey,
    uid: String,
    metric: String,
    outcome: Option<MeasureOutcome>,
}

impl Drop for PendingMeasurement {
    fn drop(&mut self) {
        self.pending
            .deliver(&self.key, &self.uid, &self.metric, self.outcome.take());
        self.queue.add(self.key.clone());
    }
}
