//! A run from start to verdict: the pure parts of the controller with a metric server that follows a
//! script, a clock that is moved by hand, and a process that may be restarted at any moment.

use std::fmt::Write;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::ObjectMeta;
use reconcile_core::{
    event::EventNote,
    object::{ObjectKey, Root},
    reconcile::{InMemory, Target, merge_patch, pass_in_memory},
};
use serde_json::{Value, json};

use crate::{
    analysis::{
        AnalysisRuns,
        apply::RunError,
        checked_specs::CheckedSpecs,
        observe::{ObservedRun, observe},
        pending::PendingMeasurements,
        plan::{MeasureOutcome, RunAction},
    },
    api::analysis::{AnalysisPhase, AnalysisRun, AnalysisRunStatus, Measurement},
};

/// Passes after which a run that has not ended is taken to be endless.
const MOST_PASSES: usize = 400;

/// What the scripted server answers for the n-th measurement (from 0) of a metric.
pub(super) type Script = Box<dyn FnMut(&str, usize) -> MeasureOutcome>;

/// A measurement that ended with `phase`.
pub(super) fn ended(phase: AnalysisPhase) -> MeasureOutcome {
    let message = if phase == AnalysisPhase::Error {
        "connection refused"
    } else {
        ""
    };
    let measurement = Measurement {
        value: "[1]".to_owned(),
        message: message.to_owned(),
        phase,
        ..Measurement::default()
    };
    MeasureOutcome::Taken {
        measurement,
        metadata: std::collections::BTreeMap::default(),
    }
}

/// A script that answers with the letters of `pattern` in turn and then with its last one: s(uccess),
/// f(ail), e(rror), i(nconclusive). Patterns are given as `metric=pattern`, separated by spaces.
pub(super) fn script(patterns: &str) -> Script {
    let patterns: Vec<(String, Vec<char>)> = patterns
        .split_whitespace()
        .map(|pair| {
            let (metric, letters) = pair.split_once('=').expect("metric=pattern");
            (metric.to_owned(), letters.chars().collect())
        })
        .collect();
    Box::new(move |metric, number| {
        let letters = &patterns
            .iter()
            .find(|(name, _)| name == metric)
            .expect("a pattern")
            .1;
        ended(match letters.get(number).or(letters.last()) {
            Some('s') => AnalysisPhase::Successful,
            Some('f') => AnalysisPhase::Failed,
            Some('i') => AnalysisPhase::Inconclusive,
            _ => AnalysisPhase::Error,
        })
    })
}

/// One run in a world of its own.
pub(super) struct RunSimulation {
    pub(super) now: Timestamp,
    start: Timestamp,
    spec: Value,
    status: Option<Value>,
    pending: PendingMeasurements,
    pub(super) specs: CheckedSpecs,
    script: Script,
    taken: std::collections::HashMap<String, usize>,
    flying: Vec<(Timestamp, String)>,
    pub(super) log: String,
    pub(super) deleted: bool,
    pub(super) passes: usize,
    wake: Option<Timestamp>,
}

impl RunSimulation {
    pub(super) fn new(spec: Value, script: Script) -> Self {
        let start: Timestamp = "2026-01-01T12:00:00Z".parse().expect("a time");
        Self {
            now: start,
            start,
            spec,
            status: None,
            pending: PendingMeasurements::default(),
            specs: CheckedSpecs::default(),
            script,
            taken: std::collections::HashMap::new(),
            flying: Vec::new(),
            log: String::new(),
            deleted: false,
            passes: 0,
            wake: None,
        }
    }

