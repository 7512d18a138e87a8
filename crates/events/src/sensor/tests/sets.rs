//! What a trigger that waits for several dependencies decides about one event. Its writes, crashes included,
//! are in `worker/trigger/tests/sets.rs`.

use std::collections::BTreeMap;

use expressions::conditions::Condition;

use crate::sensor::state::{Ledger, Saved, Step};

fn condition(text: &str) -> Condition {
    Condition::parse(text).expect("a condition")
}

fn set(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs
        .iter()
        .map(|(name, sequence)| ((*name).to_owned(), *sequence))
        .collect()
}

#[test]
fn a_set_fires_once_and_the_newest_event_counts() {
    let both = condition("a && b");
    let ledger = Ledger::default();
    assert_eq!(ledger.step(&both, &set(&[]), "a", 1), Step::Save);
    assert_eq!(ledger.step(&both, &set(&[("a", 1)]), "a", 2), Step::Save);
    assert_eq!(ledger.step(&both, &set(&[("a", 2)]), "a", 1), Step::Done);
    assert_eq!(
        ledger.step(&both, &set(&[("a", 2)]), "b", 3),
        Step::Fire(set(&[("a", 2), ("b", 3)]))
    );
    let fired = ledger.begin(set(&[("a", 2), ("b", 3)]));
    // Delivered again: the completing event, and a saved one that was not deleted in time.
    assert_eq!(fired.step(&both, &set(&[("a", 2)]), "b", 3), Step::Done);
    assert_eq!(fired.step(&both, &set(&[("a", 2)]), "b", 4), Step::Save);
    assert_eq!(fired.end().firing, None);
    assert!(fired.end().is_consumed("a", 2));
}

#[test]
fn mixed_conditions_take_every_saved_event_along() {
    let mixed = condition("(a && b) || c");
    let step = Ledger::default().step(&mixed, &set(&[("a", 1)]), "c", 2);
    assert_eq!(step, Step::Fire(set(&[("a", 1), ("c", 2)])));
}

#[test]
fn sequences_of_another_stream_mean_nothing() {
    let ledger = Ledger::default().for_stream(1).begin(set(&[("a", 500)]));
    assert!(ledger.clone().for_stream(1).is_consumed("a", 3));
    assert!(!ledger.for_stream(2).is_consumed("a", 3));
}

#[test]
fn saved_events_have_the_form_of_upstream() {
    let text = r#"{"StreamSeq":5,"ConsumerSeq":2,"Timestamp":"2026-01-02T04:04:05.123456789+01:00","Event":{"id":"7"}}"#;
    let saved: Saved = serde_json::from_str(text).expect("upstream's form");
    assert_eq!((saved.stream_seq, saved.consumer_seq), (5, 2));
    assert_eq!(
        serde_json::to_string(&saved).expect("JSON"),
        r#"{"StreamSeq":5,"ConsumerSeq":2,"Timestamp":"2026-01-02T03:04:05.123456789Z","Event":{"id":"7"}}"#
    );
}
