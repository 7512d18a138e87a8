//! Kayenta.

use axum::{
    http::Method,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{Seen, order_of, providers, serve, taken};
use crate::api::analysis::AnalysisPhase;

fn spec(address: std::net::SocketAddr) -> Value {
    let scope = |scope: &str| json!({ "scope": scope, "region": "r", "step": 60 });
    json!({ "kayenta": {
        "address": format!("http://{address}"), "application": "shop", "canaryConfigName": "golden",
        "configurationAccountName": "conf", "metricsAccountName": "prom", "storageAccountName": "minio",
        "threshold": { "pass": 90, "marginal": 75 },
        "scopes": [{ "name": "default", "controlScope": scope("v1"), "experimentScope": scope("v2") }],
    } })
}

fn server(end: Value) -> impl Fn(&Seen) -> Response + Send + Sync + 'static {
    move |seen| {
        let answer = match (
            &seen.method,
            seen.path.split('?').next().unwrap_or_default(),
        ) {
            (&Method::GET, "/canaryConfig") => {
                json!([{ "id": "c0", "name": "x" }, { "id": "c1", "name": "golden" }])
            }
            (&Method::POST, "/canary/c1") => json!({ "canaryExecutionId": "e1" }),
            (&Method::GET, "/canary/e1") => end.clone(),
            _ => json!(null),
        };
        axum::Json(answer).into_response()
    }
}

#[tokio::test]
async fn an_analysis_is_started_and_its_score_is_the_verdict() {
    let scored = |score: f64| json!({ "complete": true, "result": { "judgeResult": { "score": { "score": score } } } });
    for (end, phase, value) in [
        (scored(90.9), AnalysisPhase::Successful, "90"),
        (scored(89.9), AnalysisPhase::Inconclusive, "89"),
        (scored(10.0), AnalysisPhase::Failed, "10"),
        (json!({ "complete": false }), AnalysisPhase::Running, ""),
        (json!({ "complete": true }), AnalysisPhase::Error, ""),
        (json!({}), AnalysisPhase::Error, ""),
    ] {
        let (address, served) = serve(server(end)).await;
        let providers = providers(address, None);
        let mut order = order_of(spec(address), json!({ "interval": "5m" }), json!([]));
        let begun = taken(providers.measure(&order).await);
        assert_eq!(begun.phase, AnalysisPhase::Running, "{}", begun.message);
        assert_eq!(begun.metadata["canaryExecutionId"], "e1");
        let seen = served.seen.lock().pop().expect("a request");
        assert_eq!(
            seen.path,
            "/canary/c1?application=shop&metricsAccountName=prom&configurationAccountName=conf&storageAccountName=minio"
        );
        let body: Value = serde_json::from_str(&seen.body).expect("JSON");
        assert_eq!(body["thresholds"], json!({ "pass": 90, "marginal": 75 }));
        let scope = &body["scopes"]["default"];
        assert_eq!(scope["experimentScope"]["scope"], "v2");
        let moment = |name: &str| -> jiff::Timestamp {
            scope["controlScope"][name]
                .as_str()
                .expect("text")
                .parse()
                .expect("a time")
        };
        assert_eq!(moment("end").duration_since(moment("start")).as_secs(), 300);
        order.open = Some(begun);
        let ended = taken(providers.measure(&order).await);
        assert_eq!(
            (&ended.phase, ended.value.as_str()),
            (&phase, value),
            "{}",
            ended.message
        );
        assert_eq!(ended.finished_at.is_some(), phase != AnalysisPhase::Running);
    }
}

#[tokio::test]
async fn an_id_that_repeats_a_secret_or_is_none_is_not_shown() {
    for id in ["run-of-hunter2".to_owned(), "x".repeat(300)] {
        let (address, _) = serve(move |seen| {
            let answer = match seen.path.split('?').next() {
                Some("/canaryConfig") => json!([{ "id": "c1", "name": "golden" }]),
                _ => json!({ "canaryExecutionId": id }),
            };
            axum::Json(answer).into_response()
        })
        .await;
        let arguments = json!([
            { "name": "password", "valueFrom": { "secretKeyRef": { "name": "login", "key": "password" } } },
        ]);
        let order = order_of(spec(address), json!({ "interval": "5m" }), arguments);
        let measured = taken(providers(address, None).measure(&order).await);
        assert_eq!(measured.phase, AnalysisPhase::Error);
        assert_eq!(measured.message, "Invalid canaryExecutionId");
        assert!(measured.metadata.is_empty(), "{:?}", measured.metadata);
    }
}

#[tokio::test]
async fn a_secret_that_makes_a_field_wrong_is_not_shown() {
    let (address, _) = serve(server(json!({}))).await;
    let arguments = json!([
        { "name": "password", "valueFrom": { "secretKeyRef": { "name": "login", "key": "password" } } },
    ]);
    let rules = json!({ "interval": "{{args.password}}" });
    let order = order_of(spec(address), rules, arguments);
    let measured = taken(providers(address, None).measure(&order).await);
    let message = &measured.message;
    assert!(
        message.starts_with("Invalid duration \"*****\"") && !message.contains("hunter2"),
        "{message}"
    );
}

#[tokio::test]
async fn a_config_that_is_not_there_is_an_error() {
    let (address, _) = serve(server(json!({}))).await;
    let mut wanted = spec(address);
    wanted["kayenta"]["canaryConfigName"] = "other".into();
    let order = order_of(wanted, json!({ "interval": "5m" }), json!([]));
    let measurement = taken(providers(address, None).measure(&order).await);
    assert_eq!(measurement.message, "Canary config not found");
}

#[tokio::test]
async fn with_lookback_everything_since_the_start_of_the_run_is_compared() {
    let (address, served) = serve(server(json!({}))).await;
    let mut wanted = spec(address);
    wanted["kayenta"]["lookback"] = true.into();
    let mut order = order_of(wanted, json!({}), json!([]));
    order.run_started = Some("2026-01-01T00:00:00.5Z".parse().expect("a time"));
    taken(providers(address, None).measure(&order).await);
    let seen = served.seen.lock().pop().expect("a request");
    assert!(
        seen.body.contains("\"start\":\"2026-01-01T00:00:00Z\""),
        "{}",
        seen.body
    );
}
