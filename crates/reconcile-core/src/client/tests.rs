//! The gate in front of made-up servers.

mod fence;
mod proxy;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::body::Body as Answered;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt;
use jiff::{SignedDuration, Timestamp};
use kube::client::Body;
use prometheus::{Registry, TextEncoder};
use tower::{BoxError, Layer, Service};

use super::{
    ClientPolicy, Deadlines, Fence, FencedInFlight, Late, RequestMetrics,
    call::{Call, RequestClass},
    gate::GateLayer,
};
use crate::clock::Clock;

const PODS: &str = "/api/v1/namespaces/a/pods";

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

fn read(method: &Method, uri: &str) -> Call {
    Call::of(method, &uri.parse().expect("a URI"), &HeaderMap::new())
}

fn call(method: &Method, uri: &str) -> (&'static str, String, bool) {
    let call = read(method, uri);
    (call.verb, call.resource, call.writes)
}

#[test]
fn requests_are_named_by_verb_and_resource() {
    assert_eq!(call(&Method::GET, PODS), ("list", "pods".into(), false));
    assert_eq!(
        call(&Method::GET, "/api/v1/pods?watch=true"),
        ("watch", "pods".into(), false)
    );
    let status = "/apis/argoproj.io/v1alpha1/namespaces/a/rollouts/r/status";
    assert_eq!(
        call(&Method::PATCH, status),
        ("patch", "rollouts/status".into(), true)
    );
    assert_eq!(
        call(&Method::POST, "/api/v1/namespaces"),
        ("create", "namespaces".into(), true)
    );
    assert_eq!(
        call(&Method::DELETE, "/api/v1/namespaces/a"),
        ("delete", "namespaces".into(), true)
    );
}

#[test]
fn questions_are_not_writes() {
    for review in [
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
        "/apis/authorization.k8s.io/v1/namespaces/a/localsubjectaccessreviews",
        "/apis/authentication.k8s.io/v1/tokenreviews",
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        "/api/v1/namespaces/a/serviceaccounts/s/token",
    ] {
        assert!(!call(&Method::POST, review).2, "{review}");
        assert!(call(&Method::PATCH, review).2, "{review}");
        assert!(call(&Method::DELETE, review).2, "{review}");
    }
}

#[test]
fn what_only_looks_like_a_question_is_a_write() {
    for path in [
        "/apis/example.com/v1/namespaces/a/codereviews",
        "/apis/example.com/v1/selfsubjectaccessreviews",
        "/api/v1/namespaces/a/tokenreviews",
        "/apis/example.com/v1/namespaces/a/serviceaccounts/s/token",
        "/api/v1/namespaces/a/secrets/s/token",
        "/api/v1/namespaces/a/serviceaccounts/token",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews/name",
        "/apis/authentication.k8s.io/v1/tokenreviews/../../../apps/v1/deployments",
        "/apis/authentication.k8s.io//tokenreviews",
        "/api/v1/namespaces/a/serviceaccounts/s/token/x",
    ] {
        assert!(call(&Method::POST, path).2, "{path}");
    }
}

#[test]
fn only_a_request_that_surely_changes_nothing_is_a_dry_run() {
    let config = "/api/v1/namespaces/a/configmaps/c";
    assert!(!call(&Method::PATCH, &format!("{config}?dryRun=All&force=true")).2);
    assert!(!call(&Method::PUT, &format!("{config}?force=true&dryRun=All")).2);
    for query in [
        "",
        "?dryRun",
        "?dryRun=",
        "?dryRun=all",
        "?dryRun=None",
        "?dryRun=All&dryRun=None",
        "?xdryRun=All",
        "?a=b?dryRun=All",
        "?dryRun=All%2C",
    ] {
        assert!(
            call(&Method::PATCH, &format!("{config}{query}")).2,
            "{query}"
        );
    }
    // The options of a delete are in its body.
    assert!(call(&Method::DELETE, &format!("{config}?dryRun=All")).2);
    // The query of a proxy request is for the proxied server.
    let proxy = "/api/v1/namespaces/a/services/s/proxy/pay?dryRun=All";
    assert!(call(&Method::POST, proxy).2);
}

