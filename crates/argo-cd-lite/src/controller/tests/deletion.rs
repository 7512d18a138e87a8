//! What happens to the objects of an Application that is deleted.

use serde_json::{Value, json};

use super::{Bed, FileRepositories, HOOK, NAMESPACE, config_map};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_takes_its_objects_along() {
    let (bed, commit) = Bed::with(&[("app/a.yaml", &config_map("a", "1"))]);
    bed.application(&json!({"automated": {}}));
    bed.api.edit("applications", NAMESPACE, "app", |app| {
        app["metadata"]["finalizers"] = json!([crate::api::RESOURCES_FINALIZER]);
    });
    let operator = bed.controller().await;
    bed.until_synced(&commit).await;
    bed.api.put(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other", "namespace": "ns"}}));
    bed.api.delete("applications", NAMESPACE, "app");
    bed.until("gone", |bed| {
        bed.api.get("applications", NAMESPACE, "app").is_none()
    })
    .await;
    assert_eq!(bed.api.get("configmaps", "ns", "a"), None);
    assert!(
        bed.api.get("configmaps", "ns", "other").is_some(),
        "not its own"
    );
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_of_the_deletion_run_around_it_and_are_removed() {
    let hook = |name: &str, phase: &str| {
        format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: {name}, annotations: {{argocd.argoproj.io/hook: {phase}, argocd.argoproj.io/hook-delete-policy: HookSucceeded}}}}\nspec: {{template: {{spec: {{restartPolicy: Never, containers: [{{name: c, image: i}}]}}}}}}\n"
        )
    };
    let (bed, commit) = Bed::with(&[
        ("app/a.yaml", &config_map("a", "1")),
        ("app/backup.yaml", &hook("backup", "PreDelete")),
        ("app/farewell.yaml", &hook("farewell", "PostDelete")),
    ]);
    bed.application(&json!({"automated": {}}));
    bed.api.edit("applications", NAMESPACE, "app", |app| {
        app["metadata"]["finalizers"] = json!([crate::api::RESOURCES_FINALIZER]);
    });
    let operator = bed.controller().await;
    bed.until_synced(&commit).await;
    assert!(bed.api.list("jobs").is_empty(), "no hook of a sync");
    bed.until("held by its hooks", |bed| {
        let finalizers = bed.app()["metadata"]["finalizers"].to_string();
        finalizers.contains("pre-delete-finalizer") && finalizers.contains("post-delete-finalizer")
    })
    .await;
    bed.api.delete("applications", NAMESPACE, "app");
    bed.until("backed up", |bed| {
        bed.api.get("jobs", "ns", "backup").is_some()
    })
    .await;
    assert!(bed.api.get("configmaps", "ns", "a").is_some(), "not yet");
    bed.complete("backup");
    bed.until("without objects", |bed| {
        bed.api.get("jobs", "ns", "farewell").is_some()
    })
    .await;
    assert!(bed.api.get("configmaps", "ns", "a").is_none());
    bed.complete("farewell");
    bed.until("gone", |bed| bed.app().is_null()).await;
    assert!(bed.api.list("jobs").is_empty(), "both are removed");
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_hook_of_a_source_that_is_not_permitted_runs_at_the_deletion() {
    let hook = HOOK.replace("PreSync", "PreDelete");
    let files = [("app/a.yaml", config_map("a", "1")), ("app/h.yaml", hook)];
    let (mut bed, _) = Bed::with(&files.each_ref().map(|(path, text)| (*path, text.as_str())));
    bed.file_repositories = FileRepositories::Refuse;
    bed.application(&json!({"automated": {}}));
    // Synced while it was permitted, and deleted after that.
    bed.api.edit("applications", NAMESPACE, "app", |app| {
        app["metadata"]["finalizers"] = json!([
            crate::api::RESOURCES_FINALIZER,
            crate::api::PRE_DELETE_FINALIZER,
        ]);
    });
    bed.api.put(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "ns",
        "annotations": {"argocd.argoproj.io/tracking-id": "app:/ConfigMap:ns/a"}}}));
    bed.api.delete("applications", NAMESPACE, "app");
    let operator = bed.controller().await;
    bed.until("says why it waits", |bed| {
        let text = bed.app()["status"]["conditions"].to_string();
        text.contains("DeletionError") && text.contains("--allow-file-repositories")
    })
    .await;
    assert!(bed.api.list("jobs").is_empty());
    assert!(
        bed.api.get("configmaps", "ns", "a").is_some(),
        "nothing is deleted before its hooks"
    );
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_moves_to_another_application_is_not_deleted_with_the_first() {
    move_an_object(|_| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_moves_to_an_application_with_several_sources_is_not_deleted() {
    move_an_object(|spec| {
        let source = spec["source"].take();
        spec["sources"] = json!([source]);
        spec.as_object_mut().expect("a spec").remove("source");
    })
    .await;
}

/// Deletes an Application one of whose objects another one describes, whose spec `change` makes.
async fn move_an_object(change: impl FnOnce(&mut Value)) {
    let (bed, commit) = Bed::with(&[
        ("app/a.yaml", &config_map("a", "1")),
        ("app/moved.yaml", &config_map("moved", "1")),
        ("other/moved.yaml", &config_map("moved", "1")),
    ]);
    bed.application(&json!({"automated": {}}));
    bed.api.edit("applications", NAMESPACE, "app", |app| {
        app["metadata"]["finalizers"] = json!([crate::api::RESOURCES_FINALIZER]);
    });
    let operator = bed.controller().await;
    bed.until_synced(&commit).await;
    // It describes the object, and was not synced yet.
    let mut other = bed.app();
    other["metadata"] = json!({"name": "other", "namespace": NAMESPACE});
    other["spec"]["source"]["path"] = "other".into();
    change(&mut other["spec"]);
    other["spec"]["syncPolicy"] = json!({});
    other["status"] = Value::Null;
    bed.api.put(&other);
    let warned = |bed: &Bed| {
        let other = bed.api.get("applications", NAMESPACE, "other");
        other.is_some_and(|app| {
            app["status"]["conditions"]
                .to_string()
                .contains("SharedResourceWarning")
        })
    };
    bed.until("compared", warned).await;
    bed.api.delete("applications", NAMESPACE, "app");
    bed.until("gone", |bed| bed.app().is_null()).await;
    assert!(bed.api.get("configmaps", "ns", "a").is_none());
    assert!(bed.api.get("configmaps", "ns", "moved").is_some());
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_that_an_application_leaves_behind_loses_its_finalizer() {
    let (bed, _) = Bed::with(&[
        ("app/hook.yaml", HOOK),
        ("app/a.yaml", &config_map("a", "1")),
    ]);
    bed.application(&json!({"automated": {}}));
    let operator = bed.controller().await;
    let finalizers = |bed: &Bed| {
        let job = bed.api.get("jobs", "ns", "pre");
        job.map(|job| job["metadata"]["finalizers"].to_string())
    };
    bed.until("at work", |bed| {
        finalizers(bed).is_some_and(|names| names.contains(crate::api::HOOK_FINALIZER))
    })
    .await;
    // Without the finalizer of its own, the Application is gone at once.
    bed.api.delete("applications", NAMESPACE, "app");
    bed.until("released", |bed| {
        finalizers(bed).is_some_and(|names| !names.contains(crate::api::HOOK_FINALIZER))
    })
    .await;
    operator.shutdown.cancel();
}
