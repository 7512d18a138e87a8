//! Bounded downloads over HTTP, with credentials that stay with their server.

use std::{collections::HashMap, sync::Arc, time::Duration};

use http::{
    HeaderMap, StatusCode,
    header::{ACCEPT, AUTHORIZATION, ETAG, HeaderValue, IF_NONE_MATCH},
};
use parking_lot::Mutex;
use reconcile_core::{
    egress::{EgressPolicy, redirect_target},
    error::error_chain,
};
use reqwest::{Certificate, Client, Identity, Url, redirect::Policy};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::ChartError;
use crate::repo::{Credential, trust::Trust};

/// A server that does not accept a connection within this time is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time of a download with all its redirects.
const DEADLINE: Duration = Duration::from_secs(90);
/// Redirects that are followed.
const MOST_REDIRECTS: usize = 5;
/// Clients that are kept; each certificate needs one.
const MOST_CLIENTS: usize = 32;
const USER_AGENT: &str = concat!("argo-cd-lite/", env!("CARGO_PKG_VERSION"));

/// Downloads. Cloning shares the connections.
#[derive(Clone)]
pub(super) struct Downloads {
    egress: EgressPolicy,
    trust: Trust,
    clients: Arc<Mutex<HashMap<String, Client>>>,
}

/// How to log in, and where.
#[derive(Clone, Copy)]
pub(super) struct Login<'a> {
    /// The server that the credential belongs to.
    pub(super) home: &'a Url,
    pub(super) credential: Option<&'a Credential>,
    /// Send it to other servers, too: the source says `passCredentials`.
    pub(super) everywhere: bool,
}

impl Login<'_> {
    /// The credential, for a server that may have it.
    fn credential_for(&self, url: &Url) -> Option<&Credential> {
        self.credential
            .filter(|_| self.everywhere || url.origin() == self.home.origin())
    }
}

pub(super) struct Download<'a> {
    pub(super) url: Url,
    pub(super) login: Login<'a>,
    /// The header `Authorization` in place of user name and password; it goes to the login's home only.
    pub(super) authorization: Option<HeaderValue>,
    pub(super) accept: Option<&'static str>,
    /// Answer with a body only when it has another `ETag`.
    pub(super) etag: Option<&'a str>,
    /// What it is, for messages.
    pub(super) what: &'static str,
    /// Most bytes of the body.
    pub(super) limit: u64,
}

/// An answer, whatever its status is.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// The URL that answered.
    pub(super) url: Url,
}

impl Reply {
    /// The `ETag` of the body.
    pub(super) fn etag(&self) -> Option<String> {
        let etag = self.headers.get(ETAG)?;
        etag.to_str().ok().map(str::to_owned)
    }

    /// The reply of a server that gave what was asked for.
    pub(super) fn success(self, what: &str) -> Result<Self, ChartError> {
        let host = host(&self.url);
        let what = what.to_owned();
        match self.status.as_u16() {
            200..=299 => Ok(self),
            status @ (401 | 403) => Err(ChartError::Denied { host, status }),
            404 | 410 => Err(ChartError::NotFound { host, what }),
            status => Err(ChartError::Status { host, what, status }),
        }
    }
}

/// Host and port of a URL, for messages.
pub(super) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or(host.to_owned(), |port| format!("{host}:{port}"))
}

impl Downloads {
    pub(super) fn new(egress: EgressPolicy, trust: Trust) -> Self {
        Self {
            egress,
            trust,
            clients: Arc::default(),
        }
    }

    /// Sends the request and reads the answer within its limit.
    pub(super) async fn send(&self, download: Download<'_>) -> Result<Reply, ChartError> {
        let host = host(&download.url);
        let whole = self.follow(download);
        tokio::time::timeout(DEADLINE, whole)
            .await
            .unwrap_or_else(|_| {
                Err(ChartError::Unreachable {
                    host,
                    reason: format!("no answer within {} s", DEADLINE.as_secs()),
                })
            })
    }

