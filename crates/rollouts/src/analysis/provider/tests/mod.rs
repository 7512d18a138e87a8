//! The providers against a real HTTP server, and what measurements show of Secrets.

#![allow(
    clippy::needless_pass_by_value,
    reason = "objects are written where they are used"
)]

mod cloudwatch;
mod datadog;
mod http;
mod job;
mod judge;
mod kayenta;
mod prometheus;
mod services;
mod web;

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

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

use super::{MeasurementRequest, ProviderConfig, Providers};
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
        .route("/api/v1/namespaces/{namespace}/secrets/{name}", get(secret))
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

/// The Secrets of the cluster. Addresses in them are those of the server itself.
async fn secret(Path((namespace, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let host = headers["host"].to_str().expect("a host");
    let address = format!("http://{host}");
    let data = match (namespace.as_str(), name.as_str()) {
        ("ns", "login") => json!({ "password": "hunter2" }),
        ("controller", "datadog") => {
            json!({ "address": address, "api-key": "key-of-all", "app-key": "app-of-all" })
        }
        ("ns", "own") => json!({ "address": address, "api-key": "own-key", "app-key": "own-app" }),
        ("controller", "newrelic") => json!({
            "personal-api-key": "nr-key", "account-id": "42", "base-url-nerdgraph": format!("{address}/graphql"),
        }),
        ("controller", "influxdb") => {
            json!({ "address": address, "authToken": "influx-token", "org": "my org" })
        }
        ("controller", "wavefront-api-tokens") => json!({ "127.0.0.1": "wf-token" }),
        _ => {
            let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404, "message": "gone" });
            return (StatusCode::NOT_FOUND, axum::Json(status)).into_response();
        }
    };
    let encoded: serde_json::Map<String, Value> = data
        .as_object()
        .expect("data")
        .iter()
        .map(|(key, text)| {
            let text = text.as_str().expect("text");
            let text = expressions::go_text::base64_standard(text.as_bytes());
            (key.clone(), text.into())
        })
        .collect();
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "data": encoded });
    axum::Json(secret).into_response()
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
    providers_in(api_server, prometheus, &[])
}

/// Providers with an environment of their own.
fn providers_in(
    api_server: SocketAddr,
    prometheus: Option<String>,
    environment: &[(&str, String)],
) -> Providers {
    install_tls();
    let config = kube::Config::new(format!("http://{api_server}").parse().expect("a URI"));
    let client = kube::Client::try_from(config).expect("a client");
    let config = ProviderConfig {
        prometheus_address: prometheus,
        namespace: "controller".to_owned(),
        allow_link_local: false,
    };
    let environment: HashMap<String, String> = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    let read = move |name: &str| environment.get(name).cloned();
    Providers::with_environment(client, Clock::system(), config, Arc::new(read))
}

/// What a provider makes of one answer, and the last request that it sent.
async fn exchange(
    answer: impl Fn(&Seen) -> Response + Send + Sync + 'static,
    provider: impl Fn(SocketAddr) -> Value,
    condition: &str,
) -> (Measurement, Seen) {
    let (address, served) = serve(answer).await;
    let rules = json!({ "successCondition": condition });
    let measurement = measure(address, &order_of(provider(address), rules, json!([]))).await;
    let seen = served.seen.lock().pop().expect("a request");
    (measurement, seen)
}

/// A field of a query or form, as it was sent.
fn field(encoded: &str, name: &str) -> String {
    let query = encoded.split_once('?').map_or(encoded, |(_, query)| query);
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
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
