//! Tests of the queue, the back-off and merge patches.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Backoff, Queue, into_merge_diff, merge_diff};
use crate::error::error_chain;
use crate::{apply, object::ObjectKey, testkit::FakeApi};

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("ns", name)
}

#[tokio::test]
async fn an_object_that_changes_often_gets_one_pass() {
    let queue = Queue::new();
    queue.add(key("a"));
    queue.add(key("a"));
    queue.add(key("b"));
    assert_eq!(queue.next().await, key("a"));
    assert_eq!(queue.next().await, key("b"));
    assert_eq!(queue.depth(), 2);
    queue.finish(&key("a"));
    queue.finish(&key("b"));
    assert_eq!(queue.depth(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_change_during_a_pass_leads_to_another_one() {
    let queue = Queue::new();
    queue.add(key("a"));
    assert_eq!(queue.next().await, key("a"));
    queue.add(key("a"));
    let early = tokio::time::timeout(Duration::from_secs(5), queue.next()).await;
    assert!(early.is_err(), "an object in work was handed out twice");
    queue.finish(&key("a"));
    assert_eq!(queue.next().await, key("a"));
}

#[tokio::test(start_paused = true)]
async fn the_earliest_wake_up_wins() {
    let queue = Queue::new();
    queue.add_after(key("a"), Duration::from_secs(60));
    queue.add_after(key("a"), Duration::from_secs(10));
    queue.add_after(key("a"), Duration::from_secs(30));
    let start = tokio::time::Instant::now();
    assert_eq!(queue.next().await, key("a"));
    assert_eq!(start.elapsed().as_secs(), 10);
    queue.finish(&key("a"));
    let late = tokio::time::timeout(Duration::from_secs(600), queue.next()).await;
    assert!(late.is_err(), "a replaced wake-up fired");
}

#[tokio::test(start_paused = true)]
async fn a_waiting_consumer_is_woken_by_an_earlier_timer() {
    let queue = Queue::new();
    queue.add_after(key("late"), Duration::from_secs(60));
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.next().await }
    });
    tokio::task::yield_now().await;
    queue.add_after(key("soon"), Duration::from_secs(1));
    assert_eq!(waiting.await.expect("no panic"), key("soon"));
}

#[test]
fn back_off_doubles_per_object_up_to_a_minute() {
    let backoff = Backoff::default();
    assert_eq!(backoff.failed(&key("a")), Duration::from_millis(50));
    assert_eq!(backoff.failed(&key("a")), Duration::from_millis(100));
    assert_eq!(backoff.failed(&key("b")), Duration::from_millis(50));
    for _ in 0..40 {
        backoff.failed(&key("a"));
    }
    assert_eq!(backoff.failed(&key("a")), Duration::from_secs(60));
    backoff.succeeded(&key("a"));
    assert_eq!(backoff.failed(&key("a")), Duration::from_millis(50));
}

#[test]
fn a_merge_patch_holds_only_what_changed() {
    let old = json!({"a": 1, "b": {"c": 2, "d": 3}, "e": [1, 2], "gone": true});
    let new = json!({"a": 1, "b": {"c": 2, "d": 4}, "e": [1], "new": "x"});
    let patch = merge_diff(&old, &new).expect("they differ");
    assert_eq!(
        patch,
        json!({"b": {"d": 4}, "e": [1], "gone": null, "new": "x"})
    );
    let mut patched = old.clone();
    json_patch::merge(&mut patched, &patch);
    assert_eq!(patched, new);
    assert_eq!(merge_diff(&old, &old), None);
}

#[test]
fn a_patch_leads_from_each_state_to_each_other() {
    let states = [
        json!({}),
        json!({"a": 1, "b": {"c": [1, 2], "d": {}}}),
        json!({"a": 1, "b": {"c": [1, 3], "d": {"e": 2}}}),
        json!({"b": "text"}),
        json!([1]),
    ];
    for old in &states {
        for new in &states {
            let patch = into_merge_diff(old, new.clone());
            assert_eq!(patch, merge_diff(old, new));
            assert_eq!(patch.is_none(), old == new);
            if let Some(patch) = patch {
                let mut patched = old.clone();
                json_patch::merge(&mut patched, &patch);
                assert_eq!(patched, *new);
            }
        }
    }
    // A member that is null cannot be had by a merge patch, and is asked for all the same.
    let null = json!({"b": {"d": {"e": null}}});
    assert_eq!(merge_diff(&json!({"b": {"d": {}}}), &null), Some(null));
    assert_eq!(
        merge_diff(&Value::Null, &json!({"a": 1})),
        Some(json!({"a": 1}))
    );
}

#[tokio::test]
async fn an_error_of_the_api_server_is_printed_once_and_without_a_dump() {
    let pods = apply::resource_of(&kube::core::GroupVersionKind::gvk("", "v1", "Pod"), "pods");
    let client = FakeApi::new().client();
    let error = apply::merge_patch(&client, &pods, &key("gone"), &json!({}), "test")
        .await
        .expect_err("there is none");
    assert_eq!(
        error_chain(&error),
        "patch Pod ns/gone: pods \"gone\" not found"
    );
    let kube = error.source;
    assert_eq!(error_chain(&kube), "pods \"gone\" not found");
    let watch = kube::runtime::watcher::Error::WatchStartFailed(kube);
    assert_eq!(
        error_chain(&watch),
        "failed to start watching object: pods \"gone\" not found"
    );
}
