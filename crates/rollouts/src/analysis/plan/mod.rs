//! What a run needs next. Pure: spec, status, what was measured meanwhile and the time go in; the new
//! status, the measurements to start, Events and the next wake-up come out.

mod assess;
mod record;
mod schedule;

use std::{collections::HashSet, fmt};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use reconcile_core::{event::EventNote, reconcile::Plan};

use self::assess::Stage;
use super::validate::{Checked, InvalidRun};
use crate::api::analysis::{AnalysisPhase, AnalysisRunStatus, Measurement, TtlStrategy};

/// Everything that a decision about a run may look at.
#[derive(Clone, Debug)]
pub struct Situation {
    /// The checked spec, or why there is none.
    pub checked: Result<Checked, InvalidRun>,
    /// What is asked of the run.
    pub intent: Intent,
    /// `spec.ttlStrategy`.
    pub ttl: Option<TtlStrategy>,
    /// The status as it was persisted last.
    pub status: AnalysisRunStatus,
    /// Measurements that ended or paused and are not in the status yet.
    pub delivered: Vec<Delivery>,
    /// Names of metrics whose measurement is being taken.
    pub in_flight: HashSet<String>,
}

/// What is asked of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Intent {
    /// It measures until there is a verdict.
    #[default]
    Measure,
    /// `spec.terminate`: nothing new is measured, and open measurements end.
    Terminate,
    /// The object is being deleted, so nothing is decided any more.
    Delete,
}

/// A measurement that ended, or paused.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Name of the metric.
    pub metric: String,
    /// What came of it.
    pub outcome: MeasureOutcome,
}

/// What came of a measurement.
#[derive(Clone, Debug, PartialEq)]
pub enum MeasureOutcome {
    /// It was taken, or continues later.
    Taken {
        /// The measurement.
        measurement: Measurement,
        /// What the provider says about the metric, for a metric that has no result yet.
        metadata: std::collections::BTreeMap<String, String>,
    },
    /// An argument could not be read, so nothing can be measured.
    Unresolved(String),
}

/// A measurement to start.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// Position of the metric in the spec.
    pub index: usize,
    /// Number of the measurement within the metric, from 1.
    pub number: i32,
    /// Measurements of the metric that are kept, and with them what they left behind.
    pub retention: usize,
    /// Name of the metric.
    pub metric: String,
    /// What is done.
    pub step: LaunchStep,
}

/// What a launch does with its measurement.
#[derive(Clone, Debug, PartialEq)]
pub enum LaunchStep {
    /// Start one.
    Start,
    /// Continue one that takes several steps.
    Continue(Measurement),
    /// End one before it has a value.
    End(Measurement),
}

impl Launch {
    /// The measurement that exists already.
    pub fn open(&self) -> Option<&Measurement> {
        match &self.step {
            LaunchStep::Start => None,
            LaunchStep::Continue(open) | LaunchStep::End(open) => Some(open),
        }
    }

    /// True when the measurement ends without a value.
    pub fn ends(&self) -> bool {
        matches!(self.step, LaunchStep::End(_))
    }
}

impl fmt::Display for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.step {
            LaunchStep::Start => "measure",
            LaunchStep::Continue(_) => "continue to measure",
            LaunchStep::End(_) => "end the measurement of",
        };
        write!(f, "{verb} \"{}\"", self.metric)
    }
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

/// What follows from a [`Situation`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// Measurements to start, or the deletion of the run; the next wake-up; reasons.
    pub plan: Plan<RunAction>,
    /// The status that is true now.
    pub status: AnalysisRunStatus,
    /// Kubernetes Events to emit once the status is written.
    pub events: Vec<EventNote>,
}

impl Decision {
    /// The measurements to start.
    pub fn launches(&self) -> impl Iterator<Item = &Launch> {
        self.plan.actions.iter().filter_map(|action| match action {
            RunAction::Measure(launch) => Some(&**launch),
            RunAction::Delete => None,
        })
    }

    /// True when the run is to be deleted, because its time to live is over.
    pub fn deletes(&self) -> bool {
        self.plan.actions.contains(&RunAction::Delete)
    }
}

impl AsRef<Plan<RunAction>> for Decision {
    fn as_ref(&self) -> &Plan<RunAction> {
        &self.plan
    }
}

