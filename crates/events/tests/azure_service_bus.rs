//! The source `azureServiceBus` on a server that plays the REST API of the service.

mod support;

use std::sync::Arc;

use axum::{extract::State, response::IntoResponse};
use http::{HeaderMap, Method, StatusCode, Uri};
use parking_lot::Mutex;
use serde_json::{Value, json};

use support::{Nats, Recording, plane, source, until};

/// A queue: numbers and texts of messages.
#[derive(Clone, Default)]
struct Queue {
    waiting: Arc<Mutex<Vec<(u32, &'static str)>>>,
    deleted: Arc<Mutex<Vec<String>>>,
}

async fn answer(
    State(queue): State<Queue>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> axum::response::Response {
    let signature = headers["authorization"].to_str().expect("text");
    assert!(
        signature.starts_with("SharedAccessSignature sr=http%3A%2F%2F127.0.0.1"),
        "{signature}"
    );
    if method == Method::DELETE {
        queue.deleted.lock().push(uri.path().to_owned());
        return StatusCode::OK.into_response();
    }
    assert_eq!(
        uri.to_string(),
        "/orders/subscriptions/argo/messages/head?timeout=30"
    );
    let next = queue.waiting.lock().pop();
    let Some((number, text)) = next else {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        return StatusCode::NO_CONTENT.into_response();
    };
    let properties = json!({
        "MessageId": format!("m{number}"), "SequenceNumber": number, "LockToken": "lock", "Label": "paid",
        "EnqueuedTimeUtc": "Fri, 02 Jan 2026 03:04:05 GMT",
    });
    let headers = [
        ("brokerproperties", properties.to_string()),
        ("color", "\"red\"".to_owned()),
    ];
    (StatusCode::CREATED, headers, text).into_response()
}

fn config() -> Value {
    json!({
        "connectionString": {"name": "azure", "key": "connection"}, "topicName": "orders", "subscriptionName": "argo",
        "jsonBody": true,
    })
}

fn connection(address: &str) -> String {
    format!(
        "Endpoint=sb://{address}/;SharedAccessKeyName=listen;SharedAccessKey=hushword;UseDevelopmentEmulator=true"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_deleted_once_they_are_stored() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let queue = Queue::default();
    *queue.waiting.lock() = vec![(1, "{\"n\":1}"), (2, "{"), (1, "{\"n\":1}")];
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let app = axum::Router::new()
        .fallback(answer)
        .with_state(queue.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let source = source("azureServiceBus", &[&connection(&address)], &config());
    plane.ensure_source(&source, &bus);
    until("all are deleted", || async {
        queue.deleted.lock().len() == 3
    })
    .await;
    let mut deleted = queue.deleted.lock().clone();
    deleted.sort();
    let place = "/orders/subscriptions/argo/messages";
    assert_eq!(
        deleted,
        [
            format!("{place}/1/lock"),
            format!("{place}/1/lock"),
            format!("{place}/2/lock")
        ]
    );
    // The one that came twice is stored once.
    let stored = nats.stored().await;
    assert_eq!(stored.len(), 1);
    let payload: Value = serde_json::from_slice(&stored[0].data).expect("JSON");
    assert_eq!(
        payload,
        json!({
            "applicationProperties": {"color": "red"}, "body": {"n": 1}, "contentType": "text/plain; charset=utf-8",
            "correlationID": null, "enqueuedTime": "2026-01-02T03:04:05Z", "messageID": "m1", "replyTo": null,
            "sequenceNumber": 1, "subject": "paid",
        })
    );
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_reported_without_the_key() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let denied = Recording::answering(401, "hushword").await;
    let page = Recording::answering(200, "<html>").await;
    for (secret, part) in [
        (
            connection(&denied.address),
            "answered 401: the key needs the right to listen",
        ),
        (connection(&page.address), "no message of Service Bus"),
        (
            "hushword".to_owned(),
            "the connection string has no Endpoint",
        ),
    ] {
        let source = source("azureServiceBus", &[&secret], &config());
        until(part, || async {
            let health = plane.ensure_source(&source, &bus);
            let reason = health.interrupted.get("event").cloned().unwrap_or_default();
            assert!(!reason.contains("hushword"), "{reason}");
            reason.contains(part)
        })
        .await;
    }
    plane.stop().await;
}
