//! The Kubernetes client: one connection pool, a deadline on each call, a count of each request, and
//! the fence through which every write must pass.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::{Method, Request, Response};
use jiff::Timestamp;
use kube::{
    Client, Config,
    client::{Body, ClientBuilder},
};
use prometheus::{IntCounterVec, Opts, Registry};
use thiserror::Error;
use tower::{BoxError, Layer, Service};

use crate::clock::Clock;

/// Deadline of a call that is not a watch; the API server's own request timeout is 60 s, and a healthy
/// one answers in milliseconds.
const CALL_DEADLINE: Duration = Duration::from_secs(30);

/// Whether this process may write. Closed until leadership is won, and closed again the moment the
/// lease could have been taken by somebody else.
#[derive(Clone, Debug)]
pub struct Fence {
    state: Arc<FenceState>,
    clock: Clock,
}

#[derive(Debug)]
struct FenceState {
    /// Leader election is off: always open.
    always: AtomicBool,
    /// Milliseconds since the epoch until which the lease is surely ours.
    until: AtomicI64,
}

impl Fence {
    /// A fence that is closed until [`Fence::extend`].
    pub fn closed(clock: Clock) -> Self {
        let state = FenceState {
            always: AtomicBool::new(false),
            until: AtomicI64::new(i64::MIN),
        };
        Self {
            state: Arc::new(state),
            clock,
        }
    }

    /// A fence that is always open, for a process without leader election.
    pub fn open(clock: Clock) -> Self {
        let fence = Self::closed(clock);
        fence.state.always.store(true, Ordering::SeqCst);
        fence
    }

    /// The lease is ours until `until`.
    pub fn extend(&self, until: Timestamp) {
        self.state
            .until
            .store(until.as_millisecond(), Ordering::SeqCst);
    }

    /// The lease is not ours any more.
    pub fn close(&self) {
        self.state.until.store(i64::MIN, Ordering::SeqCst);
    }

    /// True while writes are allowed.
    pub fn is_open(&self) -> bool {
        self.state.always.load(Ordering::SeqCst)
            || self.clock.now().as_millisecond() < self.state.until.load(Ordering::SeqCst)
    }
}

/// A write was refused because this process does not hold the lease.
#[derive(Debug, Error)]
#[error("not the leader: the write was not sent")]
pub struct Fenced;

/// A call did not end in time.
#[derive(Debug, Error)]
#[error("the API server did not answer within {} s", CALL_DEADLINE.as_secs())]
pub struct Late;

/// True when the error is a write that the fence refused.
pub fn is_fenced(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Service(inner) if inner.downcast_ref::<Fenced>().is_some())
}

/// Counters of requests to the API server.
#[derive(Clone, Debug)]
pub struct RequestMetrics(IntCounterVec);

impl RequestMetrics {
    /// Registers `kubernetes_client_requests_total{verb,resource,code}`.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = IntCounterVec::new(
            Opts::new(
                "kubernetes_client_requests_total",
                "Requests sent to the Kubernetes API server.",
            ),
            &["verb", "resource", "code"],
        )?;
        registry.register(Box::new(counter.clone()))?;
        Ok(Self(counter))
    }
}

/// Builds the client for `config`: fenced, counted, with deadlines.
pub fn connect(
    mut config: Config,
    fence: Fence,
    metrics: RequestMetrics,
) -> Result<Client, kube::Error> {
    // The deadline of calls is ours; a read timeout would cut quiet watches.
    config.read_timeout = None;
    let layer = GateLayer { fence, metrics };
    Ok(ClientBuilder::try_from(config)?.with_layer(&layer).build())
}

#[derive(Clone)]
struct GateLayer {
    fence: Fence,
    metrics: RequestMetrics,
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate {
            inner,
            fence: self.fence.clone(),
            metrics: self.metrics.clone(),
        }
    }
}

/// The service that every request of the client goes through.
#[derive(Clone)]
struct Gate<S> {
    inner: S,
    fence: Fence,
    metrics: RequestMetrics,
}

impl<S, B> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
    S::Error: Into<BoxError> + Send + 'static,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let call = Call::of(request.method(), request.uri());
        if call.writes && !self.fence.is_open() {
            return Box::pin(async { Err(Fenced.into()) });
        }
        let metrics = self.metrics.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = if call.verb == "watch" {
                answer.await.map_err(Into::into)
            } else {
                match tokio::time::timeout(CALL_DEADLINE, answer).await {
                    Ok(answer) => answer.map_err(Into::into),
                    Err(_) => Err(Late.into()),
                }
            };
            let code = answer
                .as_ref()
                .map_or("error".into(), |ok| ok.status().as_str().to_owned());
            metrics
                .0
                .with_label_values(&[call.verb, call.resource.as_str(), code.as_str()])
                .inc();
            answer
        })
    }
}

/// What a request does, read from method and URL.
struct Call {
    verb: &'static str,
    resource: String,
    writes: bool,
}

impl Call {
    fn of(method: &Method, uri: &http::Uri) -> Self {
        let query = uri.query().unwrap_or_default();
        let (resource, named) = resource_of(uri.path());
        let has = |flag: &str| query.split('&').any(|part| part == flag);
        let verb = match *method {
            Method::GET if has("watch=true") || has("watch=1") => "watch",
            Method::GET if named => "get",
            Method::GET => "list",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => "other",
        };
        // Reviews and tokens are questions in the form of a create; a dry run changes nothing.
        let question = resource.ends_with("reviews") || resource.ends_with("/token");
        let writes = !matches!(verb, "watch" | "get" | "list") && !question && !has("dryRun=All");
        Self {
            verb,
            resource,
            writes,
        }
    }
}

/// The resource (with subresource) of an API path, and whether the path names one object.
fn resource_of(path: &str) -> (String, bool) {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    match parts.next() {
        Some("api") => drop(parts.next()),
        Some("apis") => drop((parts.next(), parts.next())),
        _ => return ("other".to_owned(), true),
    }
    let rest: Vec<&str> = parts.collect();
    let rest = match rest.as_slice() {
        ["namespaces", _, tail @ ..]
            if !tail.is_empty() && tail[0] != "status" && tail[0] != "finalize" =>
        {
            tail
        }
        all => all,
    };
    match rest {
        [] => ("discovery".to_owned(), false),
        [resource] => ((*resource).to_owned(), false),
        [resource, _] => ((*resource).to_owned(), true),
        [resource, _, sub, ..] => (format!("{resource}/{sub}"), true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &Method, uri: &str) -> (&'static str, String, bool) {
        let call = Call::of(method, &uri.parse().expect("a URI"));
        (call.verb, call.resource, call.writes)
    }

    #[test]
    fn requests_are_named_by_verb_and_resource() {
        let pods = "/api/v1/namespaces/a/pods";
        assert_eq!(call(&Method::GET, pods), ("list", "pods".into(), false));
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
        assert!(!call(&Method::POST, review).2);
        assert!(
            !call(
                &Method::POST,
                "/api/v1/namespaces/a/serviceaccounts/s/token"
            )
            .2
        );
        assert!(
            !call(
                &Method::PATCH,
                "/api/v1/namespaces/a/configmaps/c?dryRun=All&force=true"
            )
            .2
        );
    }

    #[test]
    fn the_fence_opens_only_while_the_lease_lasts() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let clock = Clock::manual(start);
        let fence = Fence::closed(clock.clone());
        assert!(!fence.is_open());
        fence.extend(start + jiff::SignedDuration::from_secs(10));
        assert!(fence.is_open());
        clock.advance(jiff::SignedDuration::from_secs(10));
        assert!(!fence.is_open());
    }
}