/// Decides. `now` is the time of the pass.
pub fn decide(situation: &Situation, now: Timestamp) -> Decision {
    let mut decision = Decision {
        status: situation.status.clone(),
        ..Decision::default()
    };
    if situation.intent == Intent::Delete {
        return decision;
    }
    if !decision.status.phase.is_completed() {
        measure(situation, now, &mut decision);
    }
    if decision.status.phase.is_completed() {
        retire(situation.ttl.as_ref(), now, &mut decision);
    }
    decision
}

/// Records what was measured, judges it, and starts what is due.
fn measure(situation: &Situation, now: Timestamp, decision: &mut Decision) {
    let checked = match &situation.checked {
        Ok(checked) => checked,
        Err(invalid) => return end(decision, AnalysisPhase::Error, invalid.to_string(), now),
    };
    if decision.status.started_at.is_none() {
        decision.status.started_at = Some(Time(now));
    }
    for delivery in &situation.delivered {
        match &delivery.outcome {
            MeasureOutcome::Unresolved(reason) => {
                let message = InvalidRun::Arguments(reason.clone()).to_string();
                return end(decision, AnalysisPhase::Error, message, now);
            }
            MeasureOutcome::Taken {
                measurement,
                metadata,
            } => {
                record::record(
                    &mut decision.status,
                    checked,
                    delivery,
                    measurement,
                    metadata,
                );
                let (metric, phase) = (&delivery.metric, &measurement.phase);
                decision.plan.note(match measurement.message.as_str() {
                    "" => format!(
                        "metric \"{metric}\" measured {phase}: {}",
                        measurement.value
                    ),
                    why => format!("metric \"{metric}\" measured {phase}: {why}"),
                });
            }
        }
    }
    let verdict = assess::assess(
        &mut decision.status,
        checked,
        situation.intent,
        &situation.in_flight,
        &mut decision.events,
    );
    if verdict.phase.is_completed() {
        record::trim(&mut decision.status, checked);
        return end(decision, verdict.phase, verdict.message, now);
    }
    if decision.status.phase != verdict.phase {
        decision.status.phase = verdict.phase;
        decision.status.message = verdict.message;
    }
    let stage = Stage::of(&decision.status, situation.intent);
    let busy = &situation.in_flight;
    let launches = schedule::due(&decision.status, checked, stage, busy, now);
    let launched: HashSet<&str> = launches
        .iter()
        .map(|launch| launch.metric.as_str())
        .collect();
    decision.plan.wake = schedule::next(&decision.status, checked, |name| {
        busy.contains(name) || launched.contains(name)
    });
    let launches = launches.into_iter().map(Box::new);
    decision.plan.actions = launches.map(RunAction::Measure).collect();
    record::trim(&mut decision.status, checked);
}

/// Ends the run with its verdict, with a note and an Event.
fn end(decision: &mut Decision, phase: AnalysisPhase, message: String, now: Timestamp) {
    let text = format!("Analysis Completed. Result: {phase}");
    decision.plan.note(if message.is_empty() {
        text.clone()
    } else {
        format!("{text}: {message}")
    });
    // Upstream's Event says only the result; the reason belongs beside it.
    let text = if message.is_empty() {
        text
    } else {
        format!("{text}. {message}")
    };
    decision
        .events
        .push(assess::event(format!("AnalysisRun{phase}"), text, &phase));
    decision.status.phase = phase;
    decision.status.message = message;
    decision.status.completed_at = Some(Time(now));
    decision.plan.actions.clear();
}

/// Deletes a completed run when its time to live is over.
fn retire(ttl: Option<&TtlStrategy>, now: Timestamp, decision: &mut Decision) {
    let Some(ttl) = ttl else { return };
    let own = match decision.status.phase {
        AnalysisPhase::Successful => ttl.seconds_after_success,
        AnalysisPhase::Failed => ttl.seconds_after_failure,
        _ => None,
    };
    let Some(seconds) = own.or(ttl.seconds_after_completion) else {
        return;
    };
    let Some(completed) = &decision.status.completed_at else {
        return;
    };
    let expires = later(completed.0, SignedDuration::from_secs(i64::from(seconds)));
    if now >= expires {
        decision.plan.act(RunAction::Delete);
        decision.plan.note(format!(
            "time to live of {seconds} s after completion is over"
        ));
    } else {
        decision.plan.wake = Some(expires);
    }
}

/// `from + by`, kept within the range of time.
fn later(from: Timestamp, by: SignedDuration) -> Timestamp {
    from.saturating_add(by).unwrap_or(Timestamp::MAX)
}