    pub(super) fn root(&self) -> Root<AnalysisRun> {
        let mut object = json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "AnalysisRun",
            "metadata": ObjectMeta {
                name: Some("run".into()),
                namespace: Some("ns".into()),
                uid: Some("u1".into()),
                ..ObjectMeta::default()
            },
            "spec": self.spec,
        });
        if let Some(status) = &self.status {
            object["status"] = status.clone();
        }
        Root::from_value(&object).expect("an object")
    }

    pub(super) fn status(&self) -> AnalysisRunStatus {
        self.root().parse_status().expect("a status")
    }

    fn say(&mut self, text: &str) {
        let at = self.now.duration_since(self.start).as_secs();
        writeln!(self.log, "{at:>4}s {text}").expect("strings grow");
    }

    /// One pass of the controller: the status is written as JSON and read back the next time.
    pub(super) fn pass(&mut self) {
        self.passes += 1;
        assert!(self.passes < MOST_PASSES, "no end in sight:\n{}", self.log);
        let root = self.root();
        let mut observed = observe(&root, &self.specs);
        let key = ObjectKey::new("ns", "run");
        let contents = self.pending.look(&key, "u1", &observed.situation.status);
        observed.situation.delivered = contents.delivered;
        observed.situation.in_flight = contents.in_flight;
        let now = self.now;
        let passed = pass_in_memory::<AnalysisRuns>(self, &observed, now);
        let decision = passed.decision;
        let report = passed.report.expect("nothing kills the process in a pass");
        for patch in &report.patches {
            assert_eq!(
                patch.target,
                Target::Main,
                "upstream's CRD has no status subresource"
            );
            let mut object = json!({ "status": self.status.clone().unwrap_or(json!({})) });
            merge_patch(&mut object, &patch.body);
            self.status = Some(object["status"].clone());
        }
        for note in &decision.plan.notes {
            if note.0.starts_with("metric") {
                self.say(&note.0);
            }
        }
        for event in &report.events {
            let text = format!("Event {}: {}", event.reason, event.note);
            self.say(&text);
        }
        self.wake = decision.plan.wake;
        let idle = self.flying.is_empty()
            && decision.plan.wake.is_none()
            && decision.launches().next().is_none();
        assert!(
            !idle || decision.status.phase.is_completed(),
            "nothing would ever wake the run:\n{}",
            self.log
        );
    }

    /// Measurements in flight come back.
    pub(super) fn land(&mut self) {
        for (started, metric) in std::mem::take(&mut self.flying) {
            let number = self.taken.entry(metric.clone()).or_default();
            let mut outcome = (self.script)(&metric, *number);
            *number += 1;
            if let MeasureOutcome::Taken { measurement, .. } = &mut outcome {
                measurement.started_at = Some(Time(started));
                measurement.finished_at = Some(Time(self.now));
            }
            self.pending
                .deliver(&ObjectKey::new("ns", "run"), "u1", &metric, Some(outcome));
        }
    }

    /// The process is killed: what is in memory and in flight is lost.
    pub(super) fn restart(&mut self) {
        self.pending = PendingMeasurements::default();
        self.flying.clear();
    }

    /// Lets time pass until the run is completed or `limit` is over.
    pub(super) fn run_for(&mut self, limit: SignedDuration) {
        let end = self.now + limit;
        loop {
            self.pass();
            if self.deleted {
                return;
            }
            if self.flying.is_empty() {
                match self.wake {
                    Some(wake) if wake <= end => self.now = self.now.max(wake),
                    _ => break,
                }
            } else {
                self.land();
            }
        }
        let status = self.status();
        let text = match status.message.as_str() {
            "" => format!("{}", status.phase),
            why => format!("{}: {why}", status.phase),
        };
        self.say(&text);
    }

    /// Changes the spec, as a person or the Rollout controller would.
    pub(super) fn edit(&mut self, change: impl FnOnce(&mut Value)) {
        change(&mut self.spec);
    }

    pub(super) fn write_status(&mut self, status: Value) {
        self.status = Some(status);
    }
}

impl InMemory<AnalysisRuns> for RunSimulation {
    fn apply(
        &mut self,
        observed: &ObservedRun,
        action: &RunAction,
    ) -> Option<Result<(), RunError>> {
        match action {
            RunAction::Measure(launch) => {
                let (key, uid) = (&observed.key, &observed.uid);
                let status = &observed.situation.status;
                if self.pending.begin(key, uid, &launch.metric, status) {
                    // A measurement takes no time that the second precision of the status would show.
                    self.flying.push((self.now, launch.metric.clone()));
                }
            }
            RunAction::Delete => self.deleted = true,
        }
        Some(Ok(()))
    }

    fn event(&mut self, event: &EventNote) {
        self.say(&format!("Event {}: {}", event.reason, event.note));
    }
}
