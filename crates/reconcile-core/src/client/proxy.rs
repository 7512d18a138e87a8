//! Proxies on the way to an API server: `http`, `https` and `socks5`.

use std::{fmt, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderValue, Uri, uri::PathAndQuery};
use hyper::rt::{Read, Write};
use hyper_util::client::legacy::connect::{
    Connection, HttpConnector,
    proxy::{SocksV5, Tunnel},
};
use kube::{Config, client::ConfigExt};
use percent_encoding::percent_decode_str;
use thiserror::Error;
use tower::{BoxError, Service, ServiceExt};

use super::guarded::GuardError;
use crate::egress::ConnectorResolver;

/// Longest time until a proxy has opened the way to the server.
const TUNNEL: Duration = Duration::from_secs(20);
/// SOCKS has a length of one byte for each.
const MOST_CREDENTIAL: usize = 255;

/// The URL of a proxy cannot be used. No message quotes it, because it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProxyError {
    /// Not the URL of a proxy.
    #[error("is no URL of an http, https or socks5 proxy")]
    Url,
    /// The credentials cannot be sent.
    #[error("has a user name or password that no proxy accepts")]
    Login,
}

/// A proxy, by its URL. No text shows the password.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyAddress {
    uri: Uri,
    scheme: ProxyScheme,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProxyScheme {
    Http,
    Https,
    Socks5,
}

impl fmt::Debug for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProxyAddress").field(&self.scheme).finish()
    }
}

impl ProxyAddress {
    /// Reads `SCHEME://[USER[:PASSWORD]@]HOST[:PORT]`.
    pub fn parse(url: &str) -> Result<Self, ProxyError> {
        let uri: Uri = url.trim().parse().map_err(|_| ProxyError::Url)?;
        Self::of(&uri)
    }

    pub(super) fn of(uri: &Uri) -> Result<Self, ProxyError> {
        let scheme = match uri.scheme_str() {
            Some("http") => ProxyScheme::Http,
            Some("https") => ProxyScheme::Https,
            Some("socks5") => ProxyScheme::Socks5,
            _ => return Err(ProxyError::Url),
        };
        if uri.host().is_none_or(str::is_empty) || uri.query().is_some() {
            return Err(ProxyError::Url);
        }
        let proxy = Self {
            uri: uri.clone(),
            scheme,
        };
        if let Some((user, password)) = proxy.login()? {
            let fits = |text: &str| text.len() <= MOST_CREDENTIAL;
            if !(fits(&user) && fits(&password)) || user.contains(':') {
                return Err(ProxyError::Login);
            }
        }
        Ok(proxy)
    }

    /// The URL with its credentials, for [`Config::proxy_url`].
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// User name and password, decoded.
    fn login(&self) -> Result<Option<(String, String)>, ProxyError> {
        let authority = self.uri.authority().map_or("", |part| part.as_str());
        let Some((login, _)) = authority.rsplit_once('@') else {
            return Ok(None);
        };
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(String::from).map_err(|_| ProxyError::Login)
        };
        Ok(Some((decoded(user)?, decoded(password)?)))
    }

    /// Where the proxy listens, without credentials.
    fn place(&self) -> Result<Uri, ProxyError> {
        let (scheme, port) = match self.scheme {
            ProxyScheme::Http => ("http", 80),
            ProxyScheme::Https => ("https", 443),
            // The connector below knows no other protocol, and reads no more than host and port of it.
            ProxyScheme::Socks5 => ("http", 1080),
        };
        let host = self.uri.host().unwrap_or_default();
        let port = self.uri.port_u16().unwrap_or(port);
        let place = format!("{scheme}://{host}:{port}");
        place.parse().map_err(|_| ProxyError::Url)
    }
}

/// Connects through the proxy of `config`, and directly where it has none.
pub(super) enum Route {
    /// No proxy.
    Direct,
    /// An `http` or `https` proxy.
    Tunnel(ProxyAddress),
    /// A SOCKS proxy.
    Socks(ProxyAddress),
}

impl Route {
    pub(super) fn of(config: &Config) -> Result<Self, GuardError> {
        let Some(uri) = &config.proxy_url else {
            return Ok(Self::Direct);
        };
        let proxy = ProxyAddress::of(uri)?;
        Ok(match proxy.scheme {
            ProxyScheme::Socks5 => Self::Socks(proxy),
            ProxyScheme::Http | ProxyScheme::Https => Self::Tunnel(proxy),
        })
    }
}

/// Sockets as the guarded client opens them.
pub(super) type Sockets = HttpConnector<ConnectorResolver>;

/// Opens connections to a server; [`in_time`] makes one.
pub(super) trait Connector:
    Service<
        Uri,
        Response: Connection + Read + Write + Send + Unpin + 'static,
        Error = BoxError,
        Future: Send + 'static,
    > + Clone
    + Send
    + Sync
    + 'static
{
}

