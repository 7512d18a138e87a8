//! Any HTTP endpoint.

use axum::{
    http::{Method, StatusCode},
    response::IntoResponse,
};
use serde_json::{Value, json};

use super::{MeasurementRequest, measure, order_of, providers, serve, taken};
use crate::api::analysis::{AnalysisPhase, Measurement};

fn web(address: std::net::SocketAddr, spec: Value, condition: &str) -> MeasurementRequest {
    let mut web = json!({ "url": format!("http://{address}/check") });
    for (key, value) in spec.as_object().expect("an object") {
        web[key] = value.clone();
    }
    let arguments = json!([
        { "name": "password", "valueFrom": { "secretKeyRef": { "name": "login", "key": "password" } } },
    ]);
    order_of(
        json!({ "web": web }),
        json!({ "successCondition": condition }),
        arguments,
    )
}

async fn answered(body: &'static str, spec: Value, condition: &str) -> Measurement {
    let (address, _) = serve(move |_| body.into_response()).await;
    measure(address, &web(address, spec, condition)).await
}

#[tokio::test]
async fn the_value_is_the_answer_or_a_part_of_it() {
    let whole = "{\"data\": {\"ok\": true, \"rate\": [0.5, 2]}}";
    for (body, path, condition, value, phase) in [
        (
            whole,
            "{$.data.ok}",
            "result",
            "true",
            AnalysisPhase::Successful,
        ),
        (
            whole,
            "{$.data.rate[1]}",
            "result > 1",
            "2",
            AnalysisPhase::Successful,
        ),
        (
            whole,
            "{$.data}",
            "result.rate[0] == 0.5 && result['ok']",
            "{\"ok\":true,\"rate\":[0.5,2]}",
            AnalysisPhase::Successful,
        ),
        (
            whole,
            "",
            "result.data.rate[0] > 1",
            "{\"data\":{\"ok\":true,\"rate\":[0.5,2]}}",
            AnalysisPhase::Failed,
        ),
        (
            "3",
            "",
            "asInt(result) == 3",
            "3",
            AnalysisPhase::Successful,
        ),
        (
            "pong",
            "",
            "result == 'pong'",
            "pong",
            AnalysisPhase::Successful,
        ),
        (
            "pong",
            "{$.a}",
            "result != 'pong'",
            "pong",
            AnalysisPhase::Failed,
        ),
    ] {
        let measurement = answered(body, json!({ "jsonPath": path }), condition).await;
        let found = (measurement.value.as_str(), &measurement.phase);
        assert_eq!(
            found,
            (value, &phase),
            "{path} {condition}: {}",
            measurement.message
        );
    }
}

#[tokio::test]
async fn an_answer_without_the_value_or_a_bad_status_is_an_error() {
    let missing = answered("{}", json!({ "jsonPath": "{$.data}" }), "true").await;
    assert_eq!(missing.phase, AnalysisPhase::Error);
    assert!(
        missing
            .message
            .starts_with("Could not find JSONPath in body:"),
        "{}",
        missing.message
    );
    let (address, _) = serve(|_| StatusCode::NOT_FOUND.into_response()).await;
    let refused = measure(address, &web(address, json!({}), "true")).await;
    assert_eq!(refused.message, "received non 2xx response code: 404");
}

#[tokio::test]
async fn bodies_headers_and_logins_are_sent() {
    let (address, served) = serve(|_| "{}".into_response()).await;
    let json_body = json!({
        "method": "POST",
        "jsonBody": { "key": "{{args.password}}", "n": 1 },
        "headers": [{ "key": "X-One", "value": "1" }],
        "authentication": { "basicAuth": { "username": "me", "password": "{{args.password}}" } },
    });
    assert_eq!(
        measure(address, &web(address, json_body, "true"))
            .await
            .message,
        ""
    );
    let seen = served.seen.lock().pop().expect("a request");
    assert_eq!((seen.method, seen.path.as_str()), (Method::POST, "/check"));
    assert_eq!(seen.body, "{\"key\":\"hunter2\",\"n\":1}");
    assert_eq!(seen.headers["content-type"], "application/json");
    assert_eq!(seen.headers["x-one"], "1");
    assert_eq!(seen.headers["authorization"], "Basic bWU6aHVudGVyMg==");
    measure(
        address,
        &web(address, json!({ "method": "PUT", "body": "text" }), "true"),
    )
    .await;
    assert_eq!(served.seen.lock().pop().expect("a request").body, "text");
}

#[tokio::test]
async fn impossible_calls_say_why() {
    for (spec, message) in [
        (
            json!({ "method": "PATCH" }),
            "provider.web.method: \"PATCH\" is none of GET, POST and PUT",
        ),
        (
            json!({ "body": "x" }),
            "provider.web.body: body and jsonBody need the method POST or PUT",
        ),
        (
            json!({ "method": "PUT", "body": "x", "jsonBody": {} }),
            "provider.web.jsonBody: use either body or jsonBody; a call has one of them",
        ),
        (
            json!({ "headers": [{ "key": "a b", "value": "1" }] }),
            "provider.web.headers[0].key: \"a b\" is not the name of a header",
        ),
        (
            json!({ "url": "no url" }),
            "provider.web.url: \"no url\" is not a URL: relative URL without a base; use for example http://host:9090",
        ),
    ] {
        let measurement = answered("{}", spec, "true").await;
        assert_eq!(
            (measurement.phase, measurement.message.as_str()),
            (AnalysisPhase::Error, message)
        );
    }
}

