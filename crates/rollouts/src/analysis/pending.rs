//! Measurements that are being taken, and outcomes that no status holds yet.
//!
//! An outcome stays here until the status holds it, so that a failed status write loses nothing and records
//! nothing twice. Nothing of this is persisted: after a restart the status says what is due.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;
use parking_lot::Mutex;
use reconcile_core::object::ObjectKey;

use super::plan::{Delivery, MeasureOutcome};
use crate::api::analysis::AnalysisRunStatus;

/// How far a metric has come, as its status shows it. A recorded delivery always changes it: a finished
/// measurement raises the counters, an unfinished one sets or moves the time of its next look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Progress {
    ended: i32,
    resume_at: Option<Timestamp>,
}

impl Progress {
    fn of(status: &AnalysisRunStatus, metric: &str) -> Self {
        let Some(result) = status
            .metric_results
            .iter()
            .find(|result| result.name == metric)
        else {
            return Self {
                ended: 0,
                resume_at: None,
            };
        };
        let open = result
            .measurements
            .last()
            .filter(|last| last.finished_at.is_none());
        Self {
            ended: result.count.saturating_add(result.error),
            resume_at: open
                .and_then(|open| open.resume_at.as_ref())
                .map(|time| time.0),
        }
    }
}

#[derive(Debug)]
struct Slot {
    from: Progress,
    outcome: Option<MeasureOutcome>,
}

#[derive(Debug, Default)]
struct Run {
    uid: String,
    slots: HashMap<String, Slot>,
}

/// The measurements of all runs. Cloning shares them. Its size is bounded by the metrics of unfinished runs.
#[derive(Clone, Debug, Default)]
pub(super) struct PendingMeasurements(Arc<Mutex<HashMap<ObjectKey, Run>>>);

/// The measurements of one run.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Outcomes that the status does not hold yet, ordered by metric.
    pub(super) delivered: Vec<Delivery>,
    /// Metrics whose measurement is being taken.
    pub(super) in_flight: HashSet<String>,
}

impl PendingMeasurements {
    /// The measurements of the run. Outcomes that `status` holds are dropped first.
    pub(super) fn look(&self, key: &ObjectKey, uid: &str, status: &AnalysisRunStatus) -> Contents {
        let mut runs = self.0.lock();
        let Some(run) = runs.get_mut(key) else {
            return Contents::default();
        };
        if run.uid != uid || status.phase.is_completed() {
            runs.remove(key);
            return Contents::default();
        }
        run.slots.retain(|metric, slot| {
            slot.outcome.is_none() || slot.from == Progress::of(status, metric)
        });
        let mut contents = Contents::default();
        for (metric, slot) in &run.slots {
            match &slot.outcome {
                None => drop(contents.in_flight.insert(metric.clone())),
                Some(outcome) => contents.delivered.push(Delivery {
                    metric: metric.clone(),
                    outcome: outcome.clone(),
                }),
            }
        }
        contents.delivered.sort_by(|a, b| a.metric.cmp(&b.metric));
        contents
    }

    /// Records that a measurement begins. False when one is being taken already or waits to be recorded.
    pub(super) fn begin(
        &self,
        key: &ObjectKey,
        uid: &str,
        metric: &str,
        status: &AnalysisRunStatus,
    ) -> bool {
        let mut runs = self.0.lock();
        let run = runs.entry(key.clone()).or_default();
        if run.uid != uid {
            *run = Run {
                uid: uid.to_owned(),
                slots: HashMap::new(),
            };
        }
        let from = Progress::of(status, metric);
        if run
            .slots
            .get(metric)
            .is_some_and(|slot| slot.outcome.is_none() || slot.from == from)
        {
            return false;
        }
        run.slots.insert(
            metric.to_owned(),
            Slot {
                from,
                outcome: None,
            },
        );
        true
    }

    /// Stores the outcome of a measurement, unless the run is gone or has ended. `None` means that the
    /// measurement was cancelled, so that it may begin again.
    pub(super) fn deliver(
        &self,
        key: &ObjectKey,
        uid: &str,
        metric: &str,
        outcome: Option<MeasureOutcome>,
    ) {
        let mut runs = self.0.lock();
        let Some(run) = runs.get_mut(key).filter(|run| run.uid == uid) else {
            return;
        };
        match outcome {
            None => drop(run.slots.remove(metric)),
            Some(outcome) => {
                if let Some(slot) = run.slots.get_mut(metric) {
                    slot.outcome = Some(outcome);
                }
            }
        }
    }

    /// Drops everything about a run.
    pub(super) fn forget(&self, key: &ObjectKey) {
        self.0.lock().remove(key);
    }
}
