//! One connection: HTTP/2 with bounds, and a share of the calls that are worked on at the same time.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
};
use tonic::{Status, body::Body};

use super::{methods::route, reach::Repositories};

/// Calls of one connection that are open at the same time; further ones wait with the caller.
const STREAMS: u32 = 64;
/// Calls of one connection that are worked on at the same time, so that no caller takes all.
const PER_CONNECTION: usize = 12;
/// Bytes of headers.
const HEADERS: u32 = 16 * 1024;
/// Time after which a silent caller is asked whether it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Time in which it must answer.
const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(20);

/// Serves the calls of one connection. `permits` is what all connections share.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    repositories: Arc<Repositories>,
    permits: Arc<Semaphore>,
) -> Result<(), hyper::Error> {
    let own = Arc::new(Semaphore::new(PER_CONNECTION));
    let service = service_fn(move |request: Request<Incoming>| {
        let (repositories, permits, own) = (repositories.clone(), permits.clone(), own.clone());
        async move { Ok::<_, Infallible>(call(repositories, [own, permits], request).await) }
    });
    http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADERS)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_ANSWER)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

async fn call(
    repositories: Arc<Repositories>,
    permits: [Arc<Semaphore>; 2],
    request: Request<Incoming>,
) -> Response<Body> {
    // Health does not wait for renders.
    if request.uri().path().starts_with("/grpc.health.") {
        return route(repositories, request).await;
    }
    let mut held = Vec::new();
    for permit in permits {
        match permit.acquire_owned().await {
            Ok(permit) => held.push(permit),
            Err(_) => return Status::unavailable("the server is stopping").into_http(),
        }
    }
    let response = route(repositories, request).await;
    drop(held);
    response
}
