//! Ports with TLS.

use std::{sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Limits, PATIENCE, Port, TlsMode, answer, plenty, request};
use crate::operator::install_tls;

/// A certificate for `localhost`, and the configuration of a server that shows it.
fn certificate() -> (CertificateDer<'static>, Arc<ServerConfig>) {
    install_tls();
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    let chain = vec![certificate.der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("the key of the certificate");
    (certificate.der().clone(), Arc::new(config))
}

async fn handshake(
    port: &Port,
    trusted: CertificateDer<'static>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted).expect("a certificate");
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = port.connect("").await;
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

async fn ask(port: &Port, trusted: CertificateDer<'static>) -> String {
    let mut stream = handshake(port, trusted).await.expect("a handshake");
    let sent = request("/length", 4) + "body";
    stream.write_all(sent.as_bytes()).await.expect("sent");
    let mut text = Vec::new();
    let read = stream.read_to_end(&mut text);
    drop(tokio::time::timeout(PATIENCE, read).await.expect("an end"));
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn a_port_serves_over_tls_and_changes_its_certificate() {
    let (first, config) = certificate();
    let tls = TlsMode::plain();
    tls.set(Some(config));
    let port = Port::serve(Limits::default(), plenty(), tls.clone()).await;
    let served = ask(&port, first.clone()).await;
    assert!(served.ends_with("\r\n\r\n4"), "{served}");

    let (second, config) = certificate();
    tls.set(Some(config));
    let served = ask(&port, second).await;
    assert!(served.ends_with("\r\n\r\n4"), "{served}");
    handshake(&port, first)
        .await
        .expect_err("the former certificate");
}

#[tokio::test]
async fn plain_bytes_on_a_tls_port_close_the_connection_and_others_continue() {
    let (certificate, config) = certificate();
    let tls = TlsMode::plain();
    tls.set(Some(config));
    let port = Port::serve(Limits::default(), plenty(), tls).await;
    for sent in [request("/length", 4) + "body", "\0".repeat(100)] {
        let plain = answer(port.connect(&sent).await).await;
        assert!(!plain.contains("HTTP/1.1"), "{plain}");
    }
    port.until("closed", |budget| budget.connections() == 0)
        .await;
    let served = ask(&port, certificate).await;
    assert!(served.ends_with("\r\n\r\n4"), "{served}");
}

#[tokio::test]
async fn a_handshake_that_does_not_end_closes_the_connection_at_its_deadline() {
    let limits = Limits {
        header: Duration::from_millis(100),
        ..Limits::default()
    };
    let (_, config) = certificate();
    let tls = TlsMode::plain();
    tls.set(Some(config));
    let port = Port::serve(limits, plenty(), tls).await;
    // Nothing at all, and the start of a record of 512 bytes that never comes.
    for sent in ["", "\x16\x03\x01\x02\0\x01\0"] {
        assert_eq!(answer(port.connect(sent).await).await, "");
    }
    port.until("closed", |budget| budget.connections() == 0)
        .await;
}
