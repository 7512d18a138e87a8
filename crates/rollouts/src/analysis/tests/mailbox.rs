//! The mailbox: nothing is lost, nothing is recorded twice.

use reconcile_core::object::ObjectKey;

use super::simulation::ended;
use crate::{
    analysis::mailbox::Mailbox,
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
    let (mailbox, key) = (Mailbox::default(), ObjectKey::new("ns", "run"));
    assert!(mailbox.begin(&key, "u", "m", &status(2)));
    assert!(!mailbox.begin(&key, "u", "m", &status(2)), "one at a time");
    assert!(mailbox.look(&key, "u", &status(2)).in_flight.contains("m"));
    mailbox.deliver(&key, "u", "m", Some(ended(AnalysisPhase::Successful)));
    // The status could not be written, so the next pass sees the delivery again.
    assert_eq!(mailbox.look(&key, "u", &status(2)).delivered.len(), 1);
    assert_eq!(mailbox.look(&key, "u", &status(2)).delivered.len(), 1);
    assert!(
        !mailbox.begin(&key, "u", "m", &status(2)),
        "the value is there already"
    );
    assert_eq!(mailbox.look(&key, "u", &status(3)).delivered.len(), 0);
    assert!(mailbox.begin(&key, "u", "m", &status(3)));
}

#[test]
fn a_measurement_of_another_run_with_the_same_name_is_dropped() {
    let (mailbox, key) = (Mailbox::default(), ObjectKey::new("ns", "run"));
    assert!(mailbox.begin(&key, "old", "m", &status(0)));
    assert!(mailbox.begin(&key, "new", "m", &status(0)));
    mailbox.deliver(&key, "old", "m", Some(ended(AnalysisPhase::Failed)));
    assert!(mailbox.look(&key, "new", &status(0)).delivered.is_empty());
}

#[test]
fn a_measurement_that_gave_nothing_may_be_begun_again() {
    let (mailbox, key) = (Mailbox::default(), ObjectKey::new("ns", "run"));
    assert!(mailbox.begin(&key, "u", "m", &status(0)));
    mailbox.deliver(&key, "u", "m", None);
    assert!(mailbox.begin(&key, "u", "m", &status(0)));
}
