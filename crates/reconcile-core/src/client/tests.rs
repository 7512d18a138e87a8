//! The gate in front of made-up servers.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::body::Body as Answered;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use jiff::{SignedDuration, Timestamp};
use kube::client::Body;
use prometheus::{Registry, TextEncoder};
use tower::{BoxError, Layer, Service};

use super::{Fence, Fenced, Late, RequestMetrics, call::Call, gate::GateLayer};
use crate::clock::Clock;

const PODS: &str = "/api/v1/namespaces/a/pods";

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

fn call(method: &Method, uri: &str) -> (&'static str, String, bool) {
    let call = Call::of(method, &uri.parse().expect("a URI"));
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
fn questions_and_dry_runs_are_not_writes() {
    let review = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let token = "/api/v1/namespaces/a/serviceaccounts/s/token";
    let dry = "/api/v1/namespaces/a/configmaps/c?dryRun=All&force=true";
    assert!(!call(&Method::POST, review).2);
    assert!(!call(&Method::POST, token).2);
    assert!(!call(&Method::PATCH, dry).2);
}

#[test]
fn the_fence_opens_only_while_the_lease_lasts() {
    let clock = Clock::manual(start());
    let fence = Fence::closed(clock.clone());
    assert!(!fence.is_open());
    fence.extend(clock.read(), SignedDuration::from_secs(10));
    assert!(fence.is_open());
    clock.advance(SignedDuration::from_secs(10));
    assert!(!fence.is_open());
}

#[test]
fn a_clock_that_is_set_back_does_not_hold_the_fence_open() {
    let clock = Clock::manual(start());
    let fence = Fence::closed(clock.clone());
    fence.extend(clock.read(), SignedDuration::from_secs(10));
    clock.move_wall(-SignedDuration::from_hours(1));
    assert!(fence.is_open());
    clock.advance(SignedDuration::from_secs(10));
    assert!(!fence.is_open());
}

#[test]
fn a_machine_that_was_suspended_finds_the_fence_closed() {
    let clock = Clock::manual(start());
    let fence = Fence::closed(clock.clone());
    fence.extend(clock.read(), SignedDuration::from_secs(10));
    clock.move_wall(SignedDuration::from_mins(1));
    assert!(!fence.is_open());
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
        answer: impl Fn(usize) -> Response<Answered> + Clone + Send + 'static,
    ) -> Result<(u16, String), BoxError> {
        let seen = self.seen.clone();
        let service = tower::service_fn(move |_: Request<Body>| {
            let answer = answer(seen.fetch_add(1, Ordering::SeqCst));
            async move { Ok::<_, Infallible>(answer) }
        });
        let mut gate = GateLayer::new(fence.clone(), self.metrics.clone()).layer(service);
        let request = Request::builder()
            .method(method)
            .uri(PODS)
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
async fn a_long_wish_to_be_left_alone_is_for_the_caller() {
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
async fn a_write_that_waited_for_a_busy_server_is_not_sent_once_the_lease_is_gone() {
    let clock = Clock::manual(start());
    let fence = Fence::closed(clock.clone());
    fence.extend(clock.read(), SignedDuration::from_secs(10));
    let server = Server::new();
    let slow = move |_| {
        clock.advance(SignedDuration::from_secs(10));
        answer(429)
    };
    let refused = server
        .ask(&fence, Method::POST, slow)
        .await
        .expect_err("the fence is closed");
    assert!(refused.downcast_ref::<Fenced>().is_some(), "{refused}");
    assert_eq!(server.seen(), 1);
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
