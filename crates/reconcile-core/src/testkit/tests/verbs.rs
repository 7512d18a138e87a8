//! Create, read, update, delete.

use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::ConfigMap};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, PostParams, Preconditions, PropagationPolicy},
};
use serde_json::json;

use super::{code, config_map, config_maps};
use crate::testkit::{FakeApi, Fault};

#[tokio::test]
async fn versions_grow_and_stale_updates_conflict() {
    let server = FakeApi::new();
    let api = config_maps(server.client());
    let created = api
        .create(&PostParams::default(), &config_map("a", &json!({"k": "1"})))
        .await
        .expect("created");
    assert!(created.uid().is_some() && created.metadata.creation_timestamp.is_some());
    let mut newer = created.clone();
    newer.data = Some([("k".to_owned(), "2".to_owned())].into());
    let updated = api
        .replace("a", &PostParams::default(), &newer)
        .await
        .expect("updated");
    let version = |object: &ConfigMap| {
        object
            .resource_version()
            .and_then(|v| v.parse::<u64>().ok())
    };
    assert!(version(&updated) > version(&created));
    let error = api
        .replace("a", &PostParams::default(), &newer)
        .await
        .expect_err("stale");
    assert_eq!(code(&error), 409);
    let again = api
        .replace("a", &PostParams::default(), &updated)
        .await
        .expect("the same");
    assert_eq!(version(&again), version(&updated), "no change, no version");
    let error = api
        .create(&PostParams::default(), &created)
        .await
        .expect_err("there already");
    assert_eq!(code(&error), 409);
    assert_eq!(code(&api.get("none").await.expect_err("none")), 404);
}

#[tokio::test]
async fn names_are_generated_and_lists_are_paged_and_selected() {
    let server = FakeApi::new();
    let api = config_maps(server.client());
    for n in 0..5 {
        let mut object = config_map("", &json!({}));
        object.metadata.name = None;
        object.metadata.generate_name = Some("x-".to_owned());
        object.metadata.labels = Some([("n".to_owned(), n.to_string())].into());
        let made = api
            .create(&PostParams::default(), &object)
            .await
            .expect("created");
        assert_eq!(made.name_any().len(), 7);
    }
    let first = api
        .list(&ListParams::default().limit(2))
        .await
        .expect("a page");
    let token = first.metadata.continue_.clone().expect("more pages");
    let second = api
        .list(&ListParams::default().limit(3).continue_token(&token))
        .await
        .expect("a page");
    assert_eq!((first.items.len(), second.items.len()), (2, 3));
    assert!(
        second
            .metadata
            .continue_
            .is_none_or(|token| token.is_empty())
    );
    let some = api
        .list(&ListParams::default().labels("n in (1,2)"))
        .await
        .expect("selected");
    assert_eq!(some.items.len(), 2);
    let name = some.items[0].name_any();
    let one = api
        .list(&ListParams::default().fields(&format!("metadata.name={name}")))
        .await;
    assert_eq!(one.expect("by name").items.len(), 1);
}

#[tokio::test]
async fn finalizers_hold_and_owners_take_dependents_along() {
    let server = FakeApi::new();
    let owner = server.put(&json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "test", "finalizers": ["example.org/hold"]},
    }));
    let reference = json!([{
        "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": owner["metadata"]["uid"],
    }]);
    server.put(&json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": "web-1", "namespace": "test", "ownerReferences": reference},
    }));
    server.delete("deployments", "test", "web");
    let held = server
        .get("deployments", "test", "web")
        .expect("held by its finalizer");
    assert!(held["metadata"]["deletionTimestamp"].is_string());
    assert!(server.get("replicasets", "test", "web-1").is_some());
    let sets: Api<ReplicaSet> = Api::namespaced(server.client(), "test");
    assert_eq!(
        sets.list(&ListParams::default())
            .await
            .expect("a list")
            .items
            .len(),
        1
    );
    server.edit("deployments", "test", "web", |object| {
        object["metadata"]["finalizers"] = json!([]);
    });
    // Clearing the last finalizer by a write finishes the deletion.
    let api: Api<k8s_openapi::api::apps::v1::Deployment> = Api::namespaced(server.client(), "test");
    let patch = kube::api::Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch("web", &kube::api::PatchParams::default(), &patch)
        .await
        .expect("patched");
    assert!(server.get("deployments", "test", "web").is_none());
    assert!(
        server.get("replicasets", "test", "web-1").is_none(),
        "collected"
    );
}