#[test]
fn a_way_into_a_pod_is_a_write_whatever_its_method_is() {
    for way in ["exec?command=rm&", "attach?", "portforward?ports=80&"] {
        for method in [Method::GET, Method::POST] {
            let call = read(&method, &format!("{PODS}/p/{way}dryRun=All"));
            assert!(call.writes, "{way}");
            assert_eq!(call.class, RequestClass::Upgrade, "{way}");
        }
    }
}

#[test]
fn requests_have_classes() {
    let class = |uri: &str| read(&Method::GET, uri).class;
    for uri in ["?watch=true", "?watch=1", "?watch=True", "?watch"] {
        assert_eq!(
            class(&format!("{PODS}{uri}")),
            RequestClass::Stream,
            "{uri}"
        );
    }
    for uri in ["", "?watch=false", "?watch=0", "?follow=true", "/p/log"] {
        assert_eq!(class(&format!("{PODS}{uri}")), RequestClass::Unary, "{uri}");
    }
    assert_eq!(
        class(&format!("{PODS}/p/log?follow=true&tailLines=5")),
        RequestClass::Stream
    );
}

/// A server that answers each request as `answer` says for its number.
struct Server {
    seen: Arc<AtomicUsize>,
    registry: Registry,
    metrics: RequestMetrics,
}

impl Server {
    fn new() -> Self {
        let registry = Registry::new();
        let metrics = RequestMetrics::register(&registry).expect("a new registry");
        Self {
            seen: Arc::default(),
            registry,
            metrics,
        }
    }

    async fn ask(
        &self,
        fence: &Fence,
        method: Method,
        answer: impl Fn(usize) -> Response<Answered> + Clone + Send + Sync + 'static,
    ) -> Result<(u16, String), BoxError> {
        self.ask_at(fence, method, PODS, answer).await
    }

    async fn ask_at(
        &self,
        fence: &Fence,
        method: Method,
        uri: &str,
        answer: impl Fn(usize) -> Response<Answered> + Clone + Send + Sync + 'static,
    ) -> Result<(u16, String), BoxError> {
        let seen = self.seen.clone();
        let service = tower::service_fn(move |_: Request<Body>| {
            let answer = answer(seen.fetch_add(1, Ordering::SeqCst));
            async move { Ok::<_, Infallible>(answer) }
        });
        let policy = ClientPolicy {
            fence: fence.clone(),
            deadlines: Deadlines::default(),
            metrics: self.metrics.clone(),
        };
        let mut gate = GateLayer::new(policy).layer(service);
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .body(Body::from(b"{}".to_vec()))
            .expect("a request");
        let response = gate.call(request).await?;
        let code = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((code, String::from_utf8_lossy(&body).into_owned()))
    }

    fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }
}

fn answer(code: u16) -> Response<Answered> {
    let mut response = Response::new(Answered::from(code.to_string()));
    *response.status_mut() = code.try_into().expect("a status code");
    response
}

