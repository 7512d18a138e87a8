//! A client: the gRPC of tonic over a connection of hyper.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, Uri, uri::PathAndQuery};
use hyper::{
    body::Incoming,
    client::conn::http2::{SendRequest, handshake},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tonic::{Status, body::Body, client::Grpc};
use tonic_prost::ProstCodec;
use tower::Service;

/// A connection to the server.
pub(super) struct Client(Grpc<Connection>);

/// Requests of one connection.
#[derive(Clone)]
struct Connection(SendRequest<Body>);

impl Service<Request<Body>> for Connection {
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

impl Client {
    pub(super) async fn connect(port: u16, tls: bool) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port))
            .await
            .expect("a connection");
        if !tls {
            return Self::over(stream, "http").await;
        }
        let name = ServerName::try_from("argocd-repo-server").expect("a name");
        let stream = connector(&[b"h2"], None).connect(name, stream).await;
        Self::over(stream.expect("a handshake"), "https").await
    }

    pub(super) async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        scheme: &str,
    ) -> Self {
        let shaken = handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (requests, connection) = shaken.expect("HTTP/2");
        tokio::spawn(connection);
        let origin: Uri = format!("{scheme}://argocd-repo-server")
            .parse()
            .expect("a URL");
        Self(Grpc::with_origin(Connection(requests), origin).max_decoding_message_size(64 << 20))
    }

    /// Calls a method of the service.
    pub(super) async fn call<Q, A>(&self, method: &str, request: Q) -> Result<A, Status>
    where
        Q: Message + Default + 'static,
        A: Message + Default + 'static,
    {
        let path = format!("/repository.RepoServerService/{method}");
        Box::pin(self.call_path(&path, request)).await
    }

    /// Calls a method that takes its request in parts.
    pub(super) async fn send<Q, A>(&self, method: &str, parts: Vec<Q>) -> Result<A, Status>
    where
        Q: Message + Default + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = self.0.clone();
        let path = format!("/repository.RepoServerService/{method}");
        let path: PathAndQuery = path.parse().expect("a path");
        grpc.ready()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let codec = ProstCodec::<Q, A>::default();
        let request = tonic::Request::new(futures::stream::iter(parts));
        let answer = Box::pin(grpc.client_streaming(request, path, codec));
        Ok(super::soon("an answer", answer).await?.into_inner())
    }

    pub(super) async fn call_path<Q, A>(&self, path: &str, request: Q) -> Result<A, Status>
    where
        Q: Message + Default + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = self.0.clone();
        let path: PathAndQuery = path.parse().expect("a path");
        grpc.ready()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let codec = ProstCodec::<Q, A>::default();
        let answer = Box::pin(grpc.unary(tonic::Request::new(request), path, codec));
        Ok(super::soon("an answer", answer).await?.into_inner())
    }
}

/// TLS that takes any certificate of the server, with a certificate of its own or without.
pub(crate) fn connector(
    protocols: &[&[u8]],
    own: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
) -> TlsConnector {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate));
    let mut config = match own {
        Some((certificate, key)) => builder
            .with_client_auth_cert(vec![certificate], key)
            .expect("a certificate"),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

/// Takes any certificate, as Argo CD's components do by default.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signed, &known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signed, &known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let known = ring::default_provider().signature_verification_algorithms;
        known.supported_schemes()
    }
}
