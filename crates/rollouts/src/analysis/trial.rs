//! An analysis outside of a cluster: the planner and the providers are those of the controller, the status
//! stays in memory.

use std::{collections::HashSet, fmt, io, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use jiff::Timestamp;
use kube::Client;
use reconcile_core::clock::Clock;

use super::{
    build::BuildError,
    merge::{flatten, merge_arguments},
    plan::{Delivery, Intent, Launch, MeasureOutcome, RunAction, Situation, decide},
    provider::{MeasurementRequest, ProviderConfig, Providers},
    validate::check,
};
use crate::api::analysis::{
    AnalysisRunSpec, AnalysisRunStatus, AnalysisTemplateSpec, Argument, Measurement,
};

/// The run that `templates` and `arguments` make.
pub(crate) fn spec(
    templates: &[AnalysisTemplateSpec],
    arguments: &[Argument],
) -> Result<AnalysisRunSpec, BuildError> {
    let template = flatten(templates)?;
    Ok(AnalysisRunSpec {
        metrics: template.metrics,
        args: merge_arguments(arguments, template.args)?,
        dry_run: template.dry_run,
        measurement_retention: template.measurement_retention,
        ..AnalysisRunSpec::default()
    })
}

/// A measurement, as it is printed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    at: Timestamp,
    metric: String,
    measurement: Measurement,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measurement {
            phase,
            value,
            message,
            ..
        } = &self.measurement;
        let time = self.at.strftime("%H:%M:%S");
        write!(f, "{time} {}: {phase}", self.metric)?;
        if !value.is_empty() {
            write!(f, " {value}")?;
        }
        if message.is_empty() {
            Ok(())
        } else {
            write!(f, ": {message}")
        }
    }
}

/// An analysis that is about to run.
pub(crate) struct Trial {
    spec: AnalysisRunSpec,
    namespace: String,
    uid: String,
    clock: Clock,
    providers: Providers,
}

impl Trial {
    /// An analysis whose Secrets and Jobs are in `namespace`.
    pub(crate) fn new(
        spec: AnalysisRunSpec,
        namespace: String,
        client: Client,
        clock: Clock,
        config: ProviderConfig,
    ) -> Self {
        let uid = format!("analyze-{}", clock.now().as_millisecond());
        Self {
            spec,
            namespace,
            uid,
            providers: Providers::new(client, clock.clone(), config),
            clock,
        }
    }

    /// Measures until there is a verdict. When `stop` is done, open measurements are ended first. `tell`
    /// receives every finished measurement; its error ends the analysis.
    pub(crate) async fn run(
        &self,
        stop: impl Future<Output = ()>,
        mut tell: impl FnMut(&Line) -> io::Result<()>,
    ) -> io::Result<AnalysisRunStatus> {
        let mut situation = Situation {
            checked: check(&self.spec),
            intent: Intent::Measure,
            ttl: None,
            status: AnalysisRunStatus::default(),
            delivered: Vec::new(),
            in_flight: HashSet::new(),
        };
        let mut measuring = FuturesUnordered::new();
        tokio::pin!(stop);
        loop {
            let decision = decide(&situation, self.clock.now());
            situation.status = decision.status;
            situation.delivered.clear();
            if situation.status.phase.is_completed() {
                return Ok(situation.status);
            }
            for action in &decision.plan.actions {
                if let RunAction::Measure(launch) = action {
                    situation.in_flight.insert(launch.metric.clone());
                    measuring.push(self.measure(&situation.status, launch));
                }
            }
            let wake = decision.plan.wake.map_or(Duration::MAX, |wake| {
                let wait = wake.duration_since(self.clock.now());
                Duration::try_from(wait).unwrap_or(Duration::ZERO)
            });
            tokio::select! {
                Some(delivery) = measuring.next(), if !measuring.is_empty() => {
                    situation.in_flight.remove(&delivery.metric);
                    if let Some(line) = self.line(&delivery) {
                        tell(&line)?;
                    }
                    situation.delivered.push(delivery);
                }
                () = &mut stop, if situation.intent == Intent::Measure => situation.intent = Intent::Terminate,
                () = tokio::time::sleep(wake) => {}
            }
        }
    }

    fn line(&self, delivery: &Delivery) -> Option<Line> {
        match &delivery.outcome {
            // A measurement that only waits is printed when it ends.
            MeasureOutcome::Taken { measurement, .. } if measurement.phase.is_completed() => {
                Some(Line {
                    at: self.clock.now(),
                    metric: delivery.metric.clone(),
                    measurement: measurement.clone(),
                })
            }
            _ => None,
        }
    }

    fn measure(
        &self,
        status: &AnalysisRunStatus,
        launch: &Launch,
    ) -> impl Future<Output = Delivery> + use<> {
        let request = self
            .spec
            .metrics
            .get(launch.index)
            .map(|metric| MeasurementRequest {
                namespace: self.namespace.clone(),
                run_name: self.uid.clone(),
                run_uid: self.uid.clone(),
                run_started: status.started_at.as_ref().map(|time| time.0),
                metric: metric.clone(),
                arguments: self.spec.args.clone(),
                number: launch.number,
                retention: launch.retention,
                open: launch.open().cloned(),
                terminate: launch.ends(),
                is_detached: true,
            });
        let (providers, metric) = (self.providers.clone(), launch.metric.clone());
        async move {
            let outcome = match &request {
                Some(request) => providers.measure(request).await,
                None => MeasureOutcome::Unresolved("no such metric".to_owned()),
            };
            Delivery { metric, outcome }
        }
    }
}
