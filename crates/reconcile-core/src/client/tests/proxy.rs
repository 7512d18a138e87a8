//! An API server that is reached through a proxy only: its name means nothing without one.

use std::{future::Future, net::SocketAddr};

use axum::{Router, routing::get};
use kube::Config;
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use rustls::{ServerConfig, pki_types::PrivateKeyDer};

use super::{
    super::{Connection, GuardError},
    *,
};
use crate::{egress::EgressPolicy, operator::install_tls};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    install_tls();
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    CertifiedIssuer::self_signed(params, key).expect("an authority")
}

fn acceptor(authority: &Authority, name: &str) -> TlsAcceptor {
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec![name.to_owned()])
        .expect("parameters")
        .signed_by(&key, authority)
        .expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("the key of the certificate");
    TlsAcceptor::from(Arc::new(config))
}

struct TlsListener(TcpListener, TlsAcceptor);

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            if let Ok((stream, address)) = self.0.accept().await
                && let Ok(stream) = self.1.accept(stream).await
            {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// `edge.invalid`, with TLS or without.
async fn api_server(tls: Option<TlsAcceptor>) -> SocketAddr {
    let (listener, address) = listener().await;
    let version = r#"{"major":"1","minor":"36","gitVersion":"v1.36.0"}"#;
    let routes = Router::new().route("/version", get(async move || version));
    tokio::spawn(async move {
        match tls {
            Some(tls) => axum::serve(TlsListener(listener, tls), routes).await,
            None => axum::serve(listener, routes).await,
        }
    });
    address
}

/// What proxies were asked for: the server, and who asked.
type Asked = Arc<Mutex<Vec<String>>>;

/// A proxy on a port of its own: `serve` reads what is asked and opens the way.
async fn proxy<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> u16
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address.port()
}

