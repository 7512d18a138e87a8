//! Prometheus.

use axum::{
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{data, measure, order, providers, serve, taken, vector};
use crate::{analysis::plan::MeasureOutcome, api::analysis::AnalysisPhase};

/// Makes an answer.
type Make = fn() -> Response;

#[tokio::test]
async fn answers_become_numbers_and_verdicts() {
    let matrix = || {
        data(
            "matrix",
            json!([{ "metric": {}, "values": [[1, "1"], [2, "2.5"]] }, { "metric": {}, "values": [[1, "4"]] }]),
        )
    };
    let cases: Vec<(Make, &str, &str, AnalysisPhase)> = vec![
        (
            || data("scalar", json!([1, "0.95"])),
            "result >= 0.95",
            "0.95",
            AnalysisPhase::Successful,
        ),
        (
            || data("scalar", json!([1, "NaN"])),
            "isNaN(result)",
            "NaN",
            AnalysisPhase::Successful,
        ),
        (
            || vector(&["0.5", "1e-7"]),
            "result[0] > 0.9",
            "[0.5,0.0000001]",
            AnalysisPhase::Failed,
        ),
        (
            || vector(&["+Inf"]),
            "isInf(result[0])",
            "[+Inf]",
            AnalysisPhase::Successful,
        ),
        (
            || vector(&[]),
            "len(result) == 0",
            "[]",
            AnalysisPhase::Successful,
        ),
        (
            matrix,
            "all(result, # >= 1) and len(result) == 3",
            "[1,2.5,4]",
            AnalysisPhase::Successful,
        ),
    ];
    for (answer, condition, value, phase) in cases {
        let (address, _) = serve(move |_| answer()).await;
        let order = order(
            json!({ "query": "q" }),
            json!({ "successCondition": condition }),
            json!([]),
        );
        let measurement = measure(address, &order).await;
        assert_eq!(
            (measurement.value.as_str(), &measurement.phase),
            (value, &phase),
            "{condition}: {}",
            measurement.message
        );
        assert!(measurement.started_at.is_some() && measurement.finished_at.is_some());
    }
}

#[tokio::test]
async fn no_series_is_an_error_that_says_so() {
    let (address, _) = serve(|_| vector(&[])).await;
    let order = order(
        json!({ "query": "q" }),
        json!({ "successCondition": "result[0] > 0" }),
        json!([]),
    );
    let measurement = measure(address, &order).await;
    assert_eq!(measurement.phase, AnalysisPhase::Error);
    assert!(
        measurement.message.starts_with("the query gave no value"),
        "{}",
        measurement.message
    );
}

#[tokio::test]
async fn a_bad_query_shows_the_words_of_prometheus() {
    let (address, _) = serve(|_| {
        let body = json!({ "status": "error", "errorType": "bad_data", "error": "1:3: parse error: unexpected end" });
        (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
    })
    .await;
    let measurement = measure(
        address,
        &order(json!({ "query": "((" }), json!({}), json!([])),
    )
    .await;
    assert_eq!(measurement.phase, AnalysisPhase::Error);
    assert_eq!(
        measurement.message,
        "bad_data: 1:3: parse error: unexpected end"
    );
}

#[tokio::test]
async fn a_server_that_is_down_or_no_prometheus_is_an_error() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let closed = listener.local_addr().expect("an address");
    drop(listener);
    let measurement = measure(
        closed,
        &order(json!({ "query": "q" }), json!({}), json!([])),
    )
    .await;
    assert_eq!(measurement.phase, AnalysisPhase::Error);
    assert!(
        measurement.message.contains("Connection refused"),
        "{}",
        measurement.message
    );

    let (address, _) =
        serve(|_| (StatusCode::BAD_GATEWAY, "<html>\n  down </html>").into_response()).await;
    let measurement = measure(
        address,
        &order(json!({ "query": "q" }), json!({}), json!([])),
    )
    .await;
    assert_eq!(
        measurement.message,
        "the server answered 502 Bad Gateway: <html> down </html>"
    );

    let (address, _) = serve(|_| data("string", json!([1, "text"]))).await;
    let measurement = measure(
        address,
        &order(json!({ "query": "q" }), json!({}), json!([])),
    )
    .await;
    assert_eq!(measurement.phase, AnalysisPhase::Error);
}

#[tokio::test]
async fn warnings_are_kept_with_the_measurement() {
    let (address, _) = serve(|_| {
        let body = json!({ "status": "success", "warnings": ["slow", "partial"], "data": { "resultType": "scalar", "result": [1, "1"] } });
        axum::Json(body).into_response()
    })
    .await;
    let measurement = measure(
        address,
        &order(json!({ "query": "q" }), json!({}), json!([])),
    )
    .await;
    assert_eq!(measurement.metadata["warnings"], "\"slow\", \"partial\"");
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_after_the_timeout() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    // Accepts by the backlog and never answers.
    let measurement = measure(
        address,
        &order(json!({ "query": "q", "timeout": 1 }), json!({}), json!([])),
    )
    .await;
    assert_eq!(measurement.message, "no answer within 1 s");
    drop(listener);
}

#[tokio::test]
async fn headers_and_login_are_sent_and_secrets_are_not_shown() {
    let (address, served) = serve(|seen| {
        let text = format!("denied: {}", seen.body);
        (StatusCode::FORBIDDEN, text).into_response()
    })
    .await;
    let prometheus = json!({
        "query": "up{key=\"{{args.password}}\"}",
        "headers": [{ "key": "X-Scope-OrgID", "value": "{{args.tenant}}" }],
        "authentication": { "basicAuth": { "username": "me", "password": "{{args.password}}" } },
    });
    let arguments = json!([
        { "name": "tenant", "value": "a" },
        { "name": "password", "valueFrom": { "secretKeyRef": { "name": "login", "key": "password" } } },
    ]);
    let outcome = providers(address, Some(format!("http://{address}")))
        .measure(&order(prometheus, json!({}), arguments))
        .await;
    let MeasureOutcome::Taken {
        measurement,
        metadata,
    } = outcome
    else {
        unreachable!("{outcome:?}")
    };
    assert_eq!(metadata["ResolvedPrometheusQuery"], "up{key=\"*****\"}");
    assert!(
        measurement.message.contains("*****") && !measurement.message.contains("hunter2"),
        "{}",
        measurement.message
    );
    let seen = served.seen.lock().pop().expect("a request");
    assert_eq!(seen.headers["x-scope-orgid"], "a");
    assert_eq!(seen.headers["authorization"], "Basic bWU6aHVudGVyMg==");
    assert!(seen.body.contains("hunter2"));
}

#[tokio::test]
async fn a_secret_or_key_that_is_missing_is_no_measurement() {
    let (address, _) = serve(|_| vector(&["1"])).await;
    for (secret, key, reason) in [
        ("other", "password", "secrets \"other\" not found"),
        (
            "login",
            "token",
            "key 'token' does not exist in secret 'login'",
        ),
    ] {
        let arguments = json!([{ "name": "x", "valueFrom": { "secretKeyRef": { "name": secret, "key": key } } }]);
        let outcome = providers(address, None)
            .measure(&order(json!({ "query": "q" }), json!({}), arguments))
            .await;
        assert_eq!(outcome, MeasureOutcome::Unresolved(reason.to_owned()));
    }
}

#[tokio::test]
async fn a_range_is_asked_for_with_times_from_expressions() {
    let (address, served) = serve(|_| data("matrix", json!([]))).await;
    let prometheus = json!({
        "query": "up",
        "rangeQuery": { "start": "now() - duration(\"5m\")", "end": "now()", "step": "1m30s" },
    });
    let measurement = measure(address, &order(prometheus, json!({}), json!([]))).await;
    assert_eq!(
        (measurement.value.as_str(), measurement.message.as_str()),
        ("[]", "")
    );
    let seen = served.seen.lock().pop().expect("a request");
    assert_eq!(seen.path, "/api/v1/query_range");
    let field = |name: &str| {
        let pair = seen
            .body
            .split('&')
            .find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        pair.expect("a field").to_owned()
    };
    let (start, end): (i64, i64) = (
        field("start").parse().expect("a time"),
        field("end").parse().expect("a time"),
    );
    assert_eq!((end - start, field("step").as_str()), (300, "90"));

    for (range, message) in [
        (
            json!({ "start": "now()", "end": "now()", "step": "5" }),
            "provider.prometheus.rangeQuery.step: time: missing unit in duration \"5\"; use a duration such as 30s or 5m",
        ),
        (
            json!({ "start": "5", "end": "now()", "step": "5s" }),
            "provider.prometheus.rangeQuery.start: expected a time, but got int; use for example now() - duration(\"5m\")",
        ),
    ] {
        let prometheus = json!({ "query": "up", "rangeQuery": range });
        assert_eq!(
            measure(address, &order(prometheus, json!({}), json!([])))
                .await
                .message,
            message
        );
    }
}

#[tokio::test]
async fn a_proxy_that_only_lets_get_pass_is_asked_with_get() {
    let (address, served) = serve(|seen| match seen.method {
        Method::POST => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        _ => vector(&["1"]),
    })
    .await;
    let measurement = measure(
        address,
        &order(json!({ "query": "a+b" }), json!({}), json!([])),
    )
    .await;
    assert_eq!(measurement.value, "[1]");
    assert!(
        served
            .seen
            .lock()
            .pop()
            .expect("a request")
            .path
            .contains("query=a%2Bb")
    );
}

#[tokio::test]
async fn an_address_is_needed_and_must_be_a_url() {
    let (address, _) = serve(|_| vector(&["1"])).await;
    let none = taken(
        providers(address, None)
            .measure(&order(json!({ "query": "q" }), json!({}), json!([])))
            .await,
    );
    assert!(
        none.message
            .starts_with("prometheus address is not configured"),
        "{}",
        none.message
    );
    let bad = order(
        json!({ "query": "q", "address": "prometheus:9090" }),
        json!({}),
        json!([]),
    );
    assert_eq!(
        measure(address, &bad).await.message,
        "provider.prometheus.address: \"prometheus:9090\" is not an http or https URL; use for example http://host:9090"
    );
}

#[tokio::test]
async fn an_endless_answer_is_refused() {
    let (address, _) = serve(|_| "x".repeat(5 * 1024 * 1024).into_response()).await;
    let measurement = measure(
        address,
        &order(json!({ "query": "q" }), json!({}), json!([])),
    )
    .await;
    assert!(
        measurement.message.starts_with("the answer is larger than"),
        "{}",
        measurement.message
    );
}
