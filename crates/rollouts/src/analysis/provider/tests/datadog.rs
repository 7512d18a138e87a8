//! Datadog.

use axum::{http::StatusCode, response::IntoResponse};
use serde_json::{Value, json};

use super::{exchange, field, measure, order_of, providers_in, serve, taken};
use crate::api::analysis::AnalysisPhase;

fn v1(series: Value) -> impl Fn(&super::Seen) -> axum::response::Response + Send + Sync + 'static {
    move |_| axum::Json(json!({ "status": "ok", "series": series })).into_response()
}

fn v2(columns: Value) -> impl Fn(&super::Seen) -> axum::response::Response + Send + Sync + 'static {
    move |_| axum::Json(json!({ "data": { "attributes": { "columns": columns } } })).into_response()
}

#[tokio::test]
async fn v1_takes_the_last_point_of_the_first_series() {
    let points =
        json!([{ "pointlist": [[1000, 1.5], [2000, 0.25]] }, { "pointlist": [[2000, 9]] }]);
    let query = |_| json!({ "datadog": { "query": "avg:errors{*}", "interval": "10m" } });
    let (measurement, seen) = exchange(v1(points), query, "result < 0.5").await;
    assert_eq!(
        (measurement.phase, measurement.value.as_str()),
        (AnalysisPhase::Successful, "0.25")
    );
    assert!(seen.path.starts_with("/api/v1/query?"), "{}", seen.path);
    assert_eq!(field(&seen.path, "query"), "avg:errors{*}");
    let second = |name: &str| field(&seen.path, name).parse::<i64>().expect("a time");
    assert_eq!(second("to") - second("from"), 600);
    assert_eq!(seen.headers["dd-api-key"], "key-of-all");
    assert_eq!(seen.headers["dd-application-key"], "app-of-all");
}

#[tokio::test]
async fn without_data_a_condition_may_ask_for_nothing_but_not_compare_it() {
    for (condition, phase) in [
        ("default(result, 0) < 0.5", AnalysisPhase::Successful),
        ("isNil(result) || result < 0.5", AnalysisPhase::Successful),
        ("result == nil", AnalysisPhase::Successful),
        ("result < 0.5", AnalysisPhase::Error),
    ] {
        for series in [json!([]), json!([{ "pointlist": [] }])] {
            let query = |_| json!({ "datadog": { "query": "q" } });
            let (measurement, _) = exchange(v1(series), query, condition).await;
            assert_eq!(
                measurement.phase, phase,
                "{condition}: {}",
                measurement.message
            );
        }
        let columns = json!([{ "name": "query", "type": "number", "values": [null] }]);
        let query = |_| json!({ "datadog": { "query": "q", "apiVersion": "v2" } });
        let (measurement, _) = exchange(v2(columns), query, condition).await;
        assert_eq!(
            measurement.phase, phase,
            "{condition}: {}",
            measurement.message
        );
    }
}

#[tokio::test]
async fn v2_asks_for_scalars_of_queries_and_a_formula() {
    let columns = json!([{ "name": "a / b", "type": "number", "values": [0.95] }]);
    let query = |_| {
        json!({ "datadog": {
            "apiVersion": "v2", "queries": { "a": "sum:ok{*}", "b": "sum:all{*}" }, "formula": "a / b",
            "aggregator": "sum", "secretRef": { "name": "own", "namespaced": true },
        } })
    };
    let (measurement, seen) = exchange(v2(columns), query, "result > 0.9").await;
    assert_eq!(
        (measurement.phase, measurement.value.as_str()),
        (AnalysisPhase::Successful, "0.95")
    );
    assert_eq!(seen.path, "/api/v2/query/scalar");
    assert_eq!(seen.headers["dd-api-key"], "own-key");
    let body: Value = serde_json::from_str(&seen.body).expect("JSON");
    assert_eq!(body["data"]["type"], "scalar_request");
    let attributes = &body["data"]["attributes"];
    assert_eq!(attributes["formulas"], json!([{ "formula": "a / b" }]));
    assert_eq!(
        attributes["queries"][1],
        json!({ "aggregator": "sum", "data_source": "metrics", "name": "b", "query": "sum:all{*}" })
    );
    let span = attributes["to"].as_i64().zip(attributes["from"].as_i64());
    assert_eq!(span.map(|(to, from)| to - from), Some(300_000));
}

