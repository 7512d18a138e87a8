//! One event after the other, when a process dies and its successor acts before the bus delivers again.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::{Broker, broker::Fault, run, spec};

/// What a successor repeats at most: the finished events that no write covers, and the one under way.
const REPEATED: usize = 9;

/// The numbers of the events that were acted on, in order, repetitions included.
fn acted(broker: &Broker) -> Vec<u64> {
    let fired = broker.fired();
    fired.iter().map(|set| set["a"]).collect()
}

fn lines(broker: &Broker, first: &str) -> Vec<String> {
    let log = broker.log().into_iter();
    log.filter(|line| line.starts_with(first)).collect()
}

#[test]
fn one_write_records_many_events_that_a_dead_process_had_in_its_hands() {
    let write = Duration::from_millis(1);
    let broker = Broker::with(&"a".repeat(20))
        .faults([(0, Fault::DiesBefore)])
        .reads_again()
        .slow_writes(write);
    run(&spec("a", json!({"atLeastOnce": true})), &broker);
    assert_eq!(acted(&broker), (1..=20).collect::<Vec<u64>>());
    // The first action ends before anything is written; those that end during a write are in the next one.
    assert_eq!(
        lines(&broker, "write"),
        [
            r#"write t/_finished {"a":1}"#,
            r#"write t/_finished {"a":8}"#,
            r#"write t/_finished {"a":9}"#,
            r#"write t/_finished {"a":16}"#,
            r#"write t/_finished {"a":17}"#,
            r#"write t/_finished {"a":20}"#,
        ]
    );
    // Answered when the bus has delivered them again.
    let acks: Vec<String> = (1..=20).map(|n| format!("ack a={n}")).collect();
    assert_eq!(broker.log()[broker.log().len() - 20..], acks);
}

#[test]
fn what_a_dead_process_has_finished_is_known_before_its_successor_acts() {
    // Every process dies after a few effects, before any of its events can be acknowledged.
    let deaths = (0..400).step_by(7).map(|at| (at, Fault::DiesBefore));
    let broker = Broker::with(&"a".repeat(120)).faults(deaths).reads_again();
    run(&spec("a", json!({"atLeastOnce": true})), &broker);
    let acted = acted(&broker);
    let deaths = broker.deaths();
    assert!(deaths > 20, "{deaths} processes died");
    // A write is quick here: only what was under way is repeated.
    assert!(acted.len() <= 120 + 2 * deaths, "{} actions", acted.len());
    assert!(acted.is_sorted_by(|a, b| a <= b || a - b <= 1), "{acted:?}");
}

#[test]
fn what_is_acknowledged_beyond_messages_that_come_again_is_not_repeated() {
    // The first process dies with three messages in its hands. The second acts on them, and on newer ones that it
    // acknowledges, and dies before the bus delivers the three again: the third reads all of them from the stream.
    let broker = Broker::with(&"a".repeat(30))
        .faults([(0, Fault::DiesBefore), (60, Fault::DiesBefore)])
        .reads_again()
        .first_batch(3);
    run(&spec("a", json!({"atLeastOnce": true})), &broker);
    assert_eq!(broker.deaths(), 2);
    let acknowledged_early = lines(&broker, "ack a=4").len();
    assert_eq!(acknowledged_early, 1, "{:#?}", broker.log());
    let mut acted = acted(&broker);
    let actions = acted.len();
    acted.dedup();
    assert_eq!(acted, (1..=30).collect::<Vec<u64>>());
    // A write is quick here: only what was under way is repeated.
    assert!(actions <= 31, "{:#?}", broker.log());
}

#[test]
fn a_record_whose_answer_is_lost_is_read_and_written_again() {
    // Effects: the death, the first action, its record.
    let broker = Broker::with("aaa")
        .faults([(0, Fault::DiesBefore), (2, Fault::AnswerLost)])
        .reads_again();
    run(&spec("a", json!({"atLeastOnce": true})), &broker);
    assert_eq!(acted(&broker), [1, 2, 3]);
    let finished = broker.record("t/_finished").expect("a record");
    assert_eq!(finished["finished"]["a"], 3, "{:#?}", broker.log());
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
    fn faults_repeat_a_bounded_number_of_events_and_change_no_order(
        count in 1_usize..60,
        faults in proptest::collection::btree_map(0_usize..300, fault(), 0..40),
        slow in 0_u64..3,
        first in 1_u64..60,
    ) {
        let broker = Broker::with(&"a".repeat(count))
            .faults(faults)
            .reads_again()
            .first_batch(first)
            .slow_writes(Duration::from_millis(slow));
        // An action that the bus of the test refuses is tried again.
        run(&spec("a", json!({"atLeastOnce": true, "retryStrategy": {"steps": 100}})), &broker);
        let acted = acted(&broker);
        // The first action of each event comes after those of all older ones.
        let mut newest = 0;
        for number in &acted {
            prop_assert!(*number <= newest + 1, "{:?}", acted);
            newest = newest.max(*number);
        }
        prop_assert_eq!(newest, count as u64);
        let mut tries = acted;
        tries.dedup();
        let most = count + broker.deaths() * REPEATED;
        prop_assert!(tries.len() <= most, "{} > {}: {:#?}", tries.len(), most, broker.log());
    }
}
