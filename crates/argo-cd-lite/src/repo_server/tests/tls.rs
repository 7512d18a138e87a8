//! Certificates of the server and of its clients.

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::net::TcpStream;

use super::{
    Served,
    client::{Client, connector},
    soon,
};
use crate::{
    repo_server::messages::{HealthCheckRequest, HealthCheckResponse},
    tls::{Tls, TlsFiles},
};

/// Somebody who signs certificates.
struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        Self {
            certificate,
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate and its key.
    fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("names");
        let signed = params.signed_by(&key, &self.issuer);
        (signed.expect("a certificate"), key)
    }

    fn of_client(&self) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let (certificate, key) = self.sign("argocd-server");
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        (certificate.der().clone(), PrivateKeyDer::Pkcs8(key))
    }
}

type Own = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// Asks for the health of the server; its certificate.
async fn ask(served: &Served, own: Option<Own>) -> Result<Vec<u8>, String> {
    let stream = TcpStream::connect(("127.0.0.1", served.port)).await;
    let stream = stream.map_err(|error| error.to_string())?;
    let name = ServerName::try_from("argocd-repo-server").expect("a name");
    let stream = connector(&[b"h2"], own).connect(name, stream).await;
    let stream = stream.map_err(|error| error.to_string())?;
    let peer = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let peer = peer.first().map(|one| one.to_vec()).unwrap_or_default();
    let client = Client::over(stream, "https").await;
    let health = client.call_path::<_, HealthCheckResponse>(
        "/grpc.health.v1.Health/Check",
        HealthCheckRequest::default(),
    );
    let health = soon("an answer", health).await;
    health.map(|_| peer).map_err(|error| error.to_string())
}

fn write(folder: &Path, authority: &Authority) -> Vec<u8> {
    let (certificate, key) = authority.sign("argocd-repo-server");
    fs::write(folder.join("tls.crt"), certificate.pem()).expect("a file");
    fs::write(folder.join("tls.key"), key.serialize_pem()).expect("a file");
    certificate.der().to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_clients_with_a_certificate_get_in_where_that_is_wanted() {
    let folder = tempfile::tempdir().expect("a folder");
    let (authority, other) = (Authority::new(), Authority::new());
    let client_ca = folder.path().join("clients.crt");
    fs::write(&client_ca, &authority.certificate).expect("a file");
    let expected = write(folder.path(), &other);
    let served = Served::with(Tls::On(TlsFiles {
        folder: Some(folder.path().to_owned()),
        client_ca: Some(client_ca),
    }))
    .await;
    let known = ask(&served, Some(authority.of_client())).await;
    assert_eq!(known, Ok(expected), "the certificate is that of the folder");
    assert!(ask(&served, Some(other.of_client())).await.is_err());
    assert!(ask(&served, None).await.is_err());
}

#[test]
fn files_that_change_are_taken_and_broken_ones_are_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    let tls = Tls::On(TlsFiles {
        folder: Some(folder.path().to_owned()),
        client_ca: None,
    });
    let missing = tls.clone().open(&[]).map(drop).expect_err("no files");
    assert!(missing.to_string().contains("tls.crt"), "{missing}");
    write(folder.path(), &authority);
    let mut live = tls.open(&[]).expect("files");
    assert!(!live.load().expect("the same files"));
    write(folder.path(), &authority);
    assert!(live.load().expect("other files"));
    for (file, content) in [("tls.key", "no key"), ("tls.crt", "no certificate")] {
        fs::write(folder.path().join(file), content).expect("a file");
        let error = live.load().expect_err(file).to_string();
        assert!(!error.contains(content), "{error}");
    }
}
