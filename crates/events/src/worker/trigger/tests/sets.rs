//! A trigger that waits for several dependencies, against a bus that loses answers and processes that die at
//! any effect.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::json;

use super::{Broker, Play, broker::Fault, run, spec};

type Set = BTreeMap<String, u64>;

/// Whether a condition holds for these events.
type Holds = fn(&Set) -> bool;

/// The conditions of the tests, and when each holds.
const CONDITIONS: [(&str, Holds); 3] = [
    ("a && b && c", |set| set.len() == 3),
    ("(a && b) || c", |set| {
        set.contains_key("c") || set.contains_key("a") && set.contains_key("b")
    }),
    ("a && (b || c)", |set| {
        set.contains_key("a") && set.len() > 1
    }),
];

/// The sets that have to fire, and what stays saved: the newest event of each dependency counts.
fn expected(holds: Holds, arrivals: &str) -> (Vec<Set>, Set) {
    let (mut fired, mut saved) = (Vec::new(), Set::new());
    for (sequence, name) in (1..).zip(arrivals.chars()) {
        saved.insert(name.to_string(), sequence);
        if holds(&saved) {
            fired.push(std::mem::take(&mut saved));
        }
    }
    (fired, saved)
}

#[test]
fn a_set_is_decided_in_the_ledger_acted_on_and_forgotten_in_this_order() {
    let broker = Broker::with("ab");
    run(&spec("a && b", json!({})), &broker);
    assert_eq!(
        broker.log(),
        [
            "write t/Expression a && b",
            "write t/_ledger consumed={} firing=null",
            r#"write t/_ledger consumed={"a":1,"b":2} firing={"a":1,"b":2}"#,
            "act a=1 b=2",
            r#"write t/_ledger consumed={"a":1,"b":2} firing=null"#,
            "ack a=1",
            "ack b=2",
        ]
    );
}

#[test]
fn one_write_records_the_end_of_a_set_and_the_begin_of_the_next() {
    let broker = Broker::with("ababa");
    run(&spec("a && b", json!({})), &broker);
    assert_eq!(
        broker.log()[2..],
        [
            r#"write t/_ledger consumed={"a":1,"b":2} firing={"a":1,"b":2}"#,
            "act a=1 b=2",
            r#"write t/_ledger consumed={"a":3,"b":4} firing={"a":3,"b":4}"#,
            "ack a=1",
            "ack b=2",
            "act a=3 b=4",
            r#"write t/_ledger consumed={"a":3,"b":4} firing=null"#,
            // Nothing follows: what waits for more is written.
            "write t/a sequence 5",
            "ack a=3",
            "ack b=4",
            "ack a=5",
        ]
    );
}

#[test]
fn an_action_that_panics_is_tried_again_within_its_set() {
    let broker = Broker::with("ab").plays([Play::Panics]);
    run(
        &spec("a && b", json!({"retryStrategy": {"steps": 2}})),
        &broker,
    );
    assert_eq!(
        broker.log()[2..],
        [
            r#"write t/_ledger consumed={"a":1,"b":2} firing={"a":1,"b":2}"#,
            "act a=1 b=2",
            "act a=1 b=2",
            r#"write t/_ledger consumed={"a":1,"b":2} firing=null"#,
            "ack a=1",
            "ack b=2",
        ]
    );
}

#[test]
fn an_action_that_panics_in_every_try_is_dead_lettered_and_the_next_set_fires() {
    let broker = Broker::with("abab").plays([Play::Panics]);
    run(&spec("a && b", json!({})), &broker);
    let letter = "letter after 1: the action panicked, which is a bug: boom";
    let log = broker.log();
    assert_eq!(log[3..5], ["act a=1 b=2", letter], "{log:#?}");
    let pairs = |pairs: [(&str, u64); 2]| Set::from(pairs.map(|(name, at)| (name.to_owned(), at)));
    assert_eq!(
        broker.fired(),
        [pairs([("a", 1), ("b", 2)]), pairs([("a", 3), ("b", 4)])]
    );
}

#[test]
fn a_set_whose_task_panics_beyond_its_action_is_still_owed() {
    let broker = Broker::with("ab")
        .plays([Play::Fails, Play::Fails])
        .letter_panics();
    run(&spec("a && b", json!({})), &broker);
    assert_eq!(
        broker.log()[2..],
        [
            r#"write t/_ledger consumed={"a":1,"b":2} firing={"a":1,"b":2}"#,
            "act a=1 b=2",
            // Read again: the ledger says what is owed.
            "act a=1 b=2",
            "letter after 1: refused",
            r#"write t/_ledger consumed={"a":1,"b":2} firing=null"#,
            "ack a=1",
            "ack b=2",
        ]
    );
}

#[test]
fn a_write_whose_answer_is_lost_is_found_and_not_repeated() {
    // The ledger is written twice after the decision; either answer may be lost.
    for lost in [2, 4] {
        let broker = Broker::with("ab").faults([(lost, Fault::AnswerLost)]);
        run(&spec("a && b", json!({})), &broker);
        let acts: Vec<String> = broker
            .log()
            .into_iter()
            .filter(|line| line.starts_with("act"))
            .collect();
        assert_eq!(acts, ["act a=1 b=2"], "{:#?}", broker.log());
    }
}

#[test]
fn messages_of_a_resumed_set_are_answered_after_its_end_is_recorded() {
    // The process dies when the action has ended, before that is written.
    let broker = Broker::with("ab").faults([(4, Fault::DiesBefore)]);
    run(&spec("a && b", json!({})), &broker);
    assert_eq!(
        broker.log()[2..],
        [
            r#"write t/_ledger consumed={"a":1,"b":2} firing={"a":1,"b":2}"#,
            "act a=1 b=2",
            // Another process.
            "act a=1 b=2",
            r#"write t/_ledger consumed={"a":1,"b":2} firing=null"#,
            "ack a=1",
            "ack b=2",
        ]
    );
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::DiesBefore),
        Just(Fault::DiesAfter),
        Just(Fault::Refused),
        Just(Fault::AnswerLost),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn faults_change_nothing_but_the_number_of_tries_of_an_action(
        arrivals in "[abc]{1,16}",
        faults in proptest::collection::btree_map(0_usize..120, fault(), 0..40),
        condition in 0_usize..3,
    ) {
        let (condition, holds) = CONDITIONS[condition];
        let broker = Broker::with(&arrivals).faults(faults);
        // An action that the bus of the test refuses is tried again.
        run(&spec(condition, json!({"retryStrategy": {"steps": 100}})), &broker);
        let (fired, saved) = expected(holds, &arrivals);
        let mut begun = broker.fired();
        begun.dedup();
        prop_assert_eq!(&begun, &fired, "{:#?}", broker.log());
        // No event is part of two sets.
        let mut used = BTreeSet::new();
        for pair in fired.iter().flatten() {
            prop_assert!(used.insert(pair), "{:?} twice", pair);
        }
        let ledger = broker.record("t/_ledger").expect("a ledger");
        prop_assert!(ledger.get("firing").is_none());
        let kept: Set = broker
            .keys()
            .into_iter()
            .filter_map(|key| {
                let sequence = broker.record(&key)?.get("StreamSeq")?.as_u64()?;
                Some((key.strip_prefix("t/")?.to_owned(), sequence))
            })
            .filter(|(name, sequence)| ledger["consumed"][name].as_u64() < Some(*sequence))
            .collect();
        prop_assert_eq!(kept, saved);
    }
}
