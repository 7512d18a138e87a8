//! Services of users that speak gRPC: a client over a connection that follows the rule about addresses.

use std::{
    error::Error as _,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response, Uri, uri::PathAndQuery};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use reconcile_core::{egress::EgressPolicy, object::FieldError, secret::Secret};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Code, Status, Streaming, body::Body, client::Grpc};
use tonic_prost::ProstCodec;
use tower::Service;

use crate::source::{
    kind::{Input, SourceError},
    server::{CONNECT, ServerTls, TcpServer},
};

/// Port where an address has none, as gRPC has it.
const PORT: u16 = 443;
/// The largest message that is taken in, as clients of gRPC have it.
pub(crate) const LARGEST: usize = 4 << 20;
/// Bytes that a server may send before they are read.
const WINDOW: u32 = 1 << 20;
/// Bytes of the headers of an answer, which hold its error.
const HEADERS: u32 = 16 << 10;

/// Where a service is.
#[derive(Debug)]
pub(crate) struct GrpcServer {
    /// Its address.
    pub(crate) server: TcpServer,
    /// Name that its certificate has instead of the host.
    name: Option<String>,
}

/// A connection to a service; closed when dropped.
pub(crate) struct GrpcClient {
    grpc: Grpc<Requests>,
    _connection: AbortOnDropHandle<()>,
}

/// Requests of one connection.
#[derive(Clone)]
struct Requests(SendRequest<Body>);

impl Service<Request<Body>> for Requests {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

impl GrpcServer {
    /// Checks `text`, `HOST:PORT`, at `field`; with `name`, the certificate is for that name.
    pub(crate) fn check(
        input: &Input<'_>,
        (field, text): (&str, &str),
        tls: Option<ServerTls>,
        name: Option<String>,
    ) -> Result<Self, FieldError> {
        // How clients of gRPC write that a name is resolved.
        let host = ["dns:///", "passthrough:///"]
            .iter()
            .find_map(|prefix| text.trim().strip_prefix(prefix));
        Ok(Self {
            server: TcpServer::check(input, (field, host.unwrap_or(text)), PORT, tls)?,
            name: name.filter(|name| !name.is_empty()),
        })
    }

    /// Connects, if `egress` permits it; `secret` gives the value of a field.
    pub(crate) async fn connect(
        &self,
        egress: EgressPolicy,
        secret: impl Fn(&str) -> Option<Secret>,
    ) -> Result<GrpcClient, SourceError> {
        let tls = self.server.tls.as_ref();
        let mut config = tls.map(|tls| tls.config(secret)).transpose()?;
        if let Some(config) = &mut config {
            config.alpn_protocols = vec![b"h2".to_vec()];
        }
        let scheme = if config.is_some() { "https" } else { "http" };
        let name = self.name.as_deref();
        let connecting = self.server.connect_with(egress, config, name);
        let stream = TokioIo::new(connecting.await?);
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_header_list_size(HEADERS);
        let failed = |error: hyper::Error| self.server.failed(&innermost(&error));
        let shaken = tokio::time::timeout(CONNECT, http.handshake(stream)).await;
        let shaken = shaken.map_err(|_| self.server.failed("it does not begin HTTP/2"))?;
        let (requests, connection) = shaken.map_err(failed)?;
        let authority = match name {
            Some(name) => name,
            None => &self.server.address,
        };
        let origin: Uri = format!("{scheme}://{authority}")
            .parse()
            .map_err(|_| self.server.failed("the name is not one of a host"))?;
        let connection = tokio::spawn(async move {
            // Its requests report the error.
            drop(connection.await);
        });
        Ok(GrpcClient {
            grpc: Grpc::with_origin(Requests(requests), origin).max_decoding_message_size(LARGEST),
            _connection: AbortOnDropHandle::new(connection),
        })
    }
}

impl GrpcClient {
    /// Calls a method that gives one answer.
    pub(crate) async fn call<Q, A>(
        &self,
        method: &'static str,
        request: Q,
        deadline: Duration,
    ) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let calling = async {
            let mut grpc = self.grpc.clone();
            ready(&mut grpc).await?;
            let codec = ProstCodec::<Q, A>::default();
            let path = PathAndQuery::from_static(method);
            let request = tonic::Request::new(request);
            Ok(grpc.unary(request, path, codec).await?.into_inner())
        };
        tokio::time::timeout(deadline, calling)
            .await
            .unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")))
    }

    /// Calls a method that gives a stream. The answer may begin with its first message only.
    pub(crate) async fn stream<Q, A>(
        &self,
        method: &'static str,
        request: tonic::Request<Q>,
    ) -> Result<Streaming<A>, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = self.grpc.clone();
        ready(&mut grpc).await?;
        let codec = ProstCodec::<Q, A>::default();
        let path = PathAndQuery::from_static(method);
        let stream = grpc.server_streaming(request, path, codec).await?;
        Ok(stream.into_inner())
    }
}

async fn ready(grpc: &mut Grpc<Requests>) -> Result<(), Status> {
    let ready = grpc.ready().await;
    ready.map_err(|error| Status::unavailable(innermost(&error)))
}

/// What a service answers instead of a message, or what is wrong with the connection.
pub(crate) fn words(status: &Status) -> String {
    let message = match status.source() {
        Some(source) => innermost(source),
        None => status.message().to_owned(),
    };
    match status.code() {
        Code::Unknown | Code::Unavailable if !message.is_empty() => message,
        code if message.is_empty() => code.description().to_owned(),
        code => format!("{}: {message}", code.description()),
    }
}

/// The innermost reason of an error; those outside only say that there is one.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(inner) = error.source() {
        error = inner;
    }
    error.to_string()
}
