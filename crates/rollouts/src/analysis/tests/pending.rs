//! The pending: nothing is lost, nothing is recorded twice.

use reconcile_core::object::ObjectKey;

use super::simulation::ended;
use crate::{
    analysis::pending::PendingMeasurements,
    api::analysis::{AnalysisPhase, AnalysisRunStatus, MetricResult},
};

fn status(count: i32) -> AnalysisRunStatus {
    let result = MetricResult {
        name: "m".into(),
        count,
        ..MetricResult::default()
    };
    let phase = AnalysisPhase::Running;
    AnalysisRunStatus {
        phase,
        metric_results: vec![result],
        ..AnalysisRunStatus::default()
    }
}

#[test]
fn a_delivery_stays_until_the_status_shows_it() {
    let (pending, key) = (PendingMeasurements::default(), ObjectKey::new("ns", "run"));
    assert!(pending.begin(&key, "u", "m", &status(2)));
    assert!(!pending.begin(&key, "u", "m", &status(2)), "one at a time");
    assert!(pending.look(&key, "u", &status(2)).in_flight.contains("m"));
    pending.deliver(&key, "u", "m", Some(ended(AnalysisPhase::Successful)));
    // The status could not be written, so the next pass sees the delivery again.
    assert_eq!(pending.look(&key, "u", &status(2)).delivered.len(), 1);
    assert_eq!(pending.look(&key, "u", &status(2)).delivered.len(), 1);
    assert!(
        !pending.begin(&key, "u", "m", &status(2)),
        "the value is there already"
    );
    assert_eq!(pending.look(&key, "u", &status(3)).delivered.len(), 0);
    assert!(pending.begin(&key, "u", "m", &status(3)));
}

#[test]
fn a_measurement_of_another_run_with_the_same_name_is_dropped() {
    let (pending, key) = (PendingMeasurements::default(), ObjectKey::new("ns", "run"));
    assert!(pending.begin(&key, "old", "m", &status(0)));
    assert!(pending.begin(&key, "new", "m", &status(0)));
    pending.deliver(&key, "old", "m", Some(ended(AnalysisPhase::Failed)));
    assert!(pending.look(&key, "new", &status(0)).delivered.is_empty());
}

#[test]
fn a_measurement_that_gave_nothing_may_be_begun_again() {
    let (pending, key) = (PendingMeasurements::default(), ObjectKey::new("ns", "run"));
    assert!(pending.begin(&key, "u", "m", &status(0)));
    pending.deliver(&key, "u", "m", None);
    assert!(pending.begin(&key, "u", "m", &status(0)));
}