    async fn follow(&self, download: Download<'_>) -> Result<Reply, ChartError> {
        let mut url = download.url.clone();
        for _ in 0..=MOST_REDIRECTS {
            self.egress.check(&url)?;
            let unreachable = |error: reqwest::Error| ChartError::Unreachable {
                host: host(&url),
                reason: error_chain(&error.without_url()),
            };
            let request = self.request(&download, &url)?;
            let mut response = request.send().await.map_err(unreachable)?;
            let target = redirect_target(response.status(), &url, response.headers())?;
            if let Some(target) = target {
                url = target;
                continue;
            }
            let exceeds = ChartError::Exceeds {
                what: download.what,
                limit: download.limit,
            };
            if response
                .content_length()
                .is_some_and(|length| length > download.limit)
            {
                return Err(exceeds);
            }
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
                if (body.len() + chunk.len()) as u64 > download.limit {
                    return Err(exceeds);
                }
                body.extend_from_slice(&chunk);
            }
            return Ok(Reply {
                status: response.status(),
                headers: response.headers().clone(),
                body,
                url,
            });
        }
        Err(ChartError::Unreachable {
            host: host(&url),
            reason: format!("the server redirects more than {MOST_REDIRECTS} times"),
        })
    }

    /// The request of one hop. Another server than the login's home gets nothing that is a credential.
    fn request(
        &self,
        download: &Download<'_>,
        url: &Url,
    ) -> Result<reqwest::RequestBuilder, ChartError> {
        let credential = download.login.credential_for(url);
        let home = download.login.credential;
        let client = self.client(url, credential, home)?;
        let mut request = client.get(url.clone());
        if let Some(accept) = download.accept {
            request = request.header(ACCEPT, accept);
        }
        if let Some(etag) = download.etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let at_home = url.origin() == download.login.home.origin();
        if let Some(authorization) = download.authorization.as_ref().filter(|_| at_home) {
            return Ok(request.header(AUTHORIZATION, authorization));
        }
        if let Some(credential) = credential.filter(|one| !one.is_empty()) {
            let password = credential.password.expose_secret();
            request = request.basic_auth(&credential.username, Some(password));
        }
        Ok(request)
    }

    /// The client for a server: its authority, the certificate that the credential has, and the proxy of the repository.
    fn client(
        &self,
        url: &Url,
        credential: Option<&Credential>,
        home: Option<&Credential>,
    ) -> Result<Client, ChartError> {
        let insecure = home.is_some_and(|one| one.insecure);
        let authority = self.trust.certificates(url.host_str().unwrap_or_default());
        let own = credential.and_then(|one| one.client_certificate.as_ref());
        let mut hash = Sha256::new();
        hash.update(authority.as_deref().unwrap_or_default());
        hash.update([0]);
        hash.update(own.map_or("", |pem| pem.expose_secret()));
        let proxy = home.and_then(|one| one.proxy_url.as_ref());
        hash.update([0]);
        hash.update(proxy.map_or("", |url| url.expose_secret()));
        hash.update([0]);
        hash.update(home.map_or("", |one| one.no_proxy.as_str()));
        let key = format!("{insecure} {}", hex::encode(hash.finalize()));
        if let Some(client) = self.clients.lock().get(&key) {
            return Ok(client.clone());
        }
        let failed = |error: reqwest::Error| ChartError::Certificate(error_chain(&error));
        let mut builder = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(1)
            .tls_danger_accept_invalid_certs(insecure)
            // Redirects are followed here, where it is known what may go along.
            .redirect(Policy::none())
            .user_agent(USER_AGENT);
        if let Some(authority) = authority {
            let certificates =
                Certificate::from_pem_bundle(authority.as_bytes()).map_err(failed)?;
            builder = builder.tls_certs_only(certificates);
        }
        if let Some(pem) = own {
            let identity = Identity::from_pem(pem.expose_secret().as_bytes());
            builder = builder.identity(identity.map_err(failed)?);
        }
        if let Some(proxy) = home.map(Credential::proxy).transpose()?.flatten() {
            builder = builder.proxy(proxy);
        }
        let client = self.egress.guard(builder).build().map_err(failed)?;
        let mut clients = self.clients.lock();
        if clients.len() >= MOST_CLIENTS {
            clients.clear();
        }
        Ok(clients.entry(key).or_insert(client).clone())
    }
}
