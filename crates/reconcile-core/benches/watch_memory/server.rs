//! The API server of the bench: what it lists and what it says on a watch.

use super::*;

/// A client whose requests come out of the channel.
pub(super) fn client() -> (Client, mpsc::Receiver<Call>) {
    let (calls, received) = mpsc::channel(8);
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let mut calls = calls.clone();
        async move {
            let (answer, answered) = oneshot::channel();
            let call = (request.uri().clone(), answer);
            calls.send(call).await.map_err(std::io::Error::other)?;
            answered.await.map_err(std::io::Error::other)
        }
    });
    (Client::new(service, "default"), received)
}

/// Answers the next request as a watch.
pub(super) async fn next_watch(calls: &mut mpsc::Receiver<Call>) -> Lines {
    let (uri, answer) = calls.next().await.expect("the client asks");
    let query = uri.query().unwrap_or_default();
    assert!(
        query.contains("watch=true"),
        "a watch was expected, not {uri}"
    );
    let (lines, body) = mpsc::channel(ON_THE_WAY);
    answer
        .send(Response::new(Body::from_stream(body)))
        .expect("the client waits");
    lines
}

pub(super) async fn say(lines: &mut Lines, kind: &str, object: &Value) {
    // The type comes first, as Go's API server writes it; the guard reads the object without a detour only then.
    let line = format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n");
    lines
        .send(Ok(Bytes::from(line)))
        .await
        .expect("the client listens");
}

pub(super) async fn end_of_list(lines: &mut Lines, version: usize, api_version: &str, kind: &str) {
    let bookmark = json!({"apiVersion": api_version, "kind": kind, "metadata": {
        "resourceVersion": version.to_string(), "annotations": {"k8s.io/initial-events-end": "true"},
    }});
    say(lines, "BOOKMARK", &bookmark).await;
}

fn metadata(index: usize, version: usize) -> Value {
    let fields: BTreeMap<String, Value> = (0..40)
        .map(|field| (format!("f:field-{field:03}"), json!({"f:inner": {}})))
        .collect();
    json!({
        "name": format!("object-{index:05}"),
        "namespace": "default",
        "uid": format!("00000000-0000-4000-8000-{index:012}"),
        "resourceVersion": version.to_string(),
        "generation": 1,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"app": format!("app-{index:05}"), "pod-template-hash": "6b9f5c7d4f"},
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x".repeat(700)},
        "ownerReferences": [{
            "apiVersion": "apps/v1", "kind": "Deployment", "name": format!("app-{index:05}"),
            "uid": format!("11111111-0000-4000-8000-{index:012}"), "controller": true,
        }],
        "managedFields": [{
            "manager": "kube-controller-manager", "operation": "Update", "apiVersion": "apps/v1",
            "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": fields,
        }],
    })
}

pub(super) fn replica_set(index: usize, version: usize, available: usize) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata(index, version),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": format!("app-{index:05}")}},
            "template": {
                "metadata": {"labels": {"app": format!("app-{index:05}")}},
                "spec": {"containers": [{"name": "main", "image": "registry.example.com/app:1",
                    "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}]},
            },
        },
        "status": {"replicas": 1, "availableReplicas": available},
    })
}

pub(super) fn widget(index: usize, version: usize, round: usize) -> Value {
    json!({
        "apiVersion": "bench.example.com/v1alpha1", "kind": "Widget", "metadata": metadata(index, version),
        "spec": {"text": "s".repeat(900)},
        "status": {"round": round, "text": "t".repeat(400)},
    })
}
