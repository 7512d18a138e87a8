//! Syncs with the rights of accounts of the project.

use std::sync::Arc;

use http::Request;
use kube::{Client, client::Body};
use parking_lot::Mutex;
use reconcile_core::{clock::Clock, listen::ListenAddress, operator::Operator};
use serde_json::json;
use tower::service_fn;

use super::{Bed, NAMESPACE, config_map};

impl Bed {
    /// A running controller that reaches the API server through `client`.
    async fn controller_with(&self, client: Client) -> Operator {
        let operator = Operator::detached(client, Clock::system());
        self.start(&operator, ListenAddress::default()).await;
        operator
    }
}

/// Writes that reached the API server: method, path and the user that they ask for.
type Writes = Arc<Mutex<Vec<(String, String, String)>>>;

/// The client of the bed, and what passes it.
fn watched(bed: &Bed) -> (Client, Writes) {
    let (inner, writes) = (bed.api.client(), Writes::default());
    let seen = writes.clone();
    let service = service_fn(move |request: Request<Body>| {
        let (inner, seen) = (inner.clone(), seen.clone());
        async move {
            let query = request.uri().query().unwrap_or_default();
            if request.method() != "GET" && !query.contains("dryRun") {
                let user = request.headers().get("impersonate-user");
                let user = user.and_then(|user| user.to_str().ok()).unwrap_or_default();
                let path = request.uri().path().to_owned();
                let write = (request.method().to_string(), path, user.to_owned());
                seen.lock().push(write);
            }
            inner.send(request).await
        }
    });
    (Client::new(service, "default"), writes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_to_a_cluster_is_written_as_the_account_of_the_project() {
    let (bed, commit) = Bed::with(&[
        ("app/a.yaml", &config_map("a", "1")),
        ("app/b.yaml", &config_map("b", "1")),
    ]);
    bed.api.put(&json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm", "namespace": NAMESPACE},
        "data": {"application.sync.impersonation.enabled": "true"},
    }));
    bed.project(&json!({"clusterResourceWhitelist": [{"group": "*", "kind": "*"}]}));
    bed.application(&json!({}));
    let sync = |bed: &Bed| {
        bed.api.edit("applications", NAMESPACE, "app", |app| {
            app["operation"] = json!({"sync": {"prune": true}});
        });
    };
    sync(&bed);
    let (client, writes) = watched(&bed);
    let operator = bed.controller_with(client).await;
    bed.until("refused", |bed| {
        let state = &bed.app()["status"]["operationState"];
        let message = state["message"].as_str().unwrap_or_default();
        state["phase"] == "Error" && message.contains("no matching service account found")
    })
    .await;
    assert_eq!(bed.api.list("configmaps").len(), 1, "only argocd-cm");
    bed.api
        .edit("appprojects", NAMESPACE, "default", |project| {
            project["spec"]["destinationServiceAccounts"] =
                json!([{"server": "*", "namespace": "ns", "defaultServiceAccount": "deployer"}]);
        });
    // The watch of projects may be behind that of Applications.
    bed.until("permitted", |bed| {
        let app = bed.app();
        let phase = &app["status"]["operationState"]["phase"];
        if phase == "Error" && app["operation"].is_null() {
            sync(bed);
        }
        phase == "Succeeded"
    })
    .await;
    bed.until_synced(&commit).await;
    bed.origin.remove("app/b.yaml");
    let second = bed.origin.commit("without b");
    sync(&bed);
    bed.until_synced(&second).await;
    bed.until("pruned", |bed| {
        bed.api.get("configmaps", "ns", "b").is_none()
    })
    .await;
    operator.shutdown.cancel();
    let writes = writes.lock();
    let (objects, others): (Vec<_>, Vec<_>) = writes
        .iter()
        .partition(|(_, path, _)| path.contains("/namespaces/ns/configmaps"));
    assert!(
        objects.iter().any(|(method, ..)| method == "DELETE"),
        "{objects:?}"
    );
    for (method, path, user) in &objects {
        assert_eq!(user, "system:serviceaccount:ns:deployer", "{method} {path}");
    }
    // The control plane's own objects are the controller's.
    assert!(
        others.iter().all(|(_, _, user)| user.is_empty()),
        "{others:?}"
    );
}
