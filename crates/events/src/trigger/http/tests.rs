//! Headers, redirects and refused addresses, against servers of the test.

use reconcile_core::{clock::Clock, object::ObjectKey, operator::Operator, testkit::FakeApi};
use serde_json::json;

use http::{HeaderMap, HeaderValue};

use super::*;
use crate::{
    event::CloudEvent,
    http_client::HttpClients,
    sensor::parameter::Events,
    trigger::{Executor, SuccessPolicy, secrets::Secrets},
};

#[tokio::test]
async fn secret_headers_win_over_those_of_events_and_those_over_plain_ones() {
    let api = FakeApi::new();
    api.put(&json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "ns"},
        "data": {"user": "dQ==", "word": "cHc=", "header": "c2VjcmV0"},
    }));
    let operator = Operator::detached(api.client(), Clock::system());
    let executor = Executor::new(&operator, Secrets::new(api.client()));
    let now = "2026-01-02T03:04:05Z".parse().expect("a time");
    let data = r#"{"v":"event"}"#;
    let event = CloudEvent::new("7".into(), "src", "webhook", "a", now, data.into());
    let firing = Firing {
        id: "f".into(),
        sensor: ObjectKey::new("ns", "sensor"),
        trigger: "t".into(),
        service_account: "default".into(),
        events: Events::from([("a".to_owned(), event)]),
        now,
    };
    let from_event =
        |dest: &str| json!({"src": {"dependencyName": "a", "dataKey": "v"}, "dest": dest});
    let secret = |key: &str| json!({"name": "s", "key": key});
    let action = json!({
        "url": "http://there/", "host": "elsewhere",
        "headers": {"A": "plain", "B": "plain", "C": "plain", "Authorization": "plain"},
        "dynamicHeaders": [from_event("B"), from_event("C")],
        "secureHeaders": [{"name": "C", "valueFrom": {"secretKeyRef": secret("header")}}],
        "basicAuth": {"username": secret("user"), "password": secret("word")},
    });
    let action: HttpTrigger = serde_json::from_value(action).expect("a trigger");
    let request = action.resolve(&firing).expect("resolves");
    let run = Run {
        executor: &executor,
        firing: &firing,
        success: &SuccessPolicy::default(),
    };
    let headers = headers::headers(&request, run).await.expect("headers");
    let all: Vec<_> = ["a", "b", "c", "host", "authorization", "idempotency-key"]
        .iter()
        .map(|name| headers.get_all(*name).iter().collect::<Vec<_>>())
        .collect();
    let expected = [
        "plain",
        "event",
        "secret",
        "elsewhere",
        "Basic dTpwdw==",
        "f",
    ];
    assert_eq!(all, expected.map(|value| vec![value]));
}

/// An HTTP server that answers every request with `answer`, and the headers of what it got.
async fn server(
    answer: impl Fn() -> axum::response::Response + Clone + Send + Sync + 'static,
) -> (String, std::sync::Arc<parking_lot::Mutex<Vec<HeaderMap>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let got: std::sync::Arc<parking_lot::Mutex<Vec<HeaderMap>>> = std::sync::Arc::default();
    let app = axum::Router::new().fallback({
        let got = got.clone();
        move |headers: HeaderMap| {
            got.lock().push(headers);
            std::future::ready(answer())
        }
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, got)
}

fn redirect(to: String) -> impl Fn() -> axum::response::Response + Clone + Send + Sync {
    move || {
        http::Response::builder()
            .status(307)
            .header("location", &to)
            .body(axum::body::Body::empty())
            .expect("an answer")
    }
}

fn call(url: &str) -> Call {
    let mut headers = HeaderMap::new();
    headers.insert("x-plain", HeaderValue::from_static("plain"));
    let mut secret = HeaderValue::from_static("hush");
    secret.set_sensitive(true);
    headers.insert("x-api-key", secret);
    Call {
        method: Method::POST,
        url: Url::parse(url).expect("a URL"),
        headers,
        body: None,
        timeout: TIMEOUT,
    }
}

#[tokio::test]
async fn a_redirect_to_another_server_carries_no_secret_header() {
    reconcile_core::operator::install_tls();
    let clients = HttpClients::default();
    let client = clients.get(&TlsSettings::default()).expect("a client");
    let (other, got) = server(axum::response::Response::default).await;
    let (first, _) = server(redirect(format!("{other}/there"))).await;
    let answer = clients.send(&client, call(&first)).await;
    assert_eq!(answer.expect("an answer").status(), 200);
    let headers = got.lock().pop().expect("one request");
    assert_eq!(
        headers.get("x-plain").map(HeaderValue::as_bytes),
        Some(&b"plain"[..])
    );
    assert_eq!(headers.get("x-api-key"), None);
}

#[tokio::test]
async fn link_local_addresses_are_refused_directly_and_by_redirect() {
    reconcile_core::operator::install_tls();
    let clients = HttpClients::default();
    let client = clients.get(&TlsSettings::default()).expect("a client");
    let metadata = "http://169.254.169.254/latest/meta-data";
    let (first, _) = server(redirect(metadata.to_owned())).await;
    for url in [metadata, &first] {
        let error = clients.send(&client, call(url)).await.expect_err("refused");
        assert!(matches!(error, HttpError::LinkLocal { .. }), "{error}");
    }
}
