//! What `argocd-cm` changes.

use serde_json::{Value, json};

use super::{Bed, NAMESPACE, config_map};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_settings_exclude_is_neither_applied_nor_pruned_and_labels_can_be_the_mark() {
    let (bed, commit) = Bed::with(&[
        ("app/a.yaml", &config_map("a", "1")),
        ("app/gone.yaml", &config_map("gone", "1")),
    ]);
    let settings = |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm", "namespace": NAMESPACE}, "data": data});
    bed.api.put(&settings(
        json!({"application.resourceTrackingMethod": "label", "application.instanceLabelKey": "example.com/app"}),
    ));
    bed.application(&json!({"automated": {"prune": true}}));
    let operator = bed.controller().await;
    bed.until_synced(&commit).await;
    let map = bed.api.get("configmaps", "ns", "a").expect("a map");
    assert_eq!(map["metadata"]["labels"]["example.com/app"], "app");
    assert!(map["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"].is_null());
    // By its label the object is known as one of ours, so it goes with its manifest.
    bed.origin.remove("app/gone.yaml");
    let commit = bed.origin.commit("without");
    bed.refresh();
    bed.until_synced(&commit).await;
    bed.until("pruned", |bed| {
        bed.api.get("configmaps", "ns", "gone").is_none()
    })
    .await;
    // Excluded from now on: reported, and it stays although Git does not hold it any more.
    bed.api.edit("configmaps", NAMESPACE, "argocd-cm", |map| {
        map["data"]["resource.exclusions"] = json!("- kinds: [ConfigMap]\n");
    });
    bed.until("reported", |bed| {
        let status = &bed.app()["status"];
        status["conditions"]
            .to_string()
            .contains("ExcludedResourceWarning")
    })
    .await;
    bed.origin.remove("app/a.yaml");
    bed.push(&[("app/b.yaml", &config_map("b", "1"))]);
    bed.refresh();
    bed.until("compared", |bed| {
        let app = bed.app();
        let text = app["status"]["conditions"].to_string();
        app["metadata"]["annotations"]["argocd.argoproj.io/refresh"].is_null()
            && text.contains(" b is excluded")
    })
    .await;
    assert!(bed.api.get("configmaps", "ns", "a").is_some());
    assert!(bed.api.get("configmaps", "ns", "b").is_none());
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_settings_say_how_often_a_repository_is_polled() {
    let (bed, commit) = Bed::with(&[("app/a.yaml", &config_map("a", "1"))]);
    bed.application(&json!({"automated": {}}));
    let operator = bed.controller().await;
    bed.until_synced(&commit).await;
    // The command line says one hour, and nobody asks for a refresh.
    let commit = bed.push(&[("app/b.yaml", &config_map("b", "1"))]);
    bed.api.put(&json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm", "namespace": NAMESPACE},
        "data": {"timeout.reconciliation": "1s", "timeout.reconciliation.jitter": "0s"},
    }));
    bed.until_synced(&commit).await;
    operator.shutdown.cancel();
}
