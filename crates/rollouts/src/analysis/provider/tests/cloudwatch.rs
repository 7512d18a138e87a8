//! `CloudWatch`, and signatures of AWS.

use axum::{http::StatusCode, response::IntoResponse};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Seen, order_of, providers_in, serve, taken};
use crate::api::analysis::{AnalysisPhase, Measurement};

const QUERY: &str = r#"{ "cloudWatch": { "interval": "10m", "metricDataQueries": [
    { "id": "rate", "expression": "errors / requests" },
    { "id": "errors", "returnData": false, "metricStat": { "period": "60", "stat": "Sum", "unit": "Count", "metric": {
        "namespace": "app", "metricName": "errors", "dimensions": [{ "name": "version", "value": "2" }] } } }
] } }"#;

/// A measurement with the keys of a user.
async fn measured(
    provider: Value,
    condition: &str,
    answer: impl Fn(&Seen) -> axum::response::Response + Send + Sync + 'static,
) -> (Measurement, Seen) {
    let (address, served) = serve(answer).await;
    let environment = [
        ("AWS_REGION", "eu-west-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI".to_owned()),
        ("AWS_SESSION_TOKEN", "session".to_owned()),
        ("AWS_ENDPOINT_URL_CLOUDWATCH", format!("http://{address}")),
    ];
    let providers = providers_in(address, None, &environment);
    let text = provider.to_string().replace("SERVER", &address.to_string());
    let provider = serde_json::from_str(&text).expect("JSON");
    let rules = json!({ "successCondition": condition });
    let measurement = taken(
        providers
            .measure(&order_of(provider, rules, json!([])))
            .await,
    );
    let seen = served.seen.lock().pop().expect("a request");
    (measurement, seen)
}

/// Checks a signature from the request alone, by AWS's published algorithm.
fn assert_signed(seen: &Seen, service: &str) {
    use std::fmt::Write as _;

    use hmac::{Hmac, KeyInit, Mac};
    let hmac = |key: &[u8], text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key");
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    let header = |name: &str| seen.headers[name].to_str().expect("text");
    let date = header("x-amz-date");
    let scope = format!("{}/eu-west-1/{service}/aws4_request", &date[..8]);
    let authorization = header("authorization");
    let names = authorization
        .split("SignedHeaders=")
        .nth(1)
        .and_then(|rest| rest.split(',').next())
        .expect("names");
    assert!(
        names.contains("host") && names.contains("x-amz-content-sha256"),
        "{names}"
    );
    let payload = hex::encode(Sha256::digest(&seen.body));
    assert_eq!(header("x-amz-content-sha256"), payload);
    let mut canonical = format!("{}\n{}\n\n", seen.method, seen.path);
    for name in names.split(';') {
        writeln!(canonical, "{name}:{}", header(name)).expect("text");
    }
    write!(canonical, "\n{names}\n{payload}").expect("text");
    let digest = hex::encode(Sha256::digest(&canonical));
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{digest}");
    let key = hmac(b"AWS4wJalrXUtnFEMI", &date[..8]);
    let key = hmac(&hmac(&hmac(&key, "eu-west-1"), service), "aws4_request");
    let expected = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders={names}, Signature={}",
        hex::encode(hmac(&key, &text))
    );
    assert_eq!(authorization, expected);
}

#[tokio::test]
async fn results_have_the_names_of_awss_types() {
    let query = || serde_json::from_str(QUERY).expect("JSON");
    let answer = |_: &Seen| {
        let results = json!([
            { "Id": "rate", "Label": "rate", "StatusCode": "Complete", "Timestamps": [1_767_225_600.0], "Values": [0.01, 0.5] },
            { "Id": "other", "Values": [] },
        ]);
        let messages = json!([{ "Code": "Slow", "Value": "partial" }]);
        axum::Json(json!({ "MetricDataResults": results, "Messages": messages })).into_response()
    };
    for condition in [
        "result[0].Values[0] < 0.02",
        "len(result[0].Values) == 2 && result[0].Id == 'rate' && result[1].Label == nil",
        "result[0].Timestamps[0].Year() == 2026 || true",
    ] {
        let (measurement, seen) = measured(query(), condition, answer).await;
        assert_eq!(
            measurement.phase,
            AnalysisPhase::Successful,
            "{}",
            measurement.message
        );
        assert_eq!(measurement.value, "[[0.01 0.5] []]");
        assert_eq!(measurement.metadata["messages"], "Slow: partial");
        assert_eq!(
            seen.headers["x-amz-target"],
            "GraniteServiceVersion20100801.GetMetricData"
        );
        assert_signed(&seen, "monitoring");
        let body: Value = serde_json::from_str(&seen.body).expect("JSON");
        let seconds = |name: &str| body[name].as_i64().expect("seconds");
        assert_eq!(seconds("EndTime") - seconds("StartTime"), 600);
        let queries = &body["MetricDataQueries"];
        assert_eq!(
            queries[0],
            json!({ "Id": "rate", "Expression": "errors / requests" })
        );
        assert_eq!(
            queries[1],
            json!({ "Id": "errors", "ReturnData": false, "MetricStat": { "Period": 60, "Stat": "Sum", "Unit": "Count", "Metric": {
                "Namespace": "app", "MetricName": "errors", "Dimensions": [{ "Name": "version", "Value": "2" }] } } })
        );
    }
    let (measurement, _) = measured(query(), "result[2].Values[0] < 1", answer).await;
    assert_eq!(measurement.phase, AnalysisPhase::Error);
}

