//! What all HTTP providers share: redirects, addresses, limits, servers that ask for fewer requests.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{Seen, exchange, measure, order_of, providers, serve, taken};
use crate::api::analysis::AnalysisPhase;

fn web(url: &str) -> Value {
    json!({ "web": {
        "url": url, "headers": [{ "key": "X-Api-Key", "value": "s3cret" }],
        "authentication": { "basicAuth": { "username": "me", "password": "passw0rd" } },
    } })
}

fn redirect(status: StatusCode, to: &str) -> Response {
    (status, [("location", to.to_owned())]).into_response()
}

fn has_credentials(seen: &Seen) -> bool {
    seen.headers.contains_key("x-api-key") || seen.headers.contains_key("authorization")
}

#[tokio::test]
async fn a_redirect_carries_credentials_to_the_same_host_only() {
    let (other, at_other) = serve(|_| "1".into_response()).await;
    let (address, at_first) = serve(move |seen| match seen.path.as_str() {
        "/same" => redirect(StatusCode::FOUND, "/end"),
        "/other" => redirect(StatusCode::FOUND, &format!("http://{other}/end")),
        "/post" => redirect(
            StatusCode::TEMPORARY_REDIRECT,
            &format!("http://{other}/end"),
        ),
        "/circle" => redirect(StatusCode::FOUND, "/circle"),
        _ => "1".into_response(),
    })
    .await;
    let ask = |path: &'static str| measure_web(address, path, json!({}));
    assert_eq!(ask("/same").await.value, "1");
    assert!(has_credentials(
        &at_first.seen.lock().pop().expect("a request")
    ));
    assert_eq!(ask("/other").await.value, "1");
    assert!(!has_credentials(
        &at_other.seen.lock().pop().expect("a request")
    ));
    let circle = ask("/circle").await;
    assert_eq!(circle.message, "the server redirects more than 5 times");
    let post = json!({ "method": "POST", "body": "password=passw0rd" });
    let refused = measure_web(address, "/post", post).await;
    assert!(
        refused
            .message
            .contains("a body is not sent to another host"),
        "{}",
        refused.message
    );
    assert!(at_other.seen.lock().is_empty());
}

async fn measure_web(
    address: std::net::SocketAddr,
    path: &str,
    more: Value,
) -> crate::api::analysis::Measurement {
    let mut provider = web(&format!("http://{address}{path}"));
    for (key, value) in more.as_object().expect("an object") {
        provider["web"][key] = value.clone();
    }
    measure(address, &order_of(provider, json!({}), json!([]))).await
}

#[tokio::test]
async fn the_metadata_service_is_not_called_directly_or_through_a_redirect() {
    let (address, served) =
        serve(|_| redirect(StatusCode::FOUND, "http://169.254.169.254/latest/")).await;
    for url in [
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "http://[::ffff:169.254.169.254]/".to_owned(),
        format!("http://{address}/"),
    ] {
        let measurement = measure(address, &order_of(web(&url), json!({}), json!([]))).await;
        assert_eq!(measurement.phase, AnalysisPhase::Error);
        assert!(
            measurement.message.contains("--analysis-allow-link-local"),
            "{}",
            measurement.message
        );
    }
    assert_eq!(served.seen.lock().len(), 1);
}

#[tokio::test]
async fn a_server_that_asks_for_fewer_requests_is_asked_again_when_it_says() {
    let (address, _) = serve(|_| {
        (
            StatusCode::TOO_MANY_REQUESTS,
            [("retry-after", "7")],
            "slow down",
        )
            .into_response()
    })
    .await;
    let providers = providers(address, None);
    let url = format!("http://{address}/");
    let mut order = order_of(web(&url), json!({}), json!([]));
    for attempt in 1..=5 {
        let waiting = taken(providers.measure(&order).await);
        assert_eq!(waiting.phase, AnalysisPhase::Running, "{}", waiting.message);
        assert!(waiting.finished_at.is_none());
        assert_eq!(waiting.metadata["throttledAttempts"], attempt.to_string());
        let resume = waiting.resume_at.as_ref().expect("a time").0;
        let pause = resume
            .duration_since(reconcile_core::clock::Clock::system().now())
            .as_secs();
        assert!((5..=7).contains(&pause), "{pause}");
        order.open = Some(waiting);
    }
    let given_up = taken(providers.measure(&order).await);
    assert_eq!(given_up.phase, AnalysisPhase::Error);
    assert_eq!(
        given_up.message,
        "the server answered 429 Too Many Requests: slow down"
    );
}

#[tokio::test]
async fn a_measurement_that_waited_for_its_server_is_judged_like_any_other() {
    let (address, _) = serve(|_| "1".into_response()).await;
    let mut order = order_of(
        web(&format!("http://{address}/")),
        json!({ "successCondition": "result == 1" }),
        json!([]),
    );
    order.open = Some(crate::api::analysis::Measurement {
        phase: AnalysisPhase::Running,
        metadata: [("throttledAttempts".to_owned(), "2".to_owned())].into(),
        ..Default::default()
    });
    let measurement = measure(address, &order).await;
    assert_eq!(
        measurement.phase,
        AnalysisPhase::Successful,
        "{}",
        measurement.message
    );
    assert!(measurement.metadata.is_empty() && measurement.finished_at.is_some());
    order.terminate = true;
    let ended = measure(address, &order).await;
    assert_eq!(
        (ended.phase, ended.message.as_str()),
        (AnalysisPhase::Inconclusive, "Metric Terminated")
    );
}

#[tokio::test]
async fn a_server_that_hangs_holds_up_nobody_else() {
    let hanging = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let hanging_at = hanging.local_addr().expect("an address");
    let (address, _) = serve(|_| "1".into_response()).await;
    let providers = providers(address, None);
    let mut stuck = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let providers = providers.clone();
        let order = order_of(web(&format!("http://{hanging_at}/")), json!({}), json!([]));
        stuck.spawn(async move { providers.measure(&order).await });
    }
    tokio::task::yield_now().await;
    let mut elsewhere = order_of(web(&format!("http://{address}/")), json!({}), json!([]));
    elsewhere.namespace = "other".into();
    assert_eq!(
        taken(providers.measure(&elsewhere).await).phase,
        AnalysisPhase::Successful
    );
    stuck.abort_all();
}

#[tokio::test]
async fn no_text_shows_a_credential() {
    let echo = |seen: &Seen| {
        let login = seen.headers["authorization"]
            .to_str()
            .expect("text")
            .to_owned();
        axum::Json(json!({ "you": login, "plain": "passw0rd" })).into_response()
    };
    let (measurement, _) = exchange(
        echo,
        |address| web(&format!("http://{address}/")),
        "result.plain > 1",
    )
    .await;
    assert_eq!(measurement.phase, AnalysisPhase::Error);
    let (shown, _) = exchange(echo, |address| web(&format!("http://{address}/")), "true").await;
    assert_eq!(shown.value, "{\"plain\":\"*****\",\"you\":\"Basic *****\"}");
    for text in [measurement.message, shown.value] {
        assert!(
            !text.contains("passw0rd") && !text.contains("bWU6cGFzc3cwcmQ="),
            "{text}"
        );
    }
}
