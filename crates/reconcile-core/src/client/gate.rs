//! The service that every request of the client goes through.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::HttpBody;
use bytes::Bytes;
use http::{Request, Response, StatusCode, header::RETRY_AFTER};
use http_body_util::{BodyExt, Either, Full};
use kube::client::Body;
use thiserror::Error;
use tokio::sync::Mutex;
use tower::{BoxError, Layer, Service, ServiceExt};

use super::{Fence, RequestMetrics, call::Call};

/// Deadline of a call that is not a watch, answer included; the API server's own request timeout is 60 s, and a
/// healthy one answers in milliseconds.
const CALL_DEADLINE: Duration = Duration::from_secs(30);
/// How often a request is sent again to a server that is busy; after that its error is for the caller, who has a
/// back-off of its own.
const RETRIES: u32 = 3;
/// First pause before sending again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// A server that wants to be left alone for longer than this is waited for by the caller.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A write was refused because this process does not hold the lease.
#[derive(Debug, Error)]
#[error("not the leader: the write was not sent")]
pub struct Fenced;

/// A call did not end in time.
#[derive(Debug, Error)]
#[error("the API server did not answer within {} s", CALL_DEADLINE.as_secs())]
pub struct Late;

/// Puts a [`Gate`] around the service that sends requests.
#[derive(Clone)]
pub(super) struct GateLayer {
    fence: Fence,
    metrics: RequestMetrics,
}

impl GateLayer {
    pub(super) fn new(fence: Fence, metrics: RequestMetrics) -> Self {
        Self { fence, metrics }
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate(Arc::new(Shared {
            inner: Mutex::new(inner),
            fence: self.fence.clone(),
            metrics: self.metrics.clone(),
        }))
    }
}

pub(super) struct Gate<S>(Arc<Shared<S>>);

struct Shared<S> {
    /// Locked only while a request is handed over, not while it is answered.
    inner: Mutex<S>,
    fence: Fence,
    metrics: RequestMetrics,
}

/// An answer that was read to its end, or a watch.
type Answer<B> = Response<Either<Full<Bytes>, B>>;

impl<S, B> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
    S::Error: Into<BoxError> + Send + 'static,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Answer<B>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer<B>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shared = self.0.clone();
        Box::pin(async move { shared.call(request).await })
    }
}

impl<S, B> Shared<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Send,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    async fn call(&self, mut request: Request<Body>) -> Result<Answer<B>, BoxError> {
        let call = Call::of(request.method(), request.uri());
        let mut tries = 0;
        loop {
            // Looked at before each try: the lease may go while a busy server is waited for.
            if call.writes && !self.fence.is_open() {
                return Err(Fenced.into());
            }
            let again = copy_of(&request);
            let answer = self.attempt(&call, request).await;
            let pause = answer.as_ref().ok().and_then(|ok| pause(&call, ok, tries));
            let (Some(pause), Some(again)) = (pause, again) else {
                return answer;
            };
            drop(answer);
            tokio::time::sleep(pause).await;
            request = again;
            tries += 1;
        }
    }

    /// Sends the request once and counts how it ended.
    async fn attempt(&self, call: &Call, request: Request<Body>) -> Result<Answer<B>, BoxError> {
        let answer = if call.verb == "watch" {
            self.send(request)
                .await
                .map(|answer| answer.map(Either::Right))
        } else {
            match tokio::time::timeout(CALL_DEADLINE, self.send_and_read(request)).await {
                Ok(answer) => answer,
                Err(_) => Err(Late.into()),
            }
        };
        let code = answer
            .as_ref()
            .map_or("error".into(), |ok| ok.status().as_str().to_owned());
        self.metrics.count(call.verb, &call.resource, &code);
        answer
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<B>, BoxError> {
        let answer = {
            let mut inner = self.inner.lock().await;
            inner.ready().await.map_err(Into::into)?.call(request)
        };
        answer.await.map_err(Into::into)
    }

    /// The body is read here too, so that the deadline covers an answer that stalls half-way.
    async fn send_and_read(&self, request: Request<Body>) -> Result<Answer<B>, BoxError> {
        let (head, body) = self.send(request).await?.into_parts();
        let body = body.collect().await.map_err(Into::into)?.to_bytes();
        Ok(Response::from_parts(head, Either::Left(Full::new(body))))
    }
}

/// How long to wait before the request is sent again; `None` when the answer is for the caller.
///
/// Too many requests (429) means that nothing was done. Unavailable (503) and timed out (504) may hide a write that
/// was done, which only the caller can find out.
fn pause<B>(call: &Call, answer: &Response<B>, tries: u32) -> Option<Duration> {
    let busy = match answer.status() {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => !call.writes,
        _ => false,
    };
    if !busy || tries >= RETRIES {
        return None;
    }
    let wanted = answer
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    let pause = wanted
        .unwrap_or_default()
        .max(FIRST_PAUSE.saturating_mul(1 << tries));
    (pause <= LONGEST_PAUSE).then_some(pause)
}

fn copy_of(request: &Request<Body>) -> Option<Request<Body>> {
    let mut copy = Request::new(request.body().try_clone()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}
