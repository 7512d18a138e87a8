//! New Relic, Graphite, `InfluxDB`, Wavefront and `SkyWalking`.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{Seen, exchange, field};
use crate::api::analysis::AnalysisPhase;

fn says(answer: Value) -> impl Fn(&Seen) -> Response + Send + Sync + 'static {
    move |_| axum::Json(answer.clone()).into_response()
}

fn text(answer: &'static str) -> impl Fn(&Seen) -> Response + Send + Sync + 'static {
    move |_| answer.into_response()
}

fn nrql(results: Value) -> impl Fn(&Seen) -> Response + Send + Sync + 'static {
    says(json!({ "data": { "actor": { "account": { "nrql": { "results": results } } } } }))
}

#[tokio::test]
async fn newrelic_gives_a_map_or_a_list_of_maps() {
    let query =
        |_| json!({ "newRelic": { "query": "SELECT count(*) FROM Transaction", "timeout": 9 } });
    let one = json!([{ "successRate": 99.5, "count": 3 }]);
    let (measurement, seen) = exchange(nrql(one), query, "result.successRate > 99").await;
    assert_eq!(
        measurement.phase,
        AnalysisPhase::Successful,
        "{}",
        measurement.message
    );
    assert_eq!(measurement.value, "{\"count\":3,\"successRate\":99.5}");
    assert_eq!(seen.path, "/graphql");
    assert_eq!(seen.headers["api-key"], "nr-key");
    let body: Value = serde_json::from_str(&seen.body).expect("JSON");
    assert_eq!(
        body["variables"],
        json!({ "account": 42, "query": "SELECT count(*) FROM Transaction", "timeout": 9 })
    );
    let two = json!([{ "count": 1 }, { "count": 2 }]);
    let (measurement, _) = exchange(nrql(two), query, "result[1].count == 2").await;
    assert_eq!(
        measurement.phase,
        AnalysisPhase::Successful,
        "{}",
        measurement.message
    );
    for nothing in [json!([]), json!([{}])] {
        let (measurement, _) = exchange(nrql(nothing), query, "true").await;
        assert_eq!(
            (measurement.phase, measurement.message.as_str()),
            (AnalysisPhase::Error, "no results returned from NRQL query")
        );
    }
    let errors = says(json!({ "errors": [{ "message": "NRQL Syntax Error" }], "data": null }));
    let (measurement, _) = exchange(errors, query, "true").await;
    assert_eq!(measurement.message, "NRQL Syntax Error");
}

#[tokio::test]
async fn graphite_gives_the_points_of_the_first_target() {
    let query = |address| {
        json!({ "graphite": {
            "address": format!("http://{address}/graphite/"),
            "query": "target=summarize(\n  app.errors,'5min')&from=-5min",
        } })
    };
    let points = json!([{ "target": "a", "datapoints": [[10, 1], [null, 2], ["0.5", 3]] }, { "target": "b", "datapoints": [[7, 1]] }]);
    let (measurement, seen) =
        exchange(says(points), query, "result[0] >= 10 && len(result) == 2").await;
    assert_eq!(
        (measurement.phase, measurement.value.as_str()),
        (AnalysisPhase::Successful, "[10.000000,0.500000]")
    );
    assert!(seen.path.starts_with("/graphite/render?"), "{}", seen.path);
    assert_eq!(field(&seen.path, "target"), "summarize( app.errors,'5min')");
    assert_eq!(field(&seen.path, "from"), "-5min");
    assert_eq!(field(&seen.path, "format"), "json");
    let nulls = json!([{ "target": "a", "datapoints": [[null, 1]] }]);
    let (measurement, _) = exchange(says(nulls.clone()), query, "len(result) == 0").await;
    assert_eq!(
        measurement.phase,
        AnalysisPhase::Successful,
        "{}",
        measurement.message
    );
    let (measurement, _) = exchange(says(nulls), query, "result[0] > 1").await;
    assert_eq!(measurement.phase, AnalysisPhase::Error);
    for nothing in [json!([]), json!([{ "target": "a", "datapoints": [] }])] {
        let (measurement, _) = exchange(says(nothing), query, "true").await;
        assert_eq!(measurement.message, "no values found");
    }
    let broken = |_: &Seen| (StatusCode::BAD_REQUEST, "bad target").into_response();
    let (measurement, _) = exchange(broken, query, "true").await;
    assert_eq!(measurement.message, "error response: bad target");
}

