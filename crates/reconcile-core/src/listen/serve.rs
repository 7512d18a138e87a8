//! One task per connection of a port that speaks HTTP.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderValue, Request, Response, header},
    response::IntoResponse,
};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use super::{
    Budget, Limits, TlsMode,
    accept::accept,
    body::{Meter, Metered, Refusal},
    budget::{Port, Slot},
    connection::{Phase, Tracked},
};

/// Time that requests in flight get after the stop.
const GRACE: Duration = Duration::from_secs(5);
/// Largest request header, and most that is read ahead of a body.
const BUFFER: usize = 64 * 1024;
/// Answer to a connection for which there is no room.
const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// What a port serves, and within which limits.
#[derive(Clone, Debug)]
pub struct Server {
    /// Name of the port in the log.
    pub name: String,
    /// Limits of this port.
    pub limits: Limits,
    /// Limits of all ports that share it.
    pub budget: Budget,
    /// Plain HTTP or TLS.
    pub tls: TlsMode,
    /// The routes. Requests carry [`ConnectInfo`] with the address of the client.
    pub router: Router,
}

/// Serves HTTP/1.1 on `listener` until `stop`, then lets requests in flight end. It returns when all connections are
/// closed.
///
/// A handler runs without a deadline; it is responsible for its own. A response that is a stream counts as waiting
/// for its client while it sends nothing.
pub async fn serve(listener: TcpListener, server: Server, stop: CancellationToken) {
    let Server {
        name,
        limits,
        budget,
        tls,
        router,
    } = server;
    let connections = Connections {
        port: Arc::new(budget.port(limits)),
        tls,
        router,
        stop: stop.clone(),
        abort: CancellationToken::new(),
        tasks: TaskTracker::new(),
    };
    let refuse = |stream: TcpStream| {
        if connections.tls.is_plain() {
            drop(stream.try_write(BUSY));
        }
    };
    let begin = |stream, client, slot| connections.spawn(stream, client, slot);
    tokio::select! {
        () = stop.cancelled() => {}
        () = accept(&listener, &name, &connections.port, refuse, begin) => {}
    }
    drop(listener);
    connections.tasks.close();
    let Connections { abort, tasks, .. } = connections;
    if tokio::time::timeout(GRACE, tasks.wait()).await.is_err() {
        tracing::warn!(
            listener = name,
            "closing connections whose requests did not end in time"
        );
        abort.cancel();
        tasks.wait().await;
    }
}

struct Connections {
    port: Arc<Port>,
    tls: TlsMode,
    router: Router,
    stop: CancellationToken,
    abort: CancellationToken,
    tasks: TaskTracker,
}

impl Connections {
    fn spawn(&self, stream: TcpStream, client: SocketAddr, slot: Slot) {
        let exchange = Exchange {
            port: self.port.clone(),
            router: self.router.clone(),
            client,
        };
        let (tls, stop, abort) = (self.tls.clone(), self.stop.clone(), self.abort.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = exchange.run(stream, &tls, &slot, &stop) => {}
                () = slot.progress.expired(&exchange.port.limits) => exchange.port.budget.rejected("deadline"),
                () = slot.evicted.cancelled() => {}
                () = abort.cancelled() => {}
            }
        });
    }
}

/// The requests and responses of one connection.
struct Exchange {
    port: Arc<Port>,
    router: Router,
    client: SocketAddr,
}

impl Exchange {
    async fn run(&self, stream: TcpStream, tls: &TlsMode, slot: &Slot, stop: &CancellationToken) {
        let client = self.client;
        let stream = match tls.accept(stream).await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%client, %error, "TLS handshake failed");
                return;
            }
        };
        let io = TokioIo::new(Tracked::new(stream, slot.progress.clone()));
        let service = hyper::service::service_fn(|request| self.answer(request, slot));
        let connection = http1::Builder::new()
            .header_read_timeout(None)
            .max_buf_size(BUFFER)
            .serve_connection(io, service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%client, %error, "connection ended");
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        slot: &Slot,
    ) -> Result<Response<Body>, Infallible> {
        // Holds the bytes of the body until there is a response.
        let meter = Meter::new(self.port.clone(), slot.progress.clone());
        let size = hyper::body::Body::size_hint(request.body());
        let response = if let Err(refusal) = meter.check_size(&size) {
            refused(refusal)
        } else {
            let mut request = request
                .map(|body| Body::new(Metered::new(body, meter.clone(), slot.progress.clone())));
            request.extensions_mut().insert(ConnectInfo(self.client));
            let response = self.router.clone().oneshot(request).await?;
            // The handler saw an error of the body, and cannot know what it means.
            meter.refusal().map_or(response, refused)
        };
        slot.progress.enter(Phase::Response);
        Ok(response)
    }
}

fn refused(refusal: Refusal) -> Response<Body> {
    let mut response = (refusal.status(), refusal.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if matches!(refusal, Refusal::NoRoom) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
