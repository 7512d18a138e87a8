//! What is never pruned.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_pruned_while_live_objects_cannot_be_listed() {
    let (bed, first) = Bed::with(&[
        ("app/a.yaml", &config_map("a", "1")),
        ("app/b.yaml", &config_map("b", "1")),
    ]);
    bed.application(&json!({"automated": {"prune": true}}));
    let operator = bed.controller().await;
    bed.until_synced(&first).await;
    operator.shutdown.cancel();
    bed.origin.remove("app/b.yaml");
    let second = bed.push(&[]);
    bed.api
        .fail(Fault::status("list", "configmaps", 403, "Forbidden").times(3));
    bed.api
        .fail(Fault::status("watch", "configmaps", 403, "Forbidden").times(3));
    bed.api.clear_requests();
    let operator = bed.controller().await;
    bed.until_synced(&second).await;
    let requests = bed.api.requests();
    let pruned = requests
        .iter()
        .position(|request| request.verb == "delete" && request.resource == "configmaps")
        .expect("pruned in the end");
    let refused = requests.iter().rposition(|request| request.code == 403);
    assert!(refused.expect("faults") < pruned, "{:#?}", bed.writes());
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_project_does_not_permit_is_never_pruned() {
    let (bed, commit) = Bed::with(&[("app/a.yaml", &config_map("a", "1"))]);
    bed.project(&json!({"destinations": [{"server": "*", "namespace": "ns"}]}));
    for namespace in ["ns", "elsewhere"] {
        let tracking = format!("app:/ConfigMap:{namespace}/old");
        bed.api.put(
            &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
                "name": "old", "namespace": namespace,
                "annotations": {"argocd.argoproj.io/tracking-id": tracking},
            }}),
        );
    }
    bed.application(&json!({"automated": {"prune": true}}));
    let operator = bed.controller().await;
    bed.until_synced(&commit).await;
    assert_eq!(bed.api.get("configmaps", "ns", "old"), None, "pruned");
    assert!(bed.api.get("configmaps", "elsewhere", "old").is_some());
    let rows = bed.app()["status"]["resources"].clone();
    assert_eq!(rows.as_array().map(Vec::len), Some(1), "{rows}");
    operator.shutdown.cancel();
}