#[tokio::test]
async fn influxdb_gives_every_value_with_its_type() {
    let query = |_| json!({ "influxdb": { "query": "from(bucket: \"b\") |> last()" } });
    let csv = "#datatype,string,long,dateTime:RFC3339,double,string\r\n#group,false,false,false,false,true\r\n\
        #default,_result,,,,\r\n,result,table,_time,_value,host\r\n,,0,2026-01-01T00:00:00Z,0.5,\"a,b\"\r\n\
        ,,1,2026-01-01T00:00:00Z,2,c\r\n\r\n#datatype,string,long,long\r\n#group,false,false,false\r\n\
        #default,_result,,7\r\n,result,table,_value\r\n,,2,\r\n,,2,9\r\n\r\n";
    let condition = "result[0] == 0.5 && result[1] == 2 && result[2] % 4 == 3 && result[3] == 9";
    let (measurement, seen) = exchange(text(csv), query, condition).await;
    assert_eq!(
        measurement.phase,
        AnalysisPhase::Successful,
        "{}",
        measurement.message
    );
    assert_eq!(measurement.value, "[0.5 2 7 9]");
    assert_eq!(seen.path, "/api/v2/query?org=my+org");
    assert_eq!(seen.headers["authorization"], "Token influx-token");
    assert!(seen.body.contains("\"type\":\"flux\""), "{}", seen.body);
    let (measurement, _) = exchange(text("\r\n"), query, "true").await;
    assert_eq!(measurement.message, "no results returned from flux query");
    let failed = "#datatype,string,string\r\n#group,true,true\r\n#default,,\r\n,error,reference\r\n,out of memory,897\r\n";
    let (measurement, _) = exchange(text(failed), query, "true").await;
    assert_eq!(measurement.message, "out of memory");
    let refused = |_: &Seen| {
        let body = json!({ "code": "unauthorized", "message": "unauthorized access" });
        (StatusCode::UNAUTHORIZED, axum::Json(body)).into_response()
    };
    let (measurement, _) = exchange(refused, query, "true").await;
    assert_eq!(measurement.message, "unauthorized: unauthorized access");
}

#[tokio::test]
async fn wavefront_gives_the_nearest_point_of_each_series() {
    let query = |address| json!({ "wavefront": { "address": format!("http://{address}"), "query": "ts(x)" } });
    let now = reconcile_core::clock::Clock::system().now().as_second();
    let near = json!([[now - 400, 9.0], [now - 5, 0.5], [now + 300, 8.0]]);
    let one = json!({ "timeseries": [{ "data": near }], "warnings": "slow" });
    let (measurement, seen) = exchange(says(one), query, "result < 1").await;
    assert_eq!(
        (measurement.phase, measurement.value.as_str()),
        (AnalysisPhase::Successful, "0.50")
    );
    assert_eq!(measurement.metadata["timestamps"], (now - 5).to_string());
    assert_eq!(measurement.metadata["warnings"], "slow");
    assert!(seen.path.starts_with("/api/v2/chart/api?"), "{}", seen.path);
    assert_eq!(field(&seen.path, "q"), "ts(x)");
    assert_eq!(field(&seen.path, "s"), field(&seen.path, "e"));
    assert_eq!(seen.headers["authorization"], "Bearer wf-token");
    let two = json!({ "timeseries": [{ "data": [[now, 1.0]] }, { "data": [[now, 2.0]] }] });
    let (measurement, _) = exchange(says(two), query, "result[1] == 2").await;
    assert_eq!(
        (measurement.phase, measurement.value.as_str()),
        (AnalysisPhase::Successful, "[1.00,2.00]")
    );
    for (answer, message) in [
        (json!({}), "No TimeSeries found in response from Wavefront"),
        (
            json!({ "timeseries": [{ "data": [] }] }),
            "a series has no data points",
        ),
        (
            json!({ "errorType": "QuerySyntaxError", "errorMessage": "no such function" }),
            "QuerySyntaxError: no such function",
        ),
    ] {
        let (measurement, _) = exchange(says(answer), query, "true").await;
        assert_eq!(
            (measurement.phase, measurement.message.as_str()),
            (AnalysisPhase::Error, message)
        );
    }
}

#[tokio::test]
async fn skywalking_gives_the_data_of_a_query() {
    let query = |address| json!({ "skywalking": { "address": format!("http://{address}"), "query": "query q", "interval": "3m" } });
    let answer = says(
        json!({ "data": { "service_apdex": { "values": { "values": [{ "value": 9300 }] } } } }),
    );
    let condition = "all(result.service_apdex.values.values, {asFloat(.value) >= 9200})";
    let (measurement, seen) = exchange(answer, query, condition).await;
    assert_eq!(
        measurement.phase,
        AnalysisPhase::Successful,
        "{}",
        measurement.message
    );
    let body: Value = serde_json::from_str(&seen.body).expect("JSON");
    let duration = &body["variables"]["duration"];
    assert_eq!(duration["step"], "MINUTE");
    let start = duration["start"].as_str().expect("a time");
    assert_eq!(start.len(), "2026-01-01 0000".len());
    for (answer, message) in [
        (
            json!({ "errors": [{ "message": "broken" }] }),
            "graphql: broken",
        ),
        (
            json!({ "data": null }),
            "no results returned from SkyWalking query",
        ),
    ] {
        let (measurement, _) = exchange(says(answer), query, "true").await;
        assert_eq!(
            (measurement.phase, measurement.message.as_str()),
            (AnalysisPhase::Error, message)
        );
    }
}
