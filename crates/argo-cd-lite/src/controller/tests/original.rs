//! Beside a running application controller of Argo CD.

use serde_json::{Value, json};

use super::{Bed, NAMESPACE, config_map};

/// The pod of the original's StatefulSet.
fn pod(phase: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "argocd-application-controller-0", "namespace": NAMESPACE,
            "labels": {"app.kubernetes.io/name": "argocd-application-controller"},
        },
        "status": {"phase": phase},
    })
}

/// The message of the condition that says that the original runs.
fn refusal(bed: &Bed) -> Option<String> {
    let app = bed.app();
    let conditions = app["status"]["conditions"].as_array()?;
    let found = conditions
        .iter()
        .find(|condition| condition["type"] == "OriginalControllerRunning")?;
    Some(found["message"].as_str()?.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_changed_while_the_original_runs_and_all_of_it_when_it_is_gone() {
    let (bed, commit) = Bed::with(&[("app/a.yaml", &config_map("a", "1"))]);
    bed.api.put(&pod("Running"));
    bed.application(&json!({"automated": {"prune": true, "selfHeal": true}}));
    let operator = bed.controller().await;
    bed.until("refused", |bed| refusal(bed).is_some()).await;
    let message = refusal(&bed).unwrap_or_default();
    assert!(
        message.contains("argocd-application-controller-0"),
        "{message}"
    );
    assert!(message.contains("--take-over"), "{message}");
    bed.until("reported as an Event", |bed| {
        bed.api.requests().iter().any(|request| {
            request.resource == "events"
                && request.body["reason"] == "OriginalControllerRunning"
                && request.body["type"] == "Warning"
        })
    })
    .await;
    assert_eq!(operator.readiness.holds(), [message]);
    // The condition is the only write: no project, no object, no other part of the status.
    assert_eq!(bed.writes().len(), 1, "{:#?}", bed.writes());
    let status = bed.app()["status"].clone();
    assert_eq!(
        status.as_object().map(serde_json::Map::len),
        Some(1),
        "{status}"
    );
    // Scaled to 0.
    bed.api.edit(
        "pods",
        NAMESPACE,
        "argocd-application-controller-0",
        |pod| {
            pod["status"]["phase"] = json!("Succeeded");
        },
    );
    bed.until_synced(&commit).await;
    bed.until("without the condition", |bed| refusal(bed).is_none())
        .await;
    assert!(operator.readiness.holds().is_empty());
    // Started again: the way back.
    bed.api.edit(
        "pods",
        NAMESPACE,
        "argocd-application-controller-0",
        |pod| {
            pod["status"]["phase"] = json!("Running");
        },
    );
    bed.until("refused again", |bed| refusal(bed).is_some())
        .await;
    bed.api.clear_requests();
    let commit = bed.push(&[("app/b.yaml", &config_map("b", "1"))]);
    bed.refresh();
    assert_eq!(bed.writes_of("configmaps"), 0, "{:#?}", bed.writes());
    let pod = bed
        .api
        .get("pods", NAMESPACE, "argocd-application-controller-0");
    assert_eq!(pod.expect("the pod")["status"]["phase"], "Running");
    assert!(bed.api.get("configmaps", "ns", "b").is_none());
    bed.api
        .delete("pods", NAMESPACE, "argocd-application-controller-0");
    bed.until_synced(&commit).await;
    assert!(bed.api.get("configmaps", "ns", "b").is_some());
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn take_over_acts_beside_the_original() {
    let (mut bed, commit) = Bed::with(&[("app/a.yaml", &config_map("a", "1"))]);
    bed.take_over = true;
    bed.api.put(&pod("Running"));
    bed.application(&json!({"automated": {}}));
    let operator = bed.controller().await;
    bed.until_synced(&commit).await;
    assert_eq!(refusal(&bed), None);
    assert!(operator.readiness.holds().is_empty());
    operator.shutdown.cancel();
}
