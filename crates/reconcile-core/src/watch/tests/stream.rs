//! The watch on a fake API server, on the paused time of the runtime.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use parking_lot::Mutex;
use serde_json::json;

use super::{key, meta};
use crate::{
    admin::Ready,
    testkit::{FakeApi, Fault},
    watch::{Guarded, Index, Watch, WatchConfig},
};

struct Watched {
    index: Index<String>,
    ready: Ready,
}

/// Watches the ConfigMaps that are labelled `l=x`; those with an empty value are left out.
fn watch(api: &FakeApi) -> Watched {
    watch_into(api, Index::default(), |_| {})
}

fn watch_into(
    api: &FakeApi,
    index: Index<String>,
    converted: impl Fn(&str) + Send + Sync + 'static,
) -> Watched {
    let ready = Ready::default();
    let maps: Api<Guarded<ConfigMap>> = Api::all(api.client());
    let watch = Watch::new(maps, index.clone(), move |map: ConfigMap| {
        converted(map.metadata.name.as_deref().unwrap_or_default());
        let value = map.data?.remove("k")?;
        Some(value).filter(|value| !value.is_empty())
    });
    let selected = WatchConfig {
        labels: Some("l=x".into()),
        fields: None,
    };
    tokio::spawn(watch.config(selected).ready(ready.clone()).run());
    Watched { index, ready }
}

fn put(api: &FakeApi, name: &str, label: &str, value: &str) {
    api.put(&json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"k": value},
        "metadata": {"name": name, "namespace": "ns", "labels": {"l": label}},
    }));
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

impl Watched {
    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.index.keys().into_iter().map(|key| key.name).collect();
        names.sort();
        names
    }
}

fn count(api: &FakeApi, is: impl Fn(&crate::testkit::Logged) -> bool) -> usize {
    api.requests().iter().filter(|request| is(request)).count()
}

fn streamed_lists(api: &FakeApi) -> usize {
    count(api, |request| {
        request.query.contains_key("sendInitialEvents")
    })
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_know_of_streamed_lists_is_asked_for_pages() {
    for api in [
        FakeApi::new().without_streaming(),
        FakeApi::new().ignoring_streaming(),
    ] {
        put(&api, "a", "x", "1");
        let watched = watch(&api);
        pass(90).await;
        assert!(watched.ready.is_set(), "the list never ended");
        put(&api, "b", "x", "1");
        pass(1).await;
        assert_eq!(watched.names(), ["a", "b"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_streamed_list_is_not_given_up_because_of_an_outage() {
    let api = FakeApi::new();
    put(&api, "a", "x", "1");
    api.fail(Fault::disconnect("watch", "configmaps").times(30));
    let watched = watch(&api);
    pass(400).await;
    assert!(watched.ready.is_set());
    assert_eq!(count(&api, |request| request.verb == "list"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_history_leads_to_a_new_list_however_it_is_reported() {
    let api = FakeApi::new();
    put(&api, "a", "x", "1");
    put(&api, "b", "x", "1");
    let watched = watch(&api);
    pass(1).await;
    assert_eq!((watched.names().len(), streamed_lists(&api)), (2, 1));
    // As the answer to the request that would continue.
    api.fail(Fault::status("watch", "configmaps", 410, "Expired"));
    api.drop_watches();
    api.delete("configmaps", "ns", "a");
    pass(5).await;
    assert_eq!(
        (watched.names(), streamed_lists(&api)),
        (vec!["b".into()], 2)
    );
    // As an event.
    api.compact();
    api.delete("configmaps", "ns", "b");
    pass(5).await;
    assert_eq!((watched.names().len(), streamed_lists(&api)), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn what_leaves_the_selection_or_is_left_out_goes_and_comes_back() {
    let api = FakeApi::new();
    put(&api, "a", "x", "1");
    let heard = Arc::<Mutex<usize>>::default();
    let watched = watch(&api);
    let ear = heard.clone();
    watched.index.on_change(move |_| *ear.lock() += 1);
    for (label, value, names) in [
        ("x", "1", 1),
        ("y", "1", 0),
        ("x", "1", 1),
        ("x", "", 0),
        ("x", "2", 1),
    ] {
        put(&api, "a", label, value);
        pass(1).await;
        assert_eq!(watched.names().len(), names, "{label} {value:?}");
    }
    assert_eq!(*heard.lock(), 5, "a change was not reported");
}

#[tokio::test(start_paused = true)]
async fn an_own_write_that_somebody_undid_before_the_list_is_found_out() {
    let api = FakeApi::new();
    put(&api, "a", "x", "1");
    let index = Index::default();
    let own = index.clone();
    let watched = watch_into(&api, index, move |name| {
        // While the list is read: the answer to a create of an object that is gone already, and of one that is there
        // but that no event has shown.
        if name == "a" {
            own.written(&meta("gone", "u1", 1), "1".to_owned());
        }
    });
    pass(1).await;
    assert_eq!(watched.names(), ["a", "gone"]);
    pass(10).await;
    assert_eq!(watched.names(), ["a"]);
    assert!(
        watched
            .index
            .written(&meta("gone", "u1", 1), "1".to_owned())
            .is_none()
    );
    assert_eq!(
        watched.index.get(&key("a")).as_deref().map(String::as_str),
        Some("1")
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_after_each_list_is_not_asked_for_lists_in_a_row() {
    let api = FakeApi::new();
    put(&api, "a", "x", "1");
    let watched = watch(&api);
    pass(1).await;
    assert!(watched.ready.is_set());
    for _ in 0..600 {
        api.compact();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let lists = streamed_lists(&api);
    assert!(lists < 20, "{lists} lists in a minute");
}