#[tokio::test]
async fn a_token_is_fetched_with_client_credentials() {
    let (address, served) = serve(|seen| match seen.path.as_str() {
        "/token" => "{\"access_token\": \"t0ken\", \"token_type\": \"Bearer\"}".into_response(),
        _ => "{}".into_response(),
    })
    .await;
    let oauth2 = |secret: &str| {
        json!({ "authentication": { "oauth2": {
            "tokenUrl": format!("http://{address}/token"), "clientId": "id", "clientSecret": secret, "scopes": ["a", "b"],
        } } })
    };
    let measurement = measure(address, &web(address, oauth2("{{args.password}}"), "true")).await;
    assert_eq!(measurement.message, "");
    let seen = served.seen.lock().clone();
    assert_eq!(seen[0].body, "grant_type=client_credentials&scope=a+b");
    assert_eq!(seen[0].headers["authorization"], "Basic aWQ6aHVudGVyMg==");
    assert_eq!(seen[1].headers["authorization"], "Bearer t0ken");
    let measurement = measure(address, &web(address, oauth2(""), "true")).await;
    assert_eq!(
        measurement.message,
        "provider.web.authentication.oauth2.clientSecret: must be set"
    );

    // The same login in front of Prometheus.
    let mut prometheus = oauth2("{{args.password}}");
    prometheus["query"] = "up".into();
    let mut order = web(address, json!({}), "true");
    order.metric.provider =
        serde_json::from_value(json!({ "prometheus": prometheus })).expect("a provider");
    providers(address, Some(format!("http://{address}")))
        .measure(&order)
        .await;
    assert_eq!(
        served.seen.lock().last().expect("a request").headers["authorization"],
        "Bearer t0ken"
    );
}

/// Where messages cut: no half of a secret stands before any of these cuts.
#[tokio::test]
async fn a_secret_that_a_cut_would_divide_is_hidden_whole() {
    let (address, _) = serve(|seen| {
        if seen.path == "/check" {
            return seen.body.clone().into_response();
        }
        let request = format!("{}{}", seen.path, seen.body);
        (StatusCode::BAD_REQUEST, request).into_response()
    })
    .await;
    let echo = |before: usize| {
        let text = format!("{}{{{{args.password}}}}", "x".repeat(before));
        json!({ "method": "POST", "body": text })
    };
    let long_condition = |before: usize| {
        let text = "x".repeat(before);
        format!("result.a > 1 && '{text}{{{{args.password}}}}' == ''")
    };
    for before in [193, 197, 199, 200, 1017, 1021, 1024, 8185, 8189, 8192] {
        // The value, and the value within the message of a condition.
        for condition in ["true", "result.a > 1"] {
            let shown = measure(address, &web(address, echo(before), condition)).await;
            hides_all(&shown, "hunter2");
        }
    }
    // The body of an answer that is refused.
    let providers = providers(address, None);
    for before in 120..=200 {
        let query = format!("{}{{{{args.password}}}}", "x".repeat(before));
        let mut request = web(address, json!({}), "true");
        let server = format!("http://{address}");
        for provider in [
            json!({ "graphite": { "address": server, "query": query } }),
            json!({ "prometheus": { "address": server, "query": query } }),
            json!({ "skywalking": { "address": server, "query": query, "interval": "1m" } }),
        ] {
            request.metric.provider = serde_json::from_value(provider).expect("a provider");
            let shown = taken(providers.measure(&request).await);
            assert_eq!(shown.phase, AnalysisPhase::Error);
            assert!(shown.message.contains("xxx"), "{}", shown.message);
            hides_all(&shown, "hunter2");
        }
    }
    for before in 160..200 {
        let condition = long_condition(before);
        let shown = measure(address, &web(address, echo(1), &condition)).await;
        assert_eq!(shown.phase, AnalysisPhase::Error, "{}", shown.message);
        hides_all(&shown, "hunter2");
    }
}

/// Fails when `shown` has the secret or more than one letter of its beginning.
fn hides_all(shown: &Measurement, secret: &str) {
    let text = serde_json::to_string(shown).expect("JSON");
    assert!(!text.contains(&secret[..3]), "{text}");
}

/// The answer of a token server may have a token anywhere.
#[tokio::test]
async fn an_answer_of_a_token_server_is_not_quoted() {
    let (address, _) = serve(|_| "{\"accessToken\": \"t0ken\"}".into_response()).await;
    let spec = json!({ "authentication": { "oauth2": {
        "tokenUrl": format!("http://{address}/token"), "clientId": "id", "clientSecret": "secret",
    } } });
    let shown = measure(address, &web(address, spec, "true")).await;
    assert_eq!(
        shown.message,
        "the answer of the token server has no text \"access_token\""
    );
}

#[tokio::test]
async fn an_endpoint_that_echoes_its_input_publishes_no_secret() {
    let (address, _) = serve(|seen| {
        let header = |name: &str| {
            let value = seen.headers.get(name);
            value
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let login = header("authorization");
        axum::Json(
            json!({ "path": seen.path, "key": header("x-key"), "login": login, "body": seen.body }),
        )
        .into_response()
    })
    .await;
    let spec = json!({
        "url": format!("http://{address}/check?key={{{{args.password}}}}"),
        "method": "POST",
        "body": "{\"k\":\"{{args.password}}\"}",
        "headers": [{ "key": "X-Key", "value": "{{args.password}}" }],
        "authentication": { "basicAuth": { "username": "me", "password": "{{args.password}}" } },
    });
    for condition in ["true", "result.missing.field > 1"] {
        let measurement = measure(address, &web(address, spec.clone(), condition)).await;
        let shown = serde_json::to_string(&measurement).expect("JSON");
        assert!(shown.contains("*****"), "{shown}");
        for secret in ["hunter2", "aHVudGVyMg", "bWU6aHVudGVyMg"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }
}
