//! From a request to what the status records: credentials, limits, deadline, verdict, redaction.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use reconcile_core::{aws::Environment, clock::Clock};

use super::{
    MeasurementRequest, MetricProvider, ProviderConfig, Reading, Step, Task, Tools,
    error::{ErrorKind, ProviderError},
    http::Http,
    judge,
    limits::Limits,
    redaction::{Redactor, on_one_line, shortened},
    registry,
    secrets::{self, SecretError},
};
use crate::{
    analysis::{plan::MeasureOutcome, validate::fill_in},
    api::analysis::{AnalysisPhase, Measurement, Metric},
};

/// A step that takes longer than its provider's own deadline and this is given up.
const GRACE: Duration = Duration::from_secs(15);
/// Characters of a measurement's message that are kept; a server may answer a bad query with a book.
const LONGEST_MESSAGE: usize = 1024;
/// Characters of a measurement's value that are kept. A run holds ten measurements per metric, and an
/// object may have 1.5 MiB; the verdict is made from the whole value.
const LONGEST_VALUE: usize = 8192;
/// Where a measurement counts how often its server asked for fewer requests.
const THROTTLED: &str = "throttledAttempts";
/// A server that asks for fewer requests more often than this in one measurement is an error.
const MOST_THROTTLED: u32 = 5;
/// Pause after a server asked for fewer requests and did not say for how long; doubles each time.
const FIRST_BACK_OFF: i64 = 5;
/// Longest pause that a server gets.
const LONGEST_BACK_OFF: i64 = 300;

/// The message of a measurement that cannot be redacted.
const WITHHELD: &str = "message withheld: cannot read the Secrets of the arguments";

/// Takes measurements. Cloning shares connections and limits.
#[derive(Clone)]
pub(in crate::analysis) struct Providers {
    tools: Tools,
    limits: Limits,
}

impl Providers {
    /// Takes measurements through `client`, with the process's environment.
    pub(in crate::analysis) fn new(client: Client, clock: Clock, config: ProviderConfig) -> Self {
        Self::with_environment(client, clock, config, Arc::new(crate::args::variable))
    }

    /// Takes measurements with another environment.
    pub(super) fn with_environment(
        client: Client,
        clock: Clock,
        config: ProviderConfig,
        environment: Environment,
    ) -> Self {
        Self {
            tools: Tools {
                client,
                clock,
                http: Http::new(config.allow_link_local, Arc::clone(&environment)),
                config: Arc::new(config),
                environment,
            },
            limits: Limits::default(),
        }
    }

    /// Takes a measurement, or the next step of one.
    pub(in crate::analysis) async fn measure(
        &self,
        request: &MeasurementRequest,
    ) -> MeasureOutcome {
        let begun = self.begun(request);
        let Some(provider) = registry::find(&request.metric.provider) else {
            // Validation refuses such a run; it never gets here.
            return taken(self.failed(begun, "no such provider"), BTreeMap::new());
        };
        // Waiting for a permit is not part of the measurement: its clock starts after.
        let _permit = self
            .limits
            .acquire(provider.name(), &request.namespace)
            .await;
        let begun = self.begun(request);
        let redactor = Redactor::default();
        let mut withheld = false;
        let metric = match self.filled_in(request, &redactor).await {
            Ok(metric) => metric,
            // A Job that exists needs no arguments any more, and nothing does that only ends.
            Err(_) if request.open.is_some() && (request.terminate || provider.is_lasting()) => {
                withheld = secrets::has_secrets(&request.arguments);
                request.metric.clone()
            }
            Err(SecretError::Missing(reason)) => return MeasureOutcome::Unresolved(reason),
            Err(SecretError::Unavailable(reason)) => {
                return taken(self.failed(begun, &reason), BTreeMap::new());
            }
        };
        let task = Task {
            request,
            metric: &metric,
            now: self.tools.clock.now(),
            tools: &self.tools,
            redactor: &redactor,
        };
        let step = self.step(provider, &task).await;
        let mut measurement = self.record(&task, begun, step);
        if withheld && !measurement.message.is_empty() {
            // Without the secrets it is not known whether the message holds one.
            WITHHELD.clone_into(&mut measurement.message);
        }
        let metadata = provider
            .metadata(&metric.provider)
            .into_iter()
            .map(|(key, text)| (key, redactor.redact(text)))
            .collect();
        taken(measurement, metadata)
    }

    fn begun(&self, request: &MeasurementRequest) -> Measurement {
        request.open.clone().unwrap_or_else(|| Measurement {
            started_at: Some(Time(self.tools.clock.now())),
            ..Measurement::default()
        })
    }

    async fn filled_in(
        &self,
        request: &MeasurementRequest,
        redactor: &Redactor,
    ) -> Result<Metric, SecretError> {
        let client = &self.tools.client;
        let resolved =
            secrets::resolve(client, &request.namespace, &request.arguments, redactor).await?;
        fill_in(&request.metric, resolved.expose())
            .map_err(|error| SecretError::Missing(redactor.redact(error.to_string())))
    }

