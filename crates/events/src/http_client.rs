//! HTTP clients by their TLS settings, and one request with its redirects.

use std::{collections::HashMap, sync::Arc, time::Duration};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use parking_lot::Mutex;
use reconcile_core::egress::{EgressPolicy, InvalidRedirect, RefusedAddress, redirect_target};
use reqwest::{Client, Response, Url, redirect::Policy};
use thiserror::Error;
use tokio::time::Instant;

use crate::tls::{TlsError, TlsSettings};

/// The flag that permits link-local and metadata addresses.
pub const ALLOW_LINK_LOCAL: &str = "--allow-link-local";

/// Connections kept per host while they are not used.
const IDLE_CONNECTIONS: usize = 64;
/// A connection that is not used for this long is closed.
const IDLE: Duration = Duration::from_secs(60);
/// A server that does not take a connection within this time is unreachable.
const CONNECT: Duration = Duration::from_secs(10);
/// Clients with settings of their own; beyond that number the connections of all are dropped.
const MOST_CLIENTS: usize = 64;
/// Bytes of an answer that are read when nobody looks at it.
const UNUSED: usize = 64 * 1024;
/// Redirects of one request, as Go.
const REDIRECTS: usize = 10;

/// A request that was not answered.
#[derive(Debug, Error)]
pub(crate) enum HttpError {
    /// The client could not be built.
    #[error("tls.{0}")]
    Tls(#[from] TlsError),
    /// No connection, or no answer in time.
    #[error("{0}")]
    Request(String),
    /// The target is a link-local address.
    #[error(transparent)]
    LinkLocal(#[from] RefusedAddress),
    /// A redirect that leads to no URL.
    #[error(transparent)]
    InvalidRedirect(#[from] InvalidRedirect),
    /// Servers that redirect to each other.
    #[error("more than {REDIRECTS} redirects")]
    Redirects,
}

impl From<reqwest::Error> for HttpError {
    fn from(error: reqwest::Error) -> Self {
        // Without the URL, which may hold credentials.
        let error = error.without_url();
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(inner) = source {
            // The innermost reason; those between only repeat each other.
            text = format!("{error}: {inner}");
            source = inner.source();
        }
        Self::Request(text)
    }
}

/// HTTP clients by their TLS settings. Cloning shares connections.
#[derive(Clone)]
pub struct HttpClients {
    clients: Arc<Mutex<HashMap<String, (TlsSettings, Client)>>>,
    egress: EgressPolicy,
}

impl Default for HttpClients {
    fn default() -> Self {
        Self::new(EgressPolicy::of_flag(ALLOW_LINK_LOCAL, false))
    }
}

/// One request.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    /// For the request with all its redirects.
    pub(crate) timeout: Duration,
}

impl HttpClients {
    /// Clients that may call what `egress` permits.
    pub fn new(egress: EgressPolicy) -> Self {
        Self {
            clients: Arc::default(),
            egress,
        }
    }

    /// Which addresses may be called.
    pub fn egress(&self) -> EgressPolicy {
        self.egress
    }

    /// Builds the client for the usual settings ahead of the first call: reading the system's
    /// certificates takes tens of milliseconds.
    pub fn warm(&self) {
        if let Err(error) = self.get(&TlsSettings::default()) {
            tracing::warn!(%error, "cannot build the HTTP client");
        }
    }

    pub(crate) fn get(&self, tls: &TlsSettings) -> Result<Client, HttpError> {
        let id = if *tls == TlsSettings::default() {
            String::new()
        } else {
            format!("{:?} {:?} {}", tls.ca, tls.client, tls.insecure)
        };
        let mut clients = self.clients.lock();
        if let Some((known, client)) = clients.get(&id)
            && known == tls
        {
            return Ok(client.clone());
        }
        let mut builder = Client::builder()
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_idle_timeout(IDLE)
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .redirect(Policy::none());
        builder = self.egress.guard(builder);
        if let Some(config) = tls.client_config()? {
            builder = builder.tls_backend_preconfigured(config);
        }
        let client = builder.build()?;
        if clients.len() >= MOST_CLIENTS {
            clients.clear();
        }
        clients.insert(id, (tls.clone(), client.clone()));
        Ok(client)
    }

    /// Sends a request and follows redirects. What is secret goes to the first server only.
    pub(crate) async fn send(&self, client: &Client, call: Call) -> Result<Response, HttpError> {
        let deadline = Instant::now() + call.timeout;
        let Call {
            mut method,
            mut url,
            mut headers,
            mut body,
            ..
        } = call;
        for _ in 0..=REDIRECTS {
            self.egress.check(&url)?;
            let mut request = client
                .request(method.clone(), url.clone())
                .timeout(deadline.saturating_duration_since(Instant::now()))
                .headers(headers.clone());
            if let Some(body) = &body {
                request = request.body(body.clone());
            }
            let answer = request.send().await?;
            let Some(next) = redirect_target(answer.status(), &url, answer.headers())? else {
                return Ok(answer);
            };
            if !same_origin(&url, &next) {
                forget_secrets(&mut headers);
            }
            let keeps_body = matches!(
                answer.status(),
                StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
            );
            if !keeps_body && method != Method::GET && method != Method::HEAD {
                method = Method::GET;
                body = None;
                headers.remove(header::CONTENT_TYPE);
            }
            url = next;
        }
        Err(HttpError::Redirects)
    }
}

/// Status of an answer whose body is not used: it is read so far that the connection can be used again.
pub(crate) async fn finish(answer: Response) -> u16 {
    let status = answer.status().as_u16();
    // What was read of an answer that breaks off does not matter.
    drop(read_answer(answer, UNUSED).await);
    status
}

/// The value of `Authorization` for `USER:PASSWORD`.
pub(crate) fn basic_auth(login: &str) -> HeaderValue {
    let text = format!("Basic {}", BASE64_STANDARD.encode(login));
    let mut value = HeaderValue::try_from(text).expect("base64 has no control characters");
    value.set_sensitive(true);
    value
}

/// The address of a host, which has no path, user or query.
pub(crate) fn address(host: &str, encrypted: bool) -> Option<Url> {
    let scheme = if encrypted { "https" } else { "http" };
    let url = Url::parse(&format!("{scheme}://{host}/")).ok()?;
    let plain = url.path() == "/"
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    plain.then_some(url)
}

/// The body of an answer, or its beginning when it has more than `most` bytes.
pub(crate) async fn read_answer(mut answer: Response, most: usize) -> Result<Vec<u8>, HttpError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        let room = most - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == most {
            break;
        }
    }
    Ok(body)
}

fn same_origin(a: &Url, b: &Url) -> bool {
    (a.scheme(), a.host_str(), a.port_or_known_default())
        == (b.scheme(), b.host_str(), b.port_or_known_default())
}

/// Another server gets nothing that was meant for the first one.
fn forget_secrets(headers: &mut HeaderMap) {
    let secret: Vec<_> = headers
        .iter()
        .filter(|(_, value)| value.is_sensitive())
        .map(|(name, _)| name.clone())
        .chain([header::AUTHORIZATION, header::COOKIE, header::HOST])
        .collect();
    for name in secret {
        headers.remove(name);
    }
}
