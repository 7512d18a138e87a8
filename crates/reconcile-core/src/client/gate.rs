//! The service that every request of a client goes through.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::HttpBody;
use bytes::Bytes;
use http::{Request, Response, StatusCode, header::RETRY_AFTER};
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use kube::client::Body;
use thiserror::Error;
use tower::{BoxError, Layer, Service, ServiceExt};

use super::{
    ClientPolicy,
    call::{Call, RequestClass},
};

/// How often a request is sent again to a server that is busy; after that its error is for the caller, who has a
/// back-off of its own.
const RETRIES: u32 = 3;
/// First pause before sending again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The caller waits for a server whose `Retry-After` is longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Bytes of an answer that is read whole. Lists of many objects come as a stream, or in pages.
const MOST_ANSWER: usize = 256 << 20;

/// A write was refused because this process does not hold the lease.
#[derive(Debug, Error)]
#[error("not the leader: the write was not sent")]
pub struct Fenced;

/// A write was given up because this process lost the lease while the write was in flight. It may have been done.
#[derive(Debug, Error)]
#[error("lost the lease while a write was in flight")]
pub struct FencedInFlight;

/// A call did not end in time.
#[derive(Debug, Error)]
#[error("the API server did not answer within {} s", .0.as_secs_f32())]
pub struct Late(Duration);

/// Puts a [`Gate`] around the service that sends requests.
#[derive(Clone)]
pub(super) struct GateLayer(ClientPolicy);

impl GateLayer {
    pub(super) fn new(policy: ClientPolicy) -> Self {
        Self(policy)
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate {
            inner,
            policy: Arc::new(self.0.clone()),
        }
    }
}

/// Sends requests with `inner`, of which each request has a clone of its own.
#[derive(Clone)]
pub(super) struct Gate<S> {
    inner: S,
    policy: Arc<ClientPolicy>,
}

/// An answer that was read to its end, or one that the caller reads.
type Answer<B> = Response<Either<Full<Bytes>, B>>;

impl<S, B> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
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
        let gate = self.clone();
        Box::pin(async move { gate.run(request).await })
    }
}

impl<S, B> Gate<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    /// A write is given up the moment the fence closes, whatever it waits for.
    async fn run(&self, request: Request<Body>) -> Result<Answer<B>, BoxError> {
        let call = Call::of(request.method(), request.uri(), request.headers());
        if !call.writes {
            return self.within_deadline(&call, request).await;
        }
        if !self.policy.fence.is_open() {
            return Err(Fenced.into());
        }
        tokio::select! {
            // An answer that has arrived counts, even when the fence closes in the same moment.
            biased;
            answer = self.within_deadline(&call, request) => answer,
            () = self.policy.fence.until_closed() => {
                self.count(&call, "error");
                Err(FencedInFlight.into())
            }
        }
    }

    /// The deadline covers all tries, the pauses between them, and an answer that stalls half-way.
    async fn within_deadline(
        &self,
        call: &Call,
        request: Request<Body>,
    ) -> Result<Answer<B>, BoxError> {
        let deadlines = &self.policy.deadlines;
        let deadline = match call.class {
            RequestClass::Unary => deadlines.unary,
            RequestClass::Upgrade => deadlines.upgrade,
            RequestClass::Stream if call.verb == "watch" => deadlines.stream_start,
            // The head of a log comes with the first line, which may be never.
            RequestClass::Stream => return self.retried(call, request).await,
        };
        let answered = tokio::time::timeout(deadline, self.retried(call, request)).await;
        answered.unwrap_or_else(|_| {
            self.count(call, "error");
            Err(Late(deadline).into())
        })
    }

    async fn retried(
        &self,
        call: &Call,
        mut request: Request<Body>,
    ) -> Result<Answer<B>, BoxError> {
        let mut tries = 0;
        loop {
            let again = copy_of(&request);
            let answer = self.attempt(call, request).await;
            let pause = answer.as_ref().ok().and_then(|ok| pause(call, ok, tries));
            let (Some(pause), Some(again)) = (pause, again) else {
                return answer;
            };
            drop(answer);
            tokio::time::sleep(pause).await;
            // Looked at before each try: the lease may have gone while a busy server was waited for.
            if call.writes && !self.policy.fence.is_open() {
                return Err(Fenced.into());
            }
            request = again;
            tries += 1;
        }
    }

    /// Sends the request once and counts how it ended.
    async fn attempt(&self, call: &Call, request: Request<Body>) -> Result<Answer<B>, BoxError> {
        let answer = match call.class {
            RequestClass::Unary => self.send_and_read(request).await,
            RequestClass::Stream | RequestClass::Upgrade => self
                .send(request)
                .await
                .map(|answer| answer.map(Either::Right)),
        };
        match &answer {
            Ok(answer) => self.count(call, answer.status().as_str()),
            Err(_) => self.count(call, "error"),
        }
        answer
    }

    fn count(&self, call: &Call, code: &str) {
        self.policy.metrics.count(call.verb, &call.resource, code);
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<B>, BoxError> {
        self.inner
            .clone()
            .oneshot(request)
            .await
            .map_err(Into::into)
    }

    async fn send_and_read(&self, request: Request<Body>) -> Result<Answer<B>, BoxError> {
        let (head, body) = self.send(request).await?.into_parts();
        let body = read_whole(body, MOST_ANSWER).await?;
        Ok(Response::from_parts(head, Either::Left(Full::new(body))))
    }
}

/// An answer to its end. A cluster that somebody else runs may send one without.
async fn read_whole<B>(body: B, most: usize) -> Result<Bytes, BoxError>
where
    B: HttpBody,
    B::Error: Into<BoxError>,
{
    match Limited::new(body, most).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(format!("the answer has more than {most} bytes").into())
        }
        Err(error) => Err(error),
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
    let retry_after = answer
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    let pause = retry_after
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::StreamExt;
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;

    #[tokio::test]
    async fn an_answer_without_end_is_given_up() {
        let chunk = || Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[b' '; 1024])));
        let chunks = futures::stream::repeat_with(chunk);
        let whole = read_whole(StreamBody::new(chunks.clone().take(64)), 64 << 10).await;
        assert_eq!(whole.expect("as much as may be").len(), 64 << 10);
        let endless = read_whole(StreamBody::new(chunks), 64 << 10).await;
        let error = endless.expect_err("too much").to_string();
        assert_eq!(error, "the answer has more than 65536 bytes");
    }
}