#[tokio::test]
async fn a_refusal_shows_the_words_of_aws_and_throttling_waits() {
    let query = || serde_json::from_str(QUERY).expect("JSON");
    let refuse = |_: &Seen| {
        let body =
            json!({ "__type": "com.amazonaws.cloudwatch#ValidationError", "message": "bad id" });
        (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
    };
    let (measurement, _) = measured(query(), "true", refuse).await;
    assert_eq!(measurement.message, "ValidationError: bad id");
    let throttle = |_: &Seen| {
        let body = json!({ "__type": "ThrottlingException", "message": "Rate exceeded" });
        (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
    };
    let (measurement, _) = measured(query(), "true", throttle).await;
    assert_eq!(
        measurement.phase,
        AnalysisPhase::Running,
        "{}",
        measurement.message
    );
}

#[tokio::test]
async fn prometheus_and_web_are_signed_where_the_metric_asks_for_it() {
    let answer = |_: &Seen| {
        let data =
            json!({ "resultType": "vector", "result": [{ "metric": {}, "value": [1, "1"] }] });
        axum::Json(json!({ "status": "success", "data": data })).into_response()
    };
    let sigv4 = json!({ "sigv4": { "region": "eu-west-1" } });
    let prometheus = json!({ "prometheus": {
        "address": "http://SERVER/aps-workspaces/w-1", "query": "up", "authentication": sigv4 } });
    let (measurement, seen) = measured(prometheus, "result[0] == 1", answer).await;
    assert_eq!(
        measurement.phase,
        AnalysisPhase::Successful,
        "{}",
        measurement.message
    );
    assert_eq!(seen.path, "/aps-workspaces/w-1/api/v1/query");
    assert_eq!(seen.headers["x-amz-security-token"], "session");
    assert_signed(&seen, "aps");
    let web = json!({ "web": { "url": "http://SERVER/check", "authentication": sigv4 } });
    let (measurement, seen) = measured(web, "result.status == 'success'", answer).await;
    assert_eq!(
        measurement.phase,
        AnalysisPhase::Successful,
        "{}",
        measurement.message
    );
    assert_signed(&seen, "execute-api");
    // Another server than Amazon's gets no signature, as upstream.
    let elsewhere = json!({ "prometheus": { "address": "http://SERVER", "query": "up", "authentication": sigv4 } });
    let (_, seen) = measured(elsewhere, "true", answer).await;
    assert!(!seen.headers.contains_key("authorization"));
}

#[tokio::test]
async fn credentials_come_from_the_container_service_too() {
    let (address, served) = serve(|seen| match seen.path.as_str() {
        "/credentials" => axum::Json(json!({
            "AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "wJalrXUtnFEMI", "Token": "pod-session",
            "Expiration": "2100-01-01T00:00:00Z",
        }))
        .into_response(),
        _ => axum::Json(json!({ "MetricDataResults": [] })).into_response(),
    })
    .await;
    let environment = [
        ("AWS_REGION", "eu-west-1".to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            format!("http://{address}/credentials"),
        ),
        ("AWS_ENDPOINT_URL", format!("http://{address}")),
    ];
    let providers = providers_in(address, None, &environment);
    let order = order_of(
        serde_json::from_str(QUERY).expect("JSON"),
        json!({}),
        json!([]),
    );
    assert_eq!(taken(providers.measure(&order).await).message, "");
    assert_eq!(taken(providers.measure(&order).await).message, "");
    let seen = served.seen.lock().clone();
    // The credentials are kept until they expire.
    let asked = seen
        .iter()
        .filter(|seen| seen.path == "/credentials")
        .count();
    assert_eq!((asked, seen.len()), (1, 3));
    assert_eq!(seen[2].headers["x-amz-security-token"], "pod-session");
    assert_signed(&seen[2], "monitoring");
}
