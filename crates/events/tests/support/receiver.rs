//! A receiver of calls.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{body::Bytes, extract::State, http::HeaderMap, http::StatusCode};
use parking_lot::Mutex;
use serde_json::Value;

use super::until;

/// One call that the receiver got.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) at: Instant,
    pub(crate) path: String,
    pub(crate) key: String,
    pub(crate) body: Value,
}

/// Receives calls and answers with what the test sets.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) calls: Arc<Mutex<Vec<Call>>>,
    pub(crate) answer: Arc<Mutex<u16>>,
    pub(crate) delay: Arc<Mutex<Duration>>,
    /// So many calls are answered with 503 before `answer` counts.
    pub(crate) failures: Arc<Mutex<usize>>,
    pub(crate) url: String,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let receiver = Self {
            calls: Arc::default(),
            answer: Arc::new(Mutex::new(200)),
            delay: Arc::default(),
            failures: Arc::default(),
            url,
        };
        let app = axum::Router::new()
            .fallback(received)
            .with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        receiver
    }

    pub(crate) fn count(&self) -> usize {
        self.calls.lock().len()
    }

    /// The number `n` of each call, for the dependency, in the order of the calls.
    pub(crate) fn numbers(&self, dependency: &str) -> Vec<u64> {
        let calls = self.calls.lock();
        calls
            .iter()
            .filter_map(|call| call.body[dependency].as_u64())
            .collect()
    }

    /// As [`Receiver::numbers`], sorted: actions of a trigger without `atLeastOnce` run at the same time,
    /// so the order of their calls says nothing.
    pub(crate) fn sorted(&self, dependency: &str) -> Vec<u64> {
        let mut numbers = self.numbers(dependency);
        numbers.sort_unstable();
        numbers
    }

    pub(crate) async fn wait_for(&self, count: usize) {
        until(&format!("{count} calls"), || async {
            self.count() >= count
        })
        .await;
    }
}

async fn received(
    State(receiver): State<Receiver>,
    uri: axum::http::Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let delay = *receiver.delay.lock();
    tokio::time::sleep(delay).await;
    let key = headers
        .get("idempotency-key")
        .and_then(|key| key.to_str().ok())
        .unwrap_or_default();
    receiver.calls.lock().push(Call {
        at: Instant::now(),
        path: uri.path().to_owned(),
        key: key.to_owned(),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    });
    let mut failures = receiver.failures.lock();
    if let Some(left) = failures.checked_sub(1) {
        *failures = left;
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    StatusCode::from_u16(*receiver.answer.lock()).expect("a status")
}