impl<C> Connector for C where
    C: Service<
            Uri,
            Response: Connection + Read + Write + Send + Unpin + 'static,
            Error = BoxError,
            Future: Send + 'static,
        > + Clone
        + Send
        + Sync
        + 'static
{
}

/// A connector that asks an `http` or `https` proxy to connect. The name of the server is the proxy's to resolve.
pub(super) fn tunnel(
    proxy: &ProxyAddress,
    config: &Config,
    sockets: Sockets,
) -> Result<impl Connector + use<>, GuardError> {
    let place = proxy.place()?;
    // The proxy is no API server: it gets neither the certificate of the client, nor the server's name for its own.
    let mut trust = Config::new(place.clone());
    trust.root_cert.clone_from(&config.root_cert);
    trust.accept_invalid_certs = config.accept_invalid_certs;
    let to_proxy = trust.rustls_https_connector_with_connector(sockets)?;
    let mut tunnel = Tunnel::new(place, to_proxy);
    if let Some((user, password)) = proxy.login()? {
        tunnel = tunnel.with_auth(basic(&user, &password)?);
    }
    Ok(in_time(tunnel))
}

/// A connector through a SOCKS proxy. The name of the server is the proxy's to resolve.
pub(super) fn socks(
    proxy: &ProxyAddress,
    sockets: Sockets,
) -> Result<impl Connector + use<>, GuardError> {
    let mut socks = SocksV5::new(proxy.place()?, sockets);
    if let Some((user, password)) = proxy.login()? {
        socks = socks.with_auth(user, password);
    }
    Ok(in_time(socks))
}

fn basic(user: &str, password: &str) -> Result<HeaderValue, ProxyError> {
    let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    HeaderValue::try_from(text).map_err(|_| ProxyError::Login)
}

/// A proxy that accepts the connection and then says nothing would hold it for ever.
fn in_time<C>(connector: C) -> impl Connector + use<C>
where
    C: Service<Uri, Error: Into<BoxError>, Future: Send + 'static> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
{
    let connector = connector.map_request(with_port).map_err(C::Error::into);
    connector.map_future(|opening| async {
        match tokio::time::timeout(TUNNEL, opening).await {
            Ok(opened) => opened,
            Err(_) => Err(format!("the proxy did not answer within {} s", TUNNEL.as_secs()).into()),
        }
    })
}

/// A server's URL with the port that its scheme means: a tunnel would take 443 for any.
fn with_port(server: Uri) -> Uri {
    let port = if server.scheme_str() == Some("http") {
        80
    } else {
        443
    };
    let Some(host) = server.host().filter(|_| server.port().is_none()) else {
        return server;
    };
    let Ok(authority) = format!("{host}:{port}").parse() else {
        return server;
    };
    let mut parts = server.into_parts();
    parts.authority = Some(authority);
    // The scheme is there, so the path must be, too.
    parts
        .path_and_query
        .get_or_insert(PathAndQuery::from_static("/"));
    Uri::from_parts(parts).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_named_by_scheme_host_and_login() {
        let proxy = ProxyAddress::parse("http://u%40x:p%3Ass@proxy.example.com").expect("a proxy");
        let login = proxy.login().expect("a login");
        assert_eq!(login, Some(("u@x".to_owned(), "p:ss".to_owned())));
        assert_eq!(
            proxy.place().expect("a place"),
            "http://proxy.example.com:80"
        );
        let place = |url| ProxyAddress::parse(url).expect("a proxy").place();
        assert_eq!(place("https://p").expect("a place"), "https://p:443");
        assert_eq!(place("socks5://p").expect("a place"), "http://p:1080");
        assert_eq!(
            place("socks5://[::1]:9").expect("a place"),
            "http://[::1]:9"
        );
        assert!(!format!("{proxy:?}").contains("ss@"), "{proxy:?}");
        for wrong in [
            "",
            "proxy",
            "ftp://p",
            "socks5h://p",
            "//p",
            "http://",
            "http://p?a=b",
        ] {
            assert_eq!(ProxyAddress::parse(wrong), Err(ProxyError::Url), "{wrong}");
        }
        let long = format!("http://u:{}@p", "x".repeat(256));
        for wrong in ["http://u%3A:p@p", "http://u:%ff@p", &long] {
            assert_eq!(
                ProxyAddress::parse(wrong),
                Err(ProxyError::Login),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_server_without_a_port_has_that_of_its_scheme() {
        let port = |url: &str| with_port(url.parse().expect("a URL")).to_string();
        assert_eq!(port("https://edge/a"), "https://edge:443/a");
        assert_eq!(port("http://edge"), "http://edge:80/");
        assert_eq!(port("http://edge:8080/a"), "http://edge:8080/a");
    }
}
