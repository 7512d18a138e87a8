//! Patches, apply and the status subresource.

use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use super::code;
use crate::testkit::FakeApi;

fn server() -> (FakeApi, Api<Deployment>) {
    let server = FakeApi::new();
    let api = Api::namespaced(server.client(), "test");
    (server, api)
}

fn deployment(containers: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}},
        },
    })
}

fn live(server: &FakeApi) -> Value {
    server.get("deployments", "test", "web").expect("it exists")
}

#[tokio::test]
async fn merge_and_json_patches_change_what_they_name() {
    let (server, api) = server();
    server.put(&json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "test"}, "spec": {"replicas": 1, "paused": true},
    }));
    let params = PatchParams::default();
    api.patch(
        "web",
        &params,
        &Patch::<Value>::Merge(json!({"spec": {"replicas": 3, "paused": null}})),
    )
    .await
    .expect("merged");
    assert_eq!(live(&server)["spec"], json!({"replicas": 3}));
    assert_eq!(live(&server)["metadata"]["generation"], 2);
    let stale = json!({"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 4}});
    let error = api
        .patch("web", &params, &Patch::Merge(stale))
        .await
        .expect_err("conditional");
    assert_eq!(code(&error), 409);
    let operations = serde_json::from_value(json!([
        {"op": "test", "path": "/spec/replicas", "value": 3},
        {"op": "replace", "path": "/spec/replicas", "value": 5},
    ]))
    .expect("a JSON patch");
    api.patch("web", &params, &Patch::<()>::Json(operations))
        .await
        .expect("patched");
    assert_eq!(live(&server)["spec"]["replicas"], 5);
}

#[tokio::test]
async fn status_is_written_apart() {
    let (server, api) = server();
    let params = PatchParams::apply("one");
    api.patch("web", &params, &Patch::Apply(deployment(&json!([]))))
        .await
        .expect("applied");
    let both = json!({"spec": {"replicas": 9}, "status": {"replicas": 2}});
    api.patch_status("web", &PatchParams::default(), &Patch::Merge(&both))
        .await
        .expect("status");
    assert_eq!(live(&server)["status"]["replicas"], 2);
    assert_eq!(live(&server)["spec"].get("replicas"), None);
    assert_eq!(
        live(&server)["metadata"]["generation"],
        1,
        "status is no new generation"
    );
    api.patch("web", &PatchParams::default(), &Patch::Merge(&both))
        .await
        .expect("spec");
    assert_eq!(live(&server)["spec"]["replicas"], 9);
}

#[tokio::test]
async fn apply_merges_containers_removes_what_is_no_longer_sent_and_sees_conflicts() {
    let (server, api) = server();
    let one = PatchParams::apply("one");
    let first =
        deployment(&json!([{"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}]}]));
    api.patch("web", &one, &Patch::Apply(&first))
        .await
        .expect("created");
    let sidecar = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "spec": {"template": {"spec": {"containers": [{"name": "b", "image": "b:1"}]}}},
    });
    api.patch("web", &PatchParams::apply("two"), &Patch::Apply(&sidecar))
        .await
        .expect("merged");
    let images = |server: &FakeApi| {
        let containers = live(server)["spec"]["template"]["spec"]["containers"].clone();
        containers
            .as_array()
            .expect("a list")
            .iter()
            .map(|c| c["image"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(images(&server), ["a:1", "b:1"]);

    let fewer = deployment(&json!([{"name": "a", "image": "a:2"}]));
    api.patch("web", &one, &Patch::Apply(&fewer))
        .await
        .expect("applied");
    assert_eq!(images(&server), ["a:2", "b:1"]);
    let a = &live(&server)["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(a.get("env"), None, "the applier dropped it");

    let grab = deployment(&json!([{"name": "a", "image": "a:3"}]));
    let error = api
        .patch("web", &PatchParams::apply("two"), &Patch::Apply(&grab))
        .await
        .expect_err("owned");
    assert_eq!(code(&error), 409);
    assert!(
        error.to_string().contains("conflict with \"one\""),
        "{error}"
    );
    api.patch(
        "web",
        &PatchParams::apply("two").force(),
        &Patch::Apply(&grab),
    )
    .await
    .expect("forced");
    assert_eq!(images(&server)[0], "a:3");
    let managers: Vec<Value> = live(&server)["metadata"]["managedFields"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| entry["manager"].clone())
        .collect();
    assert_eq!(managers, ["one", "two"]);
}

#[tokio::test]
async fn an_apply_that_only_shares_ownership_is_a_new_version_once() {
    let (server, api) = server();
    let wanted = deployment(&json!([]));
    let version = |of: &Deployment| of.metadata.resource_version.clone();
    let mut seen = Vec::new();
    for manager in ["one", "one", "two", "two"] {
        let applied = api
            .patch("web", &PatchParams::apply(manager), &Patch::Apply(&wanted))
            .await
            .expect("applied");
        seen.push(version(&applied));
    }
    assert_eq!(seen[0], seen[1]);
    assert_ne!(seen[1], seen[2], "managedFields changed");
    assert_eq!(seen[2], seen[3]);
    let managers = &live(&server)["metadata"]["managedFields"];
    assert_eq!(managers.as_array().map(Vec::len), Some(2), "{managers}");
}
