//! What the tests of triggers share: an event, a Secret, and a server that records requests.

use std::sync::Arc;

use axum::{Router, body::Bytes, response::Response};
use http::HeaderMap;
use parking_lot::Mutex;
use reconcile_core::{clock::Clock, object::ObjectKey, operator::Operator, testkit::FakeApi};
use serde_json::{Value, json};

use super::{Executor, Firing, Run, SuccessPolicy, secrets::Secrets};
use crate::{event::CloudEvent, sensor::parameter::Events};

/// A firing of the Sensor `ns/s` for one event of dependency `a`, with the payload `{"n":"x"}`.
pub(crate) struct Stage {
    pub(crate) firing: Firing,
    pub(super) success: SuccessPolicy,
    pub(crate) executor: Executor,
    pub(crate) operator: Operator,
    /// The API server.
    pub(crate) api: FakeApi,
}

impl Stage {
    /// With the Secret `s` in the namespace, whose `data` is given.
    pub(crate) fn with_secret(data: &Value) -> Self {
        let api = FakeApi::new();
        api.put(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "s", "namespace": "ns"}, "data": data,
        }));
        reconcile_core::operator::install_tls();
        let operator = Operator::detached(api.client(), Clock::system());
        let now = "2026-01-02T03:04:05Z".parse().expect("a time");
        let data = r#"{"n":"x"}"#;
        let event = CloudEvent::new("7".into(), "src", "webhook", "a", now, data.into());
        Self {
            firing: Firing {
                id: "f".into(),
                sensor: ObjectKey::new("ns", "s"),
                trigger: "t".into(),
                service_account: "default".into(),
                events: Events::from([("a".to_owned(), event)]),
                now,
            },
            success: SuccessPolicy::default(),
            executor: Executor::new(&operator, Secrets::new(api.client())),
            operator,
            api,
        }
    }

    pub(super) fn run(&self) -> Run<'_> {
        Run {
            executor: &self.executor,
            firing: &self.firing,
            success: &self.success,
        }
    }
}

/// A request as the server got it.
#[derive(Clone)]
pub(super) struct Received {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Received {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// An HTTP server on a port of its own that gives one answer to every request.
pub(super) struct Server {
    pub(super) url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    pub(super) async fn answering(
        status: u16,
        headers: &[(&'static str, &'static str)],
        body: &'static str,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("bound"));
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let (got, headers) = (received.clone(), headers.to_vec());
        let app = Router::new().fallback(move |uri: http::Uri, sent: HeaderMap, content: Bytes| {
            got.lock().push(Received {
                path: uri.to_string(),
                headers: sent,
                body: content,
            });
            let mut answer = Response::builder().status(status);
            for (name, value) in &headers {
                answer = answer.header(*name, *value);
            }
            let answer = answer.body(axum::body::Body::from(body));
            std::future::ready(answer.expect("an answer"))
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, received }
    }

    pub(super) fn requests(&self) -> Vec<Received> {
        self.received.lock().clone()
    }
}
