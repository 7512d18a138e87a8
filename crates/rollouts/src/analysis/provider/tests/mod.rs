//! The providers against a real HTTP server, and what measurements show of Secrets.

#![allow(
    clippy::needless_pass_by_value,
    reason = "objects are written where they are used, and handed over"
)]

mod job;
mod judge;
mod prometheus;
mod web;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use parking_lot::Mutex;
use reconcile_core::{clock::Clock, operator::install_tls};
use serde_json::{Value, json};

use super::{MeasurementRequest, Providers};
use crate::{
    analysis::plan::MeasureOutcome,
    api::analysis::{Argument, Measurement},
};

/// A request as the server saw it.
#[derive(Clone, Debug)]
struct Seen {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: String,
}

type Answer = dyn Fn(&Seen) -> Response + Send + Sync;

#[derive(Clone)]
struct Served {
    seen: Arc<Mutex<Vec<Seen>>>,
    answer: Arc<Answer>,
}

async fn serve(answer: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> (SocketAddr, Served) {
    let served = Served {
        seen: Arc::default(),
        answer: Arc::new(answer),
    };
    let router = Router::new()
        .route("/api/v1/namespaces/ns/secrets/{name}", get(secret))
        .fallback(any(query))
        .with_state(served.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, served)
}

async fn query(
    State(served): State<Served>,
    method: Method,
    uri: axum::http::Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = String::from_utf8_lossy(&body).into_owned();
    let seen = Seen {
        method,
        path: uri.to_string(),
        headers,
        body,
    };
    served.seen.lock().push(seen.clone());
    (served.answer)(&seen)
}

async fn secret(Path(name): Path<String>) -> Response {
    if name != "login" {
        let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404, "message": "gone" });
        return (StatusCode::NOT_FOUND, axum::Json(status)).into_response();
    }
    // "hunter2" in base64.
    axum::Json(json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "data": { "password": "aHVudGVyMg==" } }))
        .into_response()
}

fn data(result_type: &str, result: Value) -> Response {
    let body =
        json!({ "status": "success", "data": { "resultType": result_type, "result": result } });
    axum::Json(body).into_response()
}

fn vector(values: &[&str]) -> Response {
    let series: Vec<Value> = values
        .iter()
        .map(|value| json!({ "metric": {}, "value": [1_700_000_000.5, value] }))
        .collect();
    data("vector", series.into())
}

fn order(prometheus: Value, rules: Value, arguments: Value) -> MeasurementRequest {
    order_of(json!({ "prometheus": prometheus }), rules, arguments)
}

fn order_of(provider: Value, rules: Value, arguments: Value) -> MeasurementRequest {
    let mut metric = json!({ "name": "m", "provider": provider });
    for (key, value) in rules.as_object().expect("rules") {
        metric[key] = value.clone();
    }
    MeasurementRequest {
        namespace: "ns".into(),
        metric: serde_json::from_value(metric).expect("a metric"),
        arguments: serde_json::from_value::<Vec<Argument>>(arguments).expect("arguments"),
        ..MeasurementRequest::default()
    }
}

fn providers(api_server: SocketAddr, prometheus: Option<String>) -> Providers {
    install_tls();
    let config = kube::Config::new(format!("http://{api_server}").parse().expect("a URI"));
    let client = kube::Client::try_from(config).expect("a client");
    Providers::new(client, Clock::system(), prometheus)
}

async fn measure(address: SocketAddr, order: &MeasurementRequest) -> Measurement {
    taken(
        providers(address, Some(format!("http://{address}")))
            .measure(order)
            .await,
    )
}

fn taken(outcome: MeasureOutcome) -> Measurement {
    match outcome {
        MeasureOutcome::Taken { measurement, .. } => measurement,
        MeasureOutcome::Unresolved(reason) => unreachable!("unresolved: {reason}"),
    }
}