#[tokio::test]
async fn groups_give_a_list_even_when_there_is_one() {
    let query = |_| json!({ "datadog": { "apiVersion": "v2", "query": "q by {host,zone}" } });
    let columns = json!([
        { "name": "host", "type": "group", "values": [["a"], ["b"], ["c"]] },
        { "name": "zone", "type": "group", "values": [["1"], ["2"], ["3"]] },
        { "name": "query", "type": "number", "values": [0.5, null, 0.75] },
    ]);
    let (measurement, _) = exchange(
        v2(columns),
        query,
        "all(result, # < 0.8) && len(result) == 2",
    )
    .await;
    assert_eq!(
        (measurement.phase, measurement.value.as_str()),
        (AnalysisPhase::Successful, "[0.5,0.75]")
    );
    let groups = "[{\"name\":\"a,1\",\"value\":0.5},{\"name\":\"c,3\",\"value\":0.75}]";
    assert_eq!(measurement.metadata["groups"], groups);
    let one = json!([
        { "name": "host", "type": "group", "values": [["a"]] },
        { "name": "query", "type": "number", "values": [0.5] },
    ]);
    let (measurement, _) = exchange(v2(one), query, "result[0] == 0.5").await;
    assert_eq!(
        measurement.phase,
        AnalysisPhase::Successful,
        "{}",
        measurement.message
    );
    let unlabelled = json!([
        { "name": "host", "type": "group", "values": [[]] },
        { "name": "query", "type": "number", "values": [0.5] },
    ]);
    let (measurement, _) = exchange(v2(unlabelled), query, "true").await;
    assert_eq!(
        measurement.message,
        "could not parse group label at index 0"
    );
}

#[tokio::test]
async fn refusals_and_missing_credentials_are_errors() {
    let refuse = |_: &super::Seen| (StatusCode::FORBIDDEN, "bad key key-of-all").into_response();
    let query = |_| json!({ "datadog": { "query": "q" } });
    let (measurement, _) = exchange(refuse, query, "true").await;
    assert_eq!(
        measurement.message,
        "received authentication error response code: 403 bad key *****"
    );
    let errors = |_: &super::Seen| {
        axum::Json(json!({ "data": { "errors": "no such metric" } })).into_response()
    };
    let v2 = |_| json!({ "datadog": { "query": "q", "apiVersion": "v2" } });
    let (measurement, _) = exchange(errors, v2, "true").await;
    assert_eq!(
        measurement.message,
        "There were errors in your query: no such metric"
    );

    let (address, _) = serve(|_| "{}".into_response()).await;
    let missing = json!({ "datadog": { "query": "q", "secretRef": { "name": "none" } } });
    let measurement = measure(address, &order_of(missing, json!({}), json!([]))).await;
    assert!(
        measurement
            .message
            .contains("Secret controller/none not found"),
        "{}",
        measurement.message
    );
}

#[tokio::test]
async fn credentials_of_the_environment_come_before_the_default_secret() {
    let (address, served) = serve(v1(json!([]))).await;
    let environment = [
        ("DD_ADDRESS", format!("http://{address}/proxy")),
        ("DD_API_KEY", "env-key".to_owned()),
        ("DD_APP_KEY", "env-app".to_owned()),
    ];
    let providers = providers_in(address, None, &environment);
    let order = order_of(json!({ "datadog": { "query": "q" } }), json!({}), json!([]));
    assert_eq!(taken(providers.measure(&order).await).message, "");
    let seen = served.seen.lock().pop().expect("a request");
    assert!(
        seen.path.starts_with("/proxy/api/v1/query?"),
        "{}",
        seen.path
    );
    assert_eq!(seen.headers["dd-api-key"], "env-key");
}
