//! Services: cleaned up, kept, missing.

use std::time::Duration;

use serde_json::json;

use super::{NAMESPACE, PATIENCE, controller, is_healthy, rollout, server, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_loses_the_hash_when_its_rollout_is_deleted() {
    let api = server();
    let selector =
        || api.get("services", NAMESPACE, "main").expect("the Service")["spec"]["selector"].clone();
    for name in ["main", "other"] {
        api.put(&json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": {"selector": {"app": "web"}}}));
    }
    api.put(&rollout(&json!({"blueGreen": {"activeService": "main"}})));
    let operator = controller(&api);
    until(&api, "deployed", is_healthy).await;
    assert!(selector()["rollouts-pod-template-hash"].is_string());
    api.edit("rollouts", NAMESPACE, "web", |rollout| {
        rollout["spec"]["strategy"]["blueGreen"]["activeService"] = "other".into();
    });
    until(&api, "restored", |_| selector() == json!({"app": "web"})).await;
    let other = || {
        api.get("services", NAMESPACE, "other")
            .expect("the Service")
    };
    until(&api, "switched", |_| {
        other()["spec"]["selector"]["rollouts-pod-template-hash"].is_string()
    })
    .await;
    api.delete("rollouts", NAMESPACE, "web");
    let gone = async {
        while other()["spec"]["selector"] != json!({"app": "web"}) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone)
        .await
        .expect("the Service is restored");
    assert!(
        other()["metadata"]["annotations"]
            .as_object()
            .is_none_or(serde_json::Map::is_empty)
    );
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_kept_while_its_rollout_cannot_be_read() {
    /// Long enough for the task that gives Services back to have looked.
    const A_WHILE: Duration = Duration::from_millis(300);
    let api = server();
    api.put(&json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "main", "namespace": NAMESPACE}, "spec": {"selector": {"app": "web"}}}));
    api.put(&rollout(&json!({"blueGreen": {"activeService": "main"}})));
    let operator = controller(&api);
    until(&api, "deployed", is_healthy).await;
    let selector =
        || api.get("services", NAMESPACE, "main").expect("the Service")["spec"]["selector"].clone();
    let before = selector();
    api.edit("rollouts", NAMESPACE, "web", |rollout| {
        rollout["spec"]["strategy"]["blueGreen"]["activeService"] = json!(["main"]);
    });
    until(&api, "refused", |rollout| {
        rollout["status"]["phase"] == "Degraded"
    })
    .await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(selector(), before);
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_service_that_appears_wakes_the_rollout() {
    let api = server();
    api.put(&rollout(&json!({"blueGreen": {"activeService": "main"}})));
    let operator = controller(&api);
    until(&api, "refused", |rollout| {
        rollout["status"]["phase"] == "Degraded"
    })
    .await;
    api.put(&json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "main", "namespace": NAMESPACE}, "spec": {}}));
    until(&api, "healed", is_healthy).await;
    operator.shutdown.cancel();
}