    async fn step(
        &self,
        provider: &'static dyn MetricProvider,
        task: &Task<'_>,
    ) -> Result<Step, ProviderError> {
        let deadline = provider.deadline(&task.metric.provider) + GRACE;
        let step = async {
            match &task.request.open {
                None => {
                    // A value from a Secret may make the configuration wrong.
                    provider
                        .check(&task.metric.provider)
                        .map_err(|error| ProviderError::invalid(format!("provider.{error}")))?;
                    let step = provider.run(task).await?;
                    provider.collect_garbage(task).await;
                    Ok(step)
                }
                Some(open) if task.request.terminate => {
                    provider.terminate(task, open).await?;
                    Ok(Step::Judged {
                        phase: AnalysisPhase::Inconclusive,
                        text: open.value.clone(),
                        message: "Metric Terminated".to_owned(),
                    })
                }
                Some(open) => provider.resume(task, open).await,
            }
        };
        tokio::time::timeout(deadline, step)
            .await
            .unwrap_or_else(|_| {
                let seconds = deadline.as_secs();
                Err(ProviderError::unavailable(format!(
                    "no answer within {seconds} s"
                )))
            })
    }

    /// What the status says after a step.
    fn record(
        &self,
        task: &Task<'_>,
        begun: Measurement,
        step: Result<Step, ProviderError>,
    ) -> Measurement {
        let shown = |text: String, longest| shortened(task.redactor.redact(text), longest);
        match step {
            Err(error) => match self.later(&begun, &error) {
                Some(waiting) => waiting,
                None => self.failed(begun, &task.redactor.redact(error.message)),
            },
            Ok(Step::Wait {
                resume_at,
                metadata,
            }) => {
                let mut next = begun;
                next.phase = AnalysisPhase::Running;
                next.resume_at = Some(Time(resume_at));
                next.metadata.extend(metadata);
                next
            }
            Ok(Step::Judged {
                phase,
                text,
                message,
            }) => Measurement {
                phase,
                value: shown(text, LONGEST_VALUE),
                message: shown(message, LONGEST_MESSAGE),
                finished_at: Some(Time(self.tools.clock.now())),
                resume_at: None,
                ..begun
            },
            Ok(Step::Read(reading)) => {
                let text = shown(reading.text.clone(), LONGEST_VALUE);
                self.judged(task, begun, &reading, text)
            }
        }
    }

    fn judged(
        &self,
        task: &Task<'_>,
        mut begun: Measurement,
        reading: &Reading,
        text: String,
    ) -> Measurement {
        begun.metadata.remove(THROTTLED);
        begun
            .metadata
            .extend(reading.metadata.iter().map(|(key, text)| {
                let text = shortened(task.redactor.redact(text.clone()), LONGEST_VALUE);
                (key.clone(), text)
            }));
        match judge::judge(&reading.value, task.metric, self.tools.clock.now()) {
            Ok(phase) => Measurement {
                phase,
                value: text,
                finished_at: Some(Time(self.tools.clock.now())),
                resume_at: None,
                ..begun
            },
            // The value is worth showing although the condition could not be applied to it.
            Err(reason) => {
                let value = shortened(text, LONGEST_MESSAGE);
                let reason = format!("{} (value {value})", reason.redacted(task.redactor));
                self.failed(begun, &reason)
            }
        }
    }

    /// The measurement as it waits for a server that asked for fewer requests; `None` for any other error
    /// and for a server that never stops asking.
    fn later(&self, begun: &Measurement, error: &ProviderError) -> Option<Measurement> {
        let ErrorKind::Throttled(wanted) = error.kind else {
            return None;
        };
        let attempts: u32 = begun
            .metadata
            .get(THROTTLED)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        if attempts >= MOST_THROTTLED {
            return None;
        }
        let wanted = wanted.and_then(|wanted| i64::try_from(wanted.as_secs()).ok());
        let pause = wanted
            .unwrap_or(FIRST_BACK_OFF << attempts)
            .clamp(1, LONGEST_BACK_OFF);
        let now = self.tools.clock.now();
        let mut next = begun.clone();
        next.phase = AnalysisPhase::Running;
        next.resume_at = Some(Time(
            now.saturating_add(SignedDuration::from_secs(pause))
                .unwrap_or(Timestamp::MAX),
        ));
        next.metadata
            .insert(THROTTLED.to_owned(), (attempts + 1).to_string());
        Some(next)
    }

    /// What is recorded when this program itself failed to measure.
    pub(in crate::analysis) fn broken(&self, request: &MeasurementRequest) -> MeasureOutcome {
        let reason = "internal error of the controller; see its log";
        taken(self.failed(self.begun(request), reason), BTreeMap::new())
    }

    fn failed(&self, measurement: Measurement, reason: &str) -> Measurement {
        Measurement {
            phase: AnalysisPhase::Error,
            message: shortened(on_one_line(reason), LONGEST_MESSAGE),
            finished_at: Some(Time(self.tools.clock.now())),
            resume_at: None,
            ..measurement
        }
    }
}

fn taken(measurement: Measurement, metadata: BTreeMap<String, String>) -> MeasureOutcome {
    MeasureOutcome::Taken {
        measurement,
        metadata,
    }
}