fn open() -> Fence {
    Fence::open(Clock::manual(start()))
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_asked_again_a_few_times() {
    let server = Server::new();
    let busy_once = |n| answer(if n == 0 { 429 } else { 200 });
    let (code, body) = server
        .ask(&open(), Method::POST, busy_once)
        .await
        .expect("an answer");
    assert_eq!((code, body.as_str(), server.seen()), (200, "200", 2));
    let (code, _) = server
        .ask(&open(), Method::GET, |_| answer(503))
        .await
        .expect("an answer");
    assert_eq!((code, server.seen()), (503, 2 + 4));
    let text = TextEncoder::new()
        .encode_to_string(&server.registry.gather())
        .expect("metrics");
    assert!(
        text.contains(r#"code="429",resource="pods",verb="create"} 1"#),
        "{text}"
    );
    assert!(
        text.contains(r#"code="503",resource="pods",verb="list"} 4"#),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_write_that_may_have_happened_is_not_repeated() {
    for code in [503, 504, 500] {
        let server = Server::new();
        let (found, _) = server
            .ask(&open(), Method::POST, move |_| answer(code))
            .await
            .expect("an answer");
        assert_eq!((found, server.seen()), (code, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_retry_after_is_for_the_caller() {
    let server = Server::new();
    let later = |seconds: &'static str| {
        move |n| {
            let mut busy = answer(if n == 0 { 429 } else { 200 });
            busy.headers_mut()
                .insert("Retry-After", http::HeaderValue::from_static(seconds));
            busy
        }
    };
    let begin = tokio::time::Instant::now();
    let asked = server.ask(&open(), Method::GET, later("60")).await;
    assert_eq!(asked.expect("an answer").0, 429);
    assert!(begin.elapsed() < Duration::from_secs(1));
    let server = Server::new();
    let asked = server.ask(&open(), Method::GET, later("2")).await;
    assert_eq!(asked.expect("an answer").0, 200);
    assert_eq!(begin.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_stalls_half_way_is_late() {
    let server = Server::new();
    let stalled = |_| {
        let first = futures::stream::iter([Ok::<_, Infallible>("half")]);
        let body = futures::StreamExt::chain(first, futures::stream::pending());
        Response::new(Answered::from_stream(body))
    };
    let late = server
        .ask(&open(), Method::GET, stalled)
        .await
        .expect_err("no end");
    assert!(late.downcast_ref::<Late>().is_some(), "{late}");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_call_covers_all_of_its_tries() {
    let server = Server::new();
    let begin = tokio::time::Instant::now();
    let busy_then_silent = |n| {
        if n > 2 {
            return without_end();
        }
        let mut busy = answer(429);
        busy.headers_mut()
            .insert("Retry-After", http::HeaderValue::from_static("5"));
        busy
    };
    let late = server
        .ask(&open(), Method::POST, busy_then_silent)
        .await
        .expect_err("no end");
    assert!(late.downcast_ref::<Late>().is_some(), "{late}");
    assert_eq!(
        (begin.elapsed(), server.seen()),
        (Deadlines::default().unary, 4)
    );
}

#[tokio::test(start_paused = true)]
async fn a_log_may_begin_late_and_a_watch_may_not() {
    let service = tower::service_fn(|_: Request<Body>| async {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        Ok::<_, Infallible>(answer(200))
    });
    let policy = ClientPolicy {
        fence: open(),
        deadlines: Deadlines::default(),
        metrics: Server::new().metrics,
    };
    let mut gate = GateLayer::new(policy).layer(service);
    let mut ask = |uri: &str| {
        let request = Request::get(format!("{PODS}{uri}")).body(Body::empty());
        gate.call(request.expect("a request"))
    };
    let log = ask("/p/log?follow=true").await.expect("its first line");
    assert_eq!(log.status(), 200);
    let error = ask("?watch=true").await.expect_err("no answer in time");
    assert!(error.is::<Late>(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_has_no_deadline() {
    for uri in ["?watch=true", "/p/log?follow=true"] {
        let server = Server::new();
        let (uri, fence) = (format!("{PODS}{uri}"), open());
        let asked = server.ask_at(&fence, Method::GET, &uri, |_| without_end());
        // The head is here at once; the body is read by the caller for as long as the caller wants.
        let read = tokio::time::timeout(Duration::from_secs(3600), asked).await;
        assert!(read.is_err(), "{uri}: {read:?}");
    }
}

fn without_end() -> Response<Answered> {
    let first = futures::stream::iter([Ok::<_, Infallible>("half")]);
    let body = futures::StreamExt::chain(first, futures::stream::pending());
    Response::new(Answered::from_stream(body))
}
