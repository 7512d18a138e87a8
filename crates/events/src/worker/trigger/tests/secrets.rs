//! Targets that repeat what they are sent: no text that leaves the process holds a Secret.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    broker::Broker,
    process::{Spec, context},
};
use crate::trigger::stage::Stage;

/// Also a part of a host name, so that a redirect can repeat it there.
const SECRET: &str = "hush-0123456789";

/// A target that repeats the header `X-Key` in every way, one after the other; gives its URL and its count of calls.
async fn echo() -> (String, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let app = axum::Router::new().fallback(move |headers: http::HeaderMap| {
        let key = headers
            .get("x-key")
            .map_or("", |key| key.to_str().expect("text"));
        let (status, location) = match count.fetch_add(1, SeqCst) {
            0 => (500, None),
            1 => (307, Some(format!("ftp://{key}/{key}"))),
            2 => (307, Some(format!("http://169.254.169.254/{key}?key={key}"))),
            3 => (307, Some(format!("http://{key}.invalid/{key}"))),
            4 => (307, Some(format!("http://u:{key}@127.0.0.1:1/{key}"))),
            // To itself, without end.
            5..16 => (307, Some(format!("/{key}"))),
            _ => (200, None),
        };
        let mut answer = axum::response::Response::builder()
            .status(status)
            .header("x-amz-function-error", key);
        if let Some(location) = location {
            answer = answer.header("location", location);
        }
        let answer = answer.body(axum::body::Body::from(key.to_owned()));
        std::future::ready(answer.expect("an answer"))
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, calls)
}

#[tokio::test]
async fn a_target_that_repeats_a_secret_header_publishes_nothing() {
    let (url, calls) = echo().await;
    let stage = Stage::with_secret(&json!({"key": "aHVzaC0wMTIzNDU2Nzg5"}));
    let secure =
        json!([{"name": "X-Key", "valueFrom": {"secretKeyRef": {"name": "s", "key": "key"}}}]);
    let spec = Spec::check(&json!({
        "dependencies": [{"name": "a", "eventSourceName": "src", "eventName": "a"}],
        "triggers": [{
            "template": {"name": "t", "http": {"url": url, "secureHeaders": secure}},
            "policy": {"status": {"allow": [200]}},
            "retryStrategy": {"steps": 1},
        }],
    }));
    let broker = Broker::default();
    let mut context = context(&spec, &broker);
    context.trigger = Arc::new(spec.trigger.clone());
    context.executor = stage.executor.clone();
    context.events = stage.operator.events.clone();
    let mut shown = Vec::new();
    for failures in 1.. {
        let left = calls.load(SeqCst) < 16;
        assert!(context.act(&stage.firing, Bytes::new()).await);
        let now = context.activity.now();
        shown.push(format!("{now:?}"));
        assert_eq!(now.last_event.is_some(), !left, "{now:?}");
        if !left {
            assert_eq!(failures, 7, "six failures and a success");
            break;
        }
    }
    stage.operator.events.flush().await;
    let notes: Vec<Value> = stage.api.list("events").into_iter().collect();
    assert!(!notes.is_empty(), "failures have Events");
    shown.extend(notes.iter().map(Value::to_string));
    let letters = broker.log();
    assert_eq!(letters.len(), 6, "{letters:#?}");
    shown.extend(letters);
    for text in shown {
        assert!(!text.contains(SECRET), "{text}");
        assert!(!text.contains("aHVzaC0wMTIzNDU2Nzg5"), "{text}");
    }
}