/// Answers CONNECT.
async fn tunnel(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    server: SocketAddr,
    asked: Asked,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let line = head.lines().next().unwrap_or_default();
    let login = head
        .lines()
        .find_map(|line| line.strip_prefix("Proxy-Authorization: "));
    asked
        .lock()
        .push(format!("{line} {}", login.unwrap_or_default()));
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    let mut server = TcpStream::connect(server).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// Speaks SOCKS 5 with user name and password.
async fn socks(mut client: TcpStream, server: SocketAddr, asked: Asked) -> std::io::Result<()> {
    let text = async |client: &mut TcpStream| -> std::io::Result<String> {
        let mut text = vec![0; usize::from(client.read_u8().await?)];
        client.read_exact(&mut text).await?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    };
    // Version and methods.
    client.read_u8().await?;
    text(&mut client).await?;
    client.write_all(&[5, 2]).await?;
    client.read_u8().await?;
    let (user, password) = (text(&mut client).await?, text(&mut client).await?);
    client.write_all(&[1, 0]).await?;
    // Version, command and a null byte, then a name.
    let mut request = [0; 4];
    client.read_exact(&mut request).await?;
    assert_eq!(request, [5, 1, 0, 3], "a connection to a name");
    let host = text(&mut client).await?;
    let port = client.read_u16().await?;
    asked
        .lock()
        .push(format!("{host}:{port} {user} {password}"));
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    let mut server = TcpStream::connect(server).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

fn policy() -> ClientPolicy {
    ClientPolicy {
        fence: Fence::open(Clock::system()),
        deadlines: Deadlines::default(),
        metrics: RequestMetrics::register(&Registry::new()).expect("metrics"),
    }
}

fn config(server: &str, proxy: &str, authority: &Authority) -> Config {
    let mut config = Config::new(server.parse().expect("a URL"));
    config.proxy_url = Some(proxy.parse().expect("a URL"));
    config.root_cert = Some(vec![authority.der().to_vec()]);
    config
}

async fn version(config: &Config) -> String {
    let connection = Connection::guarded(config, EgressPolicy::AllowLinkLocal).expect("a client");
    let version = connection.client(policy()).apiserver_version().await;
    version.expect("an answer").git_version
}

#[tokio::test]
async fn a_server_behind_a_proxy_of_each_kind_answers() {
    let authority = authority();
    let server = api_server(Some(acceptor(&authority, "edge.invalid"))).await;
    let plain = api_server(None).await;
    let asked = Asked::default();
    let http = proxy({
        let asked = asked.clone();
        move |stream| tunnel(stream, server, asked.clone())
    });
    let http = http.await;
    let to_plain = proxy({
        let asked = asked.clone();
        move |stream| tunnel(stream, plain, asked.clone())
    });
    let to_plain = to_plain.await;
    let tls = acceptor(&authority, "localhost");
    let https = proxy({
        let asked = asked.clone();
        move |stream| {
            let (tls, asked) = (tls.clone(), asked.clone());
            async move { tunnel(tls.accept(stream).await?, server, asked).await }
        }
    });
    let https = https.await;
    let socks5 = proxy({
        let asked = asked.clone();
        move |stream| socks(stream, server, asked.clone())
    });
    let socks5 = socks5.await;
    let cases = [
        (
            "https://edge.invalid:6443",
            format!("http://localhost:{http}"),
        ),
        (
            "https://edge.invalid",
            format!("https://u:p%40ss@localhost:{https}"),
        ),
        (
            "https://edge.invalid",
            format!("socks5://u:p%40ss@localhost:{socks5}"),
        ),
        (
            "http://edge.invalid",
            format!("http://localhost:{to_plain}"),
        ),
    ];
    for (server, proxy) in cases {
        assert_eq!(
            version(&config(server, &proxy, &authority)).await,
            "v1.36.0"
        );
    }
    let expected = [
        "CONNECT edge.invalid:6443 HTTP/1.1 ",
        "CONNECT edge.invalid:443 HTTP/1.1 Basic dTpwQHNz",
        "edge.invalid:443 u p@ss",
        "CONNECT edge.invalid:80 HTTP/1.1 ",
    ];
    assert_eq!(*asked.lock(), expected);
}

#[tokio::test]
async fn a_proxy_is_called_within_the_rules_and_never_quoted() {
    let authority = authority();
    let strict = EgressPolicy::RefuseLocal { flag: "--permit" };
    for (server, proxy) in [
        ("https://edge.invalid", "socks5://u:hush@127.0.0.1:1080"),
        ("https://edge.invalid", "https://u:hush@[::1]"),
        ("https://edge.invalid", "http://u:hush@169.254.169.254"),
        ("https://169.254.169.254", "http://u:hush@proxy.invalid"),
    ] {
        let error = Connection::guarded(&config(server, proxy, &authority), strict);
        let error = error.err().expect("a refusal").to_string();
        assert!(error.contains("--permit"), "{proxy}: {error}");
        assert!(!error.contains("hush"), "{error}");
    }
    let odd = config("https://edge.invalid", "ftp://u:hush@proxy", &authority);
    let error = Connection::guarded(&odd, strict).err().expect("a refusal");
    assert!(matches!(error, GuardError::Proxy(_)), "{error}");
    // A name that leads to the machine itself is found when it is resolved, and a proxy that is no proxy does not help.
    let (listener, address) = listener().await;
    let deaf = format!("http://u:hush@localhost:{}", address.port());
    let local = config("https://edge.invalid", &deaf, &authority);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _sent = stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await;
        }
    });
    for egress in [strict, EgressPolicy::AllowLinkLocal] {
        let connection = Connection::guarded(&local, egress).expect("a client");
        let error = connection.client(policy()).apiserver_version().await;
        let error = crate::error::error_chain(&error.expect_err("no way"));
        let reason = if egress == strict {
            "--permit"
        } else {
            "tunnel"
        };
        assert!(error.contains(reason), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }
}