#[tokio::test]
async fn deletes_respect_preconditions_and_propagation() {
    let server = FakeApi::new();
    let api = config_maps(server.client());
    let made = api
        .create(&PostParams::default(), &config_map("a", &json!({})))
        .await
        .expect("created");
    let wrong = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some("other".to_owned()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    assert_eq!(
        code(&api.delete("a", &wrong).await.expect_err("another uid")),
        409
    );
    let child = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "b", "namespace": "test", "ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": made.uid()}]},
    });
    server.put(&child);
    let orphan = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    api.delete("a", &orphan).await.expect("deleted");
    assert!(server.get("configmaps", "test", "a").is_none());
    assert!(
        server.get("configmaps", "test", "b").is_some(),
        "left behind"
    );
}

#[tokio::test]
async fn dry_runs_change_nothing() {
    let server = FakeApi::new();
    let api = config_maps(server.client());
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    api.create(&dry, &config_map("a", &json!({})))
        .await
        .expect("would be created");
    assert!(server.list("configmaps").is_empty());
    assert!(server.writes().is_empty());
}

#[tokio::test]
async fn faults_come_as_ordered_and_requests_are_logged() {
    let server = FakeApi::new();
    let api = config_maps(server.client());
    server.fail(Fault::status("create", "configmaps", 429, "TooManyRequests").times(2));
    server.fail(Fault::lose_answer("delete", "configmaps"));
    let object = config_map("a", &json!({}));
    for expected in [429, 429] {
        let error = api
            .create(&PostParams::default(), &object)
            .await
            .expect_err("ordered");
        assert_eq!(code(&error), expected);
    }
    api.create(&PostParams::default(), &object)
        .await
        .expect("the fault is used up");
    assert!(
        api.delete("a", &DeleteParams::default()).await.is_err(),
        "the answer is lost"
    );
    assert!(
        server.list("configmaps").is_empty(),
        "but the delete was done"
    );
    let lines: Vec<String> = server
        .requests()
        .iter()
        .map(|r| format!("{} {}", r.line(), r.code))
        .collect();
    assert_eq!(
        lines,
        [
            "create configmaps test 429",
            "create configmaps test 429",
            "create configmaps test 201",
            "delete configmaps test/a 200"
        ]
    );
}

#[tokio::test]
async fn discovery_knows_the_kinds() {
    let server = FakeApi::new().with_kind(crate::testkit::FakeKind::new(
        "x.io", "v1", "Thing", "things",
    ));
    let discovery = kube::discovery::Discovery::new(server.client())
        .run()
        .await
        .expect("discovered");
    assert!(discovery.has_group("x.io") && discovery.has_group(""));
    server.forget_kind("things");
    let api: Api<kube::api::DynamicObject> = Api::namespaced_with(
        server.client(),
        "test",
        &kube::api::ApiResource::from_gvk_with_plural(
            &kube::core::GroupVersionKind::gvk("x.io", "v1", "Thing"),
            "things",
        ),
    );
    assert_eq!(code(&api.get("a").await.expect_err("not served")), 404);
}

#[tokio::test]
async fn manifests_can_be_put_in_as_they_are_written() {
    let server = FakeApi::new();
    let put = server.put_yaml(
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: b\n  namespace: a\n",
    );
    assert_eq!(put.len(), 2);
    assert!(
        server.get("namespaces", "", "a").is_some() && server.get("secrets", "a", "b").is_some()
    );
}
