//! The source `pubSub` on a server that plays Google's emulator.

mod support;

use std::sync::Arc;

use axum::{Json, body::Bytes, extract::State, response::IntoResponse};
use http::{Method, StatusCode, Uri};
use parking_lot::Mutex;
use serde_json::{Value, json};

use support::{Nats, Recording, plane, source, until};

/// One subscription.
#[derive(Clone, Default)]
struct Emulator {
    calls: Arc<Mutex<Vec<String>>>,
    waiting: Arc<Mutex<Vec<Value>>>,
    answered: Arc<Mutex<Vec<String>>>,
}

impl Emulator {
    async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let app = axum::Router::new()
            .fallback(answer)
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        address
    }

    fn put(&self, id: &str, text: &str) {
        use base64::prelude::{BASE64_STANDARD, Engine as _};
        self.waiting.lock().push(json!({"ackId": format!("ack-{id}"), "message": {
            "data": BASE64_STANDARD.encode(text), "messageId": id, "publishTime": "2026-01-02T03:04:05.5Z",
            "attributes": {"color": "red"},
        }}));
    }
}

async fn answer(
    State(emulator): State<Emulator>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> axum::response::Response {
    let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
    let path = uri.path().to_owned();
    let known = emulator
        .calls
        .lock()
        .iter()
        .any(|call| call.starts_with("PUT /v1/projects/shop/topics"));
    if path.ends_with(":pull") {
        let batch = std::mem::take(&mut *emulator.waiting.lock());
        if batch.is_empty() {
            // The real one waits for a minute and a half.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        return Json(json!({ "receivedMessages": batch })).into_response();
    }
    if path.ends_with(":acknowledge") {
        let ids = sent["ackIds"].as_array().cloned().unwrap_or_default();
        let ids = ids.iter().filter_map(|id| Some(id.as_str()?.to_owned()));
        emulator.answered.lock().extend(ids);
        return Json(json!({})).into_response();
    }
    emulator.calls.lock().push(format!("{method} {path}"));
    let missing = Json(json!({"error": {"code": 404, "message": "not found"}}));
    match method {
        Method::PUT if path.contains("/topics/") || known => Json(sent).into_response(),
        _ => (StatusCode::NOT_FOUND, missing).into_response(),
    }
}

fn credentials(address: &str) -> String {
    json!({"type": "emulator", "host": format!("http://{address}"), "project_id": "shop"})
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_acknowledged_once_they_are_stored() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let emulator = Emulator::default();
    let address = emulator.start().await;
    let config = json!({
        "topic": "orders", "subscriptionID": "argo", "jsonBody": true, "metadata": {"k": "v"},
        "credentialSecret": {"name": "google", "key": "file"}, "filter": {"expression": "body.n != 3"},
    });
    for (id, text) in [
        ("1", "{\"n\":1}"),
        ("2", "{"),
        ("3", "{\"n\":3}"),
        ("1", "{\"n\":1}"),
    ] {
        emulator.put(id, text);
    }
    plane.ensure_source(&source("pubSub", &[&credentials(&address)], &config), &bus);
    until("all are acknowledged", || async {
        emulator.answered.lock().len() == 4
    })
    .await;
    // The one that came twice is stored once.
    let stored = nats.stored().await;
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].type_, "pubsub");
    let payload: Value = serde_json::from_slice(&stored[0].data).expect("JSON");
    assert_eq!(
        payload,
        json!({
            "id": "1", "body": {"n": 1}, "attributes": {"color": "red"},
            "publishTime": "2026-01-02 03:04:05.5 +0000 UTC", "metadata": {"k": "v"},
        })
    );
    assert_eq!(
        *emulator.calls.lock(),
        [
            "GET /v1/projects/shop/subscriptions/argo",
            "PUT /v1/projects/shop/subscriptions/argo",
            "PUT /v1/projects/shop/topics/orders",
            "PUT /v1/projects/shop/subscriptions/argo",
        ]
    );
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_goes_with_its_event_where_the_manifest_wants_it() {
    let (plane, emulator) = (plane(), Emulator::default());
    let address = emulator.start().await;
    let config = json!({
        "topic": "orders", "subscriptionID": "argo", "deleteSubscriptionOnFinish": true,
        "credentialSecret": {"name": "google", "key": "file"},
    });
    let source = source("pubSub", &[&credentials(&address)], &config);
    let (task, owner) = (&source.tasks[0], (&source.key, source.uid.as_str()));
    let registered = task.source.registered().expect("a subscription");
    assert!(registered.ends_with_event());
    let names = registered.names("uid", "event");
    let removed = plane.remove_registered(task, owner, &names).await;
    assert_eq!(
        (removed, emulator.calls.lock().len()),
        (Ok(()), 0),
        "another event uses it"
    );
    // It was removed by hand: no reason to try again.
    let removed = plane.remove_registered(task, owner, &[].into()).await;
    assert_eq!(removed, Ok(()));
    assert_eq!(
        *emulator.calls.lock(),
        ["DELETE /v1/projects/shop/subscriptions/argo"]
    );
    let denied = json!({"error": {"code": 403, "message": "not allowed"}}).to_string();
    let denied = Recording::answering(403, denied).await;
    let source = support::source("pubSub", &[&credentials(&denied.address)], &config);
    let removed = plane
        .remove_registered(&source.tasks[0], owner, &[].into())
        .await;
    let reason = removed.expect_err("refused");
    assert!(
        reason.contains("subscriptions/argo: answered 403: not allowed"),
        "{reason}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_and_files_that_are_no_credentials_are_reported() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let denied = json!({"error": {"code": 403, "message": "not allowed"}}).to_string();
    let denied = Recording::answering(403, denied).await;
    let page = Recording::answering(200, "<html>").await;
    let config =
        json!({"subscriptionID": "argo", "credentialSecret": {"name": "google", "key": "file"}});
    for (secret, part) in [
        (credentials(&denied.address), "answered 403: not allowed"),
        (credentials(&page.address), "not JSON of Pub/Sub"),
        (
            "hushword".to_owned(),
            "is not the key file of a service account",
        ),
        (
            json!({"type": "service_account", "private_key": "hushword"}).to_string(),
            "holds no private key in PEM",
        ),
    ] {
        let source = source("pubSub", &[&secret], &config);
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
