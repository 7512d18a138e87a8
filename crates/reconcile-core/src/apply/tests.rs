//! Events on a fake API server.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use serde_json::Value;

use super::EventSink;
use crate::{
    clock::Clock,
    event::EventNote,
    testkit::{FakeApi, Fault},
};

fn about(name: &str) -> ObjectReference {
    ObjectReference {
        kind: Some("Lamp".into()),
        name: Some(name.into()),
        namespace: Some("room".into()),
        uid: Some("u".into()),
        ..ObjectReference::default()
    }
}

/// A sink into a fake API server, on the paused time of the runtime.
fn sink() -> (EventSink, FakeApi) {
    let api = FakeApi::new();
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    let (sink, writer) = EventSink::new(api.client(), Clock::running(start), "me".into());
    tokio::spawn(writer);
    (sink, api)
}

async fn say(sink: &EventSink, name: &str, note: &str) {
    sink.emit("lamp", about(name), EventNote::normal("Painted", note));
    sink.flush().await;
    // The next one has another time, and so another name.
    tokio::time::sleep(Duration::from_millis(1)).await;
}

fn notes(api: &FakeApi) -> Vec<(String, i64)> {
    let count = |event: &Value| event["series"]["count"].as_i64().unwrap_or(1);
    let note = |event: &Value| event["note"].as_str().unwrap_or_default().to_owned();
    let events = api.list("events");
    events
        .iter()
        .map(|event| (note(event), count(event)))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_repetition_raises_a_count_and_another_note_is_another_event() {
    let (sink, api) = sink();
    for note in ["red", "red", "blue", "red"] {
        say(&sink, "a", note).await;
    }
    assert_eq!(notes(&api), [("red".into(), 3), ("blue".into(), 1)]);
    api.delete(
        "events",
        "room",
        api.list("events")[0]["metadata"]["name"]
            .as_str()
            .expect("a name"),
    );
    say(&sink, "a", "red").await;
    assert_eq!(notes(&api), [("blue".into(), 1), ("red".into(), 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_events_that_a_restarting_server_holds_up() {
    let (sink, api) = sink();
    api.fail(Fault::disconnect("create", "events").times(3));
    say(&sink, "a", "red").await;
    assert_eq!(notes(&api), [("red".into(), 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_holds_nothing_up() {
    let (sink, api) = sink();
    api.fail(Fault::status("create", "events", 403, "Forbidden"));
    let begin = tokio::time::Instant::now();
    say(&sink, "a", "red").await;
    assert!(begin.elapsed() < Duration::from_secs(1));
    say(&sink, "a", "blue").await;
    assert_eq!(notes(&api), [("blue".into(), 1)]);
}

#[tokio::test(start_paused = true)]
async fn an_object_with_the_longest_name_can_be_spoken_of() {
    let (sink, api) = sink();
    say(&sink, &"a".repeat(253), &"x".repeat(5000)).await;
    let event = &api.list("events")[0];
    let name = event["metadata"]["name"].as_str().expect("a name");
    assert!(name.len() <= 253, "{}", name.len());
    assert!(event["note"].as_str().expect("a note").len() < 1024);
}
