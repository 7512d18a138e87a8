//! Watches as kube's own watcher uses them.

use std::{pin::pin, time::Duration};

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{ResourceExt, runtime::watcher};
use serde_json::json;

use super::config_maps;
use crate::testkit::{FakeApi, Fault};

fn put(server: &FakeApi, name: &str, label: &str) {
    server.put(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "test", "labels": {"l": label}},
    }));
}

async fn next(
    stream: &mut (impl Stream<Item = watcher::Result<watcher::Event<ConfigMap>>> + Unpin),
) -> String {
    let event = tokio::time::timeout(Duration::from_secs(10), stream.next()).await;
    match event.expect("an event in time").expect("no end") {
        Ok(watcher::Event::Init) => "init".to_owned(),
        Ok(watcher::Event::InitDone) => "done".to_owned(),
        Ok(watcher::Event::InitApply(object)) => format!("listed {}", object.name_any()),
        Ok(watcher::Event::Apply(object)) => format!("applied {}", object.name_any()),
        Ok(watcher::Event::Delete(object)) => format!("deleted {}", object.name_any()),
        Err(error) => format!(
            "error {}",
            error.to_string().split(':').next().unwrap_or_default()
        ),
    }
}

#[tokio::test]
async fn streamed_and_paged_lists_tell_the_same_story() {
    for streamed in [true, false] {
        let server = FakeApi::new();
        put(&server, "a", "x");
        put(&server, "b", "y");
        let mut config = watcher::Config::default().labels("l=x");
        if streamed {
            config = config.streaming_lists();
        }
        let mut stream = pin!(watcher(config_maps(server.client()), config));
        assert_eq!(next(&mut stream).await, "init");
        assert_eq!(next(&mut stream).await, "listed a");
        assert_eq!(next(&mut stream).await, "done");
        put(&server, "c", "x");
        assert_eq!(next(&mut stream).await, "applied c");
        // Leaving the selection is a deletion, entering it an addition.
        put(&server, "a", "y");
        assert_eq!(next(&mut stream).await, "deleted a");
        put(&server, "b", "x");
        assert_eq!(next(&mut stream).await, "applied b");
        server.delete("configmaps", "test", "c");
        assert_eq!(next(&mut stream).await, "deleted c");
    }
}

#[tokio::test]
async fn a_dropped_watch_continues_where_it_was() {
    let server = FakeApi::new();
    put(&server, "a", "x");
    let mut stream = pin!(watcher(
        config_maps(server.client()),
        watcher::Config::default().streaming_lists()
    ));
    for expected in ["init", "listed a", "done"] {
        assert_eq!(next(&mut stream).await, expected);
    }
    server.drop_watches();
    put(&server, "b", "x");
    assert_eq!(next(&mut stream).await, "applied b");
    let lists = server
        .requests()
        .iter()
        .filter(|r| r.query.contains_key("sendInitialEvents"))
        .count();
    assert_eq!(lists, 1, "no second list");
}

#[tokio::test]
async fn compaction_leads_to_a_new_list() {
    let server = FakeApi::new();
    put(&server, "a", "x");
    let mut stream = pin!(watcher(
        config_maps(server.client()),
        watcher::Config::default().streaming_lists()
    ));
    for expected in ["init", "listed a", "done"] {
        assert_eq!(next(&mut stream).await, expected);
    }
    server.compact();
    assert!(next(&mut stream).await.starts_with("error"));
    assert_eq!(next(&mut stream).await, "init");
    assert_eq!(next(&mut stream).await, "listed a");
}

#[tokio::test]
async fn a_refused_watch_is_seen_and_survived() {
    let server = FakeApi::new();
    put(&server, "a", "x");
    server.fail(Fault::status("watch", "configmaps", 500, "InternalError"));
    let mut stream = pin!(watcher(
        config_maps(server.client()),
        watcher::Config::default().streaming_lists()
    ));
    let mut seen = Vec::new();
    while seen.last().map(String::as_str) != Some("done") {
        seen.push(next(&mut stream).await);
    }
    assert!(seen.iter().any(|line| line == "listed a"), "{seen:?}");
}

#[tokio::test]
async fn streaming_can_be_refused() {
    let server = FakeApi::new().without_streaming();
    let mut stream = pin!(watcher(
        config_maps(server.client()),
        watcher::Config::default().streaming_lists()
    ));
    let mut first = next(&mut stream).await;
    if first == "init" {
        first = next(&mut stream).await;
    }
    assert!(first.starts_with("error"), "{first}");
}

#[tokio::test]
async fn metadata_alone_can_be_watched() {
    let server = FakeApi::new();
    server.put(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "test"}, "data": {"k": "v"},
    }));
    let api: kube::Api<kube::core::PartialObjectMeta<ConfigMap>> =
        kube::Api::namespaced(server.client(), "test");
    let list = api
        .list_metadata(&kube::api::ListParams::default())
        .await
        .expect("a list");
    assert_eq!(list.items[0].name_any(), "a");
}
