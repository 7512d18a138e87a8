//! Manifests that an operation brings itself, and what projects say about namespaces.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use super::{Bed, NAMESPACE, config_map};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_may_bring_its_manifests() {
    let (bed, commit) = Bed::with(&[("app/a.yaml", &config_map("a", "1"))]);
    bed.application(&json!({}));
    bed.api.edit("applications", NAMESPACE, "app", |app| {
        let local = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "local"},
        });
        app["operation"] = json!({"sync": {"manifests": [local.to_string()]}});
    });
    let operator = bed.controller().await;
    bed.until("synced with what was sent", |bed| {
        bed.app()["status"]["operationState"]["phase"] == "Succeeded"
    })
    .await;
    let map = bed.api.get("configmaps", "ns", "a").expect("the object");
    assert_eq!(map["data"]["a"], "local");
    let mark = &map["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"];
    assert_eq!(mark, "app:/ConfigMap:ns/a");
    bed.until("compared with Git", |bed| {
        let sync = &bed.app()["status"]["sync"];
        sync["status"] == "OutOfSync" && sync["revision"] == commit.as_str()
    })
    .await;
    for (manifest, expected) in [
        ("{\"kind\": ", "operation.sync.manifests[0]"),
        (
            "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {}}",
            "has no metadata.name",
        ),
    ] {
        bed.api.edit("applications", NAMESPACE, "app", |app| {
            app["operation"] = json!({"sync": {"manifests": [manifest]}});
        });
        bed.until("refused", |bed| {
            let state = &bed.app()["status"]["operationState"];
            let message = state["message"].as_str().unwrap_or_default();
            state["phase"] == "Error" && message.contains(expected)
        })
        .await;
    }
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hydrator_is_refused_by_its_field_and_nothing_is_applied() {
    let (bed, _) = Bed::with(&[("app/a.yaml", &config_map("a", "1"))]);
    bed.application(&json!({"automated": {}}));
    bed.api.edit("applications", NAMESPACE, "app", |app| {
        app["spec"]["sourceHydrator"] = json!({
            "drySource": {"repoURL": "https://git.example.com/dry.git", "path": ".", "targetRevision": "main"},
            "syncSource": {"targetBranch": "environments/prod", "path": "app"},
        });
    });
    let operator = bed.controller().await;
    bed.until("a condition names the field", |bed| {
        let conditions = bed.app()["status"]["conditions"].clone();
        let conditions = conditions.as_array().cloned().unwrap_or_default();
        conditions.iter().any(|one| {
            let message = one["message"].as_str().unwrap_or_default();
            one["type"] == "InvalidSpecError"
                && message.contains("spec.sourceHydrator")
                && message.contains("manifests are not written back to Git")
        })
    })
    .await;
    assert_eq!(bed.api.get("configmaps", "ns", "a"), None);
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_warns_of_objects_that_no_application_manages() {
    let (bed, commit) = Bed::with(&[("app/a.yaml", &config_map("a", "1"))]);
    let map = |name: &str, more: serde_json::Value| {
        let mut map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "ns"},
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            map["metadata"][key] = value.clone();
        }
        map
    };
    bed.api.put(&map("orphan", json!({})));
    bed.api.put(&map("ignored", json!({})));
    bed.api.put(&map("kube-root-ca.crt", json!({})));
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "orphan", "uid": "1"}]);
    bed.api
        .put(&map("owned", json!({"ownerReferences": owner})));
    let mark = json!({"argocd.argoproj.io/tracking-id": "other:/ConfigMap:ns/others"});
    bed.api.put(&map("others", json!({"annotations": mark})));
    bed.project(&json!({
        "orphanedResources": {"ignore": [{"kind": "ConfigMap", "name": "ign*"}]},
    }));
    bed.application(&json!({"automated": {}}));
    let operator = bed.controller().await;
    bed.until_synced(&commit).await;
    bed.until("warned", |bed| {
        let conditions = bed.app()["status"]["conditions"].to_string();
        conditions.contains("OrphanedResourceWarning")
            && conditions.contains("Application has 1 orphaned resources")
    })
    .await;
    bed.api
        .edit("appprojects", NAMESPACE, "default", |project| {
            project["spec"]["orphanedResources"]["warn"] = json!(false);
        });
    bed.until("silent", |bed| {
        let conditions = bed.app()["status"]["conditions"].to_string();
        !conditions.contains("OrphanedResourceWarning")
    })
    .await;
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_with_signature_keys_syncs_no_commit_that_they_did_not_sign() {
    let (bed, commit) = Bed::with(&[("app/a.yaml", &config_map("a", "1"))]);
    bed.project(&json!({"signatureKeys": [{"keyID": "0123456789ABCDEF"}]}));
    bed.application(&json!({"automated": {}}));
    let operator = bed.controller().await;
    bed.until("refused", |bed| {
        let status = &bed.app()["status"];
        let conditions = status["conditions"].to_string();
        status["sync"]["status"] == "Unknown"
            && conditions.contains("is not signed, but a signature is required")
    })
    .await;
    let local = config_map("a", "1");
    for operation in [
        json!({"sync": {"revision": commit}}),
        json!({"sync": {"manifests": [local]}}),
    ] {
        bed.api.edit("applications", NAMESPACE, "app", |app| {
            app["operation"] = operation;
        });
        bed.until("ended", |bed| {
            let app = bed.app();
            app["operation"].is_null() && app["status"]["operationState"]["phase"] == "Error"
        })
        .await;
    }
    assert!(bed.api.list("configmaps").is_empty());
    bed.api
        .edit("appprojects", NAMESPACE, "default", |project| {
            project["spec"]["signatureKeys"] = json!([]);
        });
    bed.api.edit("applications", NAMESPACE, "app", |app| {
        app["operation"] = json!({"sync": {}});
    });
    bed.until_synced(&commit).await;
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_of_another_project_is_refused() {
    let (bed, commit) = Bed::with(&[("app/a.yaml", &config_map("a", "1"))]);
    let secret = |project: &str| {
        bed.api.put(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": "repository", "namespace": NAMESPACE,
                "labels": {"argocd.argoproj.io/secret-type": "repository"},
            },
            "data": {
                "url": STANDARD.encode(bed.origin.url()),
                "password": STANDARD.encode("hush"),
                "project": STANDARD.encode(project),
            },
        }));
    };
    secret("other");
    bed.application(&json!({"automated": {}}));
    let operator = bed.controller().await;
    bed.until("a ComparisonError", |bed| {
        let conditions = bed.app()["status"]["conditions"].to_string();
        conditions.contains("belongs to another project")
    })
    .await;
    assert!(bed.api.get("configmaps", "ns", "a").is_none());
    secret("default");
    bed.until("synced", |bed| {
        // The Secret may be seen after a refresh.
        bed.api.edit("applications", NAMESPACE, "app", |app| {
            app["metadata"]["annotations"] = json!({"argocd.argoproj.io/refresh": "normal"});
        });
        let sync = &bed.app()["status"]["sync"];
        sync["status"] == "Synced" && sync["revision"] == commit.as_str()
    })
    .await;
    operator.shutdown.cancel();
}
