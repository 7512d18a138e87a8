//! Services of users that speak gRPC.

use std::{convert::Infallible, sync::Arc};

use futures::{Stream, future::BoxFuture};
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, pem::PemObject},
};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Status, body::Body, server::Grpc};
use tonic_prost::ProstCodec;

use super::{Certified, free_port};

/// Answers a request.
type Handler = Arc<dyn Fn(Request<Incoming>) -> BoxFuture<'static, Response<Body>> + Send + Sync>;

/// A service on a port of its own; gone when dropped.
pub(crate) struct GrpcService {
    pub(crate) port: u16,
    handler: Handler,
    tls: Option<TlsAcceptor>,
    running: Option<AbortOnDropHandle<()>>,
}

impl GrpcService {
    /// Starts; with `tls`, it shows this certificate.
    pub(crate) async fn start<F>(tls: Option<&Certified>, answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> BoxFuture<'static, Response<Body>> + Send + Sync + 'static,
    {
        let mut service = Self {
            port: free_port(),
            handler: Arc::new(answer),
            tls: tls.map(acceptor),
            running: None,
        };
        service.up().await;
        service
    }

    /// Starts it again.
    pub(crate) async fn up(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await;
        let listener = listener.expect("the port is free");
        let serving = serve(listener, self.handler.clone(), self.tls.clone());
        self.running = Some(AbortOnDropHandle::new(tokio::spawn(serving)));
    }

    /// Stops it: its connections break.
    pub(crate) async fn down(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
            drop(running.await);
        }
    }
}

fn acceptor(shown: &Certified) -> TlsAcceptor {
    let key = PrivateKeyDer::from_pem_slice(shown.signing_key.serialize_pem().as_bytes());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_no_client_auth()
        .with_single_cert(vec![shown.cert.der().clone()], key.expect("a key"))
        .expect("a certificate");
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(listener: TcpListener, handler: Handler, tls: Option<TlsAcceptor>) {
    // Ends with this task.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (handler, tls) = (handler.clone(), tls.clone());
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let answer = handler(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let http = http2::Builder::new(TokioExecutor::new());
            match tls {
                None => drop(http.serve_connection(TokioIo::new(stream), service).await),
                Some(tls) => {
                    let Ok(stream) = tls.accept(stream).await else {
                        return;
                    };
                    // As servers in Go do.
                    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
                    drop(http.serve_connection(TokioIo::new(stream), service).await);
                }
            }
        });
    }
}

/// A method with one answer.
pub(crate) async fn unary<Q, A>(
    request: Request<Incoming>,
    answer: impl Fn(Q) -> Result<A, Status> + Send + 'static,
) -> Response<Body>
where
    Q: Message + Default + Send + 'static,
    A: Message + Send + 'static,
{
    let method = tower::service_fn(move |request: tonic::Request<Q>| {
        std::future::ready(answer(request.into_inner()).map(tonic::Response::new))
    });
    let mut grpc = Grpc::new(ProstCodec::<A, Q>::default());
    grpc.unary(method, request).await
}

/// A method with a stream of answers.
pub(crate) async fn streaming<Q, A, S>(
    request: Request<Incoming>,
    answer: impl Fn(tonic::Request<Q>) -> Result<S, Status> + Send + 'static,
) -> Response<Body>
where
    Q: Message + Default + Send + 'static,
    A: Message + Send + 'static,
    S: Stream<Item = Result<A, Status>> + Send + 'static,
{
    let method = tower::service_fn(move |request: tonic::Request<Q>| {
        std::future::ready(answer(request).map(tonic::Response::new))
    });
    let mut grpc = Grpc::new(ProstCodec::<A, Q>::default())
        .apply_max_message_size_config(None, Some(usize::MAX));
    grpc.server_streaming(method, request).await
}
