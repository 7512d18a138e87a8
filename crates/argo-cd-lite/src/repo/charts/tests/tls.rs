//! Servers with certificates of their own, and clients that have one.

use std::net::SocketAddr;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
        server::WebPkiClientVerifier,
    },
    server::TlsStream,
};

use super::*;

struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            if let Ok((stream, address)) = self.listener.accept().await
                && let Ok(stream) = self.acceptor.accept(stream).await
            {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// An authority, and a server that accepts its clients only.
async fn server() -> (Server, CertifiedIssuer<'static, KeyPair>) {
    reconcile_core::operator::install_tls();
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(params, key).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])
        .expect("parameters")
        .signed_by(&key, &authority)
        .expect("a certificate");
    let mut roots = RootCertStore::empty();
    let root: CertificateDer<'static> = authority.der().clone();
    roots.add(root).expect("a root");
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
        .build()
        .expect("a verifier");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a configuration");
    let listener = TlsListener {
        listener: TcpListener::bind("127.0.0.1:0").await.expect("a port"),
        acceptor: TlsAcceptor::from(Arc::new(config)),
    };
    (Server::on(listener), authority)
}

#[tokio::test]
async fn certificates_of_server_and_client_are_checked() {
    let (server, authority) = server().await;
    let content = chart("web", "1.0.0", "private");
    let text = index(&[("1.0.0", "web.tgz", &sha256(&content))]);
    server
        .put("/index.yaml", Page::of(text))
        .put("/web.tgz", Page::of(content));
    let url = format!("https://localhost:{}", server.address.port());
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec!["client".to_owned()])
        .expect("parameters")
        .signed_by(&key, &authority)
        .expect("a certificate");
    let (certificate, key) = (certificate.pem(), key.serialize_pem());
    let own = [
        ("url", url.as_str()),
        ("type", "helm"),
        ("tlsClientCertData", &certificate),
        ("tlsClientCertKey", &key),
    ];
    let trust = Trust::default();
    trust.set_certificates([("localhost".to_owned(), authority.pem())].into());
    let chart = web(&url, "1.0.0");
    let folder = tempfile::tempdir().expect("a folder");
    let values = |trust: Trust, members: Vec<(&'static str, String)>| {
        let bed = Bed::new(folder.path(), trust);
        let members: Vec<(&str, &str)> = members.iter().map(|(k, v)| (*k, v.as_str())).collect();
        bed.secret("repository", &members);
        let chart = &chart;
        async move { bed.values(chart).await }
    };
    let with = |extra: &[(&'static str, &str)], most: usize| -> Vec<(&'static str, String)> {
        let all = own.iter().take(most).chain(extra);
        all.map(|(key, value)| (*key, (*value).to_owned()))
            .collect()
    };
    // Nobody vouches for the server.
    let error = values(Trust::default(), with(&[], 4))
        .await
        .expect_err("unknown");
    assert!(error.contains("cannot read localhost"), "{error}");
    // The server wants a certificate.
    let error = values(trust.clone(), with(&[], 2))
        .await
        .expect_err("no certificate");
    assert!(error.contains("cannot read localhost"), "{error}");
    let broken = [
        ("tlsClientCertData", "nonsense"),
        ("tlsClientCertKey", "nonsense"),
    ];
    let error = values(trust.clone(), with(&broken, 2))
        .await
        .expect_err("broken");
    assert!(error.contains("cannot use the certificates"), "{error}");
    // Nothing is checked when the Secret says so; the client's certificate is still sent.
    values(Trust::default(), with(&[("insecure", "true")], 4))
        .await
        .expect("an insecure repository");
    std::fs::remove_dir_all(folder.path().join("charts")).expect("a folder");
    let (_, text) = values(trust, with(&[], 4)).await.expect("a chart");
    assert_eq!(text, "private");
}

/// A list of refs as a Git server gives it.
fn refs(commit: &str) -> Page {
    let line = |text: &str| format!("{:04x}{text}", text.len() + 4);
    let lines = [
        line("# service=git-upload-pack\n"),
        "0000".to_owned(),
        line(&format!("{commit} HEAD\0side-band-64k\n")),
        line(&format!("{commit} refs/heads/main\n")),
        "0000".to_owned(),
    ];
    let kind = "application/x-git-upload-pack-advertisement";
    Page {
        headers: vec![("content-type", kind.to_owned())],
        ..Page::of(lines.concat())
    }
}

#[tokio::test]
async fn a_git_server_and_its_client_check_each_other() {
    use crate::repo::{Credential, GitError, Interrupt, Store, tests::rules};

    let (server, authority) = server().await;
    let commit = "1234567890123456789012345678901234567890";
    let path = "/x.git/info/refs?service=git-upload-pack";
    server.put(path, refs(commit));
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec!["client".to_owned()])
        .expect("parameters")
        .signed_by(&key, &authority)
        .expect("a certificate");
    let pem = format!("{}\n{}", certificate.pem(), key.serialize_pem());
    let url = format!("https://localhost:{}/x.git", server.address.port());
    let list = |credential: Credential| {
        let folder = tempfile::tempdir().expect("a folder");
        let url = url.clone();
        let list = move || {
            let any = reconcile_core::egress::EgressPolicy::AllowLinkLocal;
            let store = Store::open(folder.path(), &url, rules(any))?;
            let login = credential.login()?;
            let refs = store.list_refs(Some(&login), &Interrupt::default())?;
            Ok::<_, GitError>(refs.refs)
        };
        async move { tokio::task::spawn_blocking(list).await.expect("a result") }
    };
    let known = || Credential {
        authority: Some(authority.pem()),
        ..Credential::default()
    };
    let ours = || Credential {
        client_certificate: Some(pem.clone().into()),
        ..known()
    };
    let found = list(ours()).await.expect("refs");
    assert_eq!(
        found.get("refs/heads/main").map(String::as_str),
        Some(commit)
    );
    list(known()).await.expect_err("no certificate");
    let unknown = Credential {
        authority: None,
        ..ours()
    };
    list(unknown)
        .await
        .expect_err("nobody vouches for the server");
    let broken = Credential {
        client_certificate: Some("nonsense".to_owned().into()),
        ..known()
    };
    let error = list(broken).await.expect_err("no certificate").to_string();
    assert!(
        error.contains("tlsClientCertData") && !error.contains("nonsense"),
        "{error}"
    );

    // A bearer's token goes along, and nowhere else.
    server.put(
        path,
        Page {
            authorization: Some("Bearer a-token".to_owned()),
            ..refs(commit)
        },
    );
    list(ours()).await.expect_err("no token");
    let with_token = Credential {
        bearer: Some("a-token".to_owned().into()),
        ..ours()
    };
    list(with_token).await.expect("refs");
}
