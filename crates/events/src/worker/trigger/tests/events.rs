//! Triggers that act on each event by itself.

use serde_json::json;
use tokio::sync::mpsc;

use super::{
    Broker, Play,
    broker::Fault,
    process::{Spec, context},
    run, spec,
};

#[test]
fn at_least_once_takes_one_event_after_the_other_and_answers_after_the_action() {
    let broker = Broker::with("ab!a");
    run(&spec("a || b", json!({"atLeastOnce": true})), &broker);
    assert_eq!(
        broker.log(),
        [
            "act a=1",
            "ack a=1",
            "act b=2",
            "ack b=2",
            "letter after 0: not a CloudEvent in JSON: expected ident at line 1 column 2",
            "ack a=3",
            "act a=4",
            "ack a=4",
        ]
    );
}

#[test]
fn an_action_that_panics_is_tried_again_and_dead_lettered_in_its_place() {
    let broker = Broker::with("aa").plays([Play::Panics, Play::Fails]);
    let twice = json!({"atLeastOnce": true, "retryStrategy": {"steps": 2}});
    run(&spec("a", twice), &broker);
    assert_eq!(
        broker.log(),
        [
            "act a=1",
            "act a=1",
            "letter after 2: refused",
            "ack a=1",
            "act a=2",
            "ack a=2",
        ]
    );
}

#[test]
fn without_order_a_failed_event_goes_back_to_the_bus_until_its_next_try() {
    let broker = Broker::with("a").plays([Play::Panics, Play::Panics]);
    run(&spec("a", json!({"retryStrategy": {"steps": 2}})), &broker);
    assert_eq!(
        broker.log(),
        [
            "act a=1",
            "nak a=1",
            "act a=1",
            "letter after 2: the action panicked, which is a bug: boom",
            "ack a=1",
        ]
    );
}

#[test]
fn a_task_that_panics_beyond_its_action_gives_the_event_back() {
    let broker = Broker::with("a")
        .plays([Play::Fails, Play::Fails])
        .letter_panics();
    run(&spec("a", json!({"atLeastOnce": true})), &broker);
    assert_eq!(
        broker.log(),
        [
            "act a=1",
            "nak a=1",
            "act a=1",
            "letter after 1: refused",
            "ack a=1",
        ]
    );
}

#[test]
fn a_process_that_dies_between_action_and_answer_leaves_the_event_to_the_next() {
    let broker = Broker::with("a").faults([(0, Fault::DiesAfter)]);
    run(&spec("a", json!({"atLeastOnce": true})), &broker);
    assert_eq!(broker.log(), ["act a=1", "act a=1", "ack a=1"]);
}

#[tokio::test]
async fn events_that_do_not_count_are_counted_by_what_refuses_them() {
    let spec = Spec::check(&json!({
        "dependencies": [{
            "name": "a", "eventSourceName": "src", "eventName": "a",
            "filters": {"context": {"type": "other"}},
        }],
        "triggers": [{"template": {"name": "t", "log": {}}}],
    }));
    let broker = Broker::with("a!");
    let context = context(&spec, &broker);
    let (sender, _incoming) = mpsc::channel(8);
    for held in broker.deliver(1, sender) {
        context.admit(&held).await;
    }
    let metrics = &context.metrics;
    let discarded = |by: &str| {
        metrics
            .discarded
            .with_label_values(&["ns", "s", "t", by])
            .get()
    };
    assert_eq!((discarded("context"), discarded("data")), (1, 0));
    let letters = metrics.dead_lettered.with_label_values(&["ns", "s", "t"]);
    assert_eq!(letters.get(), 1);
}
