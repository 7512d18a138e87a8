//! The HTTP transport with bounds: bytes of answers are counted, and a transfer that nobody waits for ends at its
//! next read.

use std::{
    io::{self, BufRead, Read},
    sync::{Arc, Mutex},
};

use gix::protocol::transport::client::blocking_io::http::{
    self, GetResponse, Http, PostBodyDataKind, PostResponse,
    reqwest::{Options, Remote},
};
use reconcile_core::{args::environment_proxy, egress::EgressPolicy};
use reqwest::{NoProxy, Proxy, blocking::ClientBuilder};

use crate::{connection::ConnectionSettings, limits::Watch};

/// A closed port of this machine, where a redirect to a refused address ends.
const NOWHERE: &str = "http://127.0.0.1:9";

/// HTTP requests under a [`Watch`].
pub(crate) struct BoundedHttp {
    inner: Remote,
    watch: Watch,
    what: &'static str,
    limit: u64,
    egress: EgressPolicy,
    connection: ConnectionSettings,
}

impl BoundedHttp {
    /// Requests to addresses that `egress` permits, whose answers may have `limit` bytes altogether.
    pub(crate) fn new(
        watch: Watch,
        what: &'static str,
        limit: u64,
        egress: EgressPolicy,
        connection: ConnectionSettings,
    ) -> gix::Result<Self> {
        let mut http = Self {
            inner: Remote::default(),
            watch,
            what,
            limit,
            egress,
            connection,
        };
        http.configure(&http::Options::default())?;
        Ok(http)
    }

    fn bound<R>(&self, inner: R) -> BoundedBody<R> {
        BoundedBody {
            inner,
            watch: self.watch.clone(),
            what: self.what,
            limit: self.limit,
        }
    }
}

impl Http for BoundedHttp {
    type Headers = <Remote as Http>::Headers;
    type ResponseBody = BoundedBody<<Remote as Http>::ResponseBody>;
    type PostBody = <Remote as Http>::PostBody;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix::Result<GetResponse<Self::Headers, Self::ResponseBody>> {
        let answer = self.inner.get(url, base_url, headers)?;
        Ok(GetResponse {
            headers: answer.headers,
            body: self.bound(answer.body),
        })
    }

    fn post(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        body: PostBodyDataKind,
    ) -> gix::Result<PostResponse<Self::Headers, Self::ResponseBody, Self::PostBody>> {
        let answer = self.inner.post(url, base_url, headers, body)?;
        Ok(PostResponse {
            post_body: answer.post_body,
            headers: answer.headers,
            body: self.bound(answer.body),
        })
    }

    fn configure(&mut self, config: &dyn std::any::Any) -> gix::Result {
        let mut options = config
            .downcast_ref::<http::Options>()
            .cloned()
            .unwrap_or_default();
        let (egress, verify) = (self.egress, options.ssl_verify);
        let connection = self.connection.clone();
        let backend = Options {
            configure_client: Some(Box::new(move |builder| {
                Ok(configured(builder, &connection, egress, verify))
            })),
            configure_request: None,
        };
        options.backend = Some(Arc::new(Mutex::new(backend)));
        self.inner.configure(&options)
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.inner.redirected_base_url()
    }
}

/// The client for one conversation. Names that resolve to refused addresses do not resolve; a redirect to such an
/// address goes nowhere, because addresses are not resolved.
pub fn configured(
    builder: ClientBuilder,
    connection: &ConnectionSettings,
    egress: EgressPolicy,
    verify: bool,
) -> ClientBuilder {
    let mut builder = connection.configure(builder);
    if !verify {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    let resolver = egress.resolver();
    let is_guarded = resolver.is_some();
    if let Some(resolver) = resolver {
        builder = builder
            .dns_resolver(resolver)
            .proxy(Proxy::custom(move |url| {
                egress.check(url).is_err().then_some(NOWHERE)
            }));
    }
    if let Some(proxy) = &connection.proxy {
        return builder.proxy(proxy.clone());
    }
    if !is_guarded {
        return builder;
    }
    // A client with a proxy of its own does not look for those of the environment.
    let proxies = [
        environment_proxy("HTTPS_PROXY").map(Proxy::https),
        environment_proxy("HTTP_PROXY").map(Proxy::http),
        environment_proxy("ALL_PROXY").map(Proxy::all),
    ];
    for proxy in proxies.into_iter().flatten().flatten() {
        builder = builder.proxy(proxy.no_proxy(NoProxy::from_env()));
    }
    builder
}

/// The body of an answer.
pub(crate) struct BoundedBody<R> {
    inner: R,
    watch: Watch,
    what: &'static str,
    limit: u64,
}

impl<R> BoundedBody<R> {
    fn check(&self) -> io::Result<()> {
        if self.watch.is_interrupted() {
            // Not `Interrupted`, which readers take as a request to try again.
            return Err(io::Error::other("the transfer is interrupted"));
        }
        Ok(())
    }

    fn count(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.watch.received(bytes, self.what, self.limit);
    }
}

impl<R: Read> Read for BoundedBody<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        let count = self.inner.read(buffer)?;
        self.count(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for BoundedBody<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.check()?;
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.count(count);
        self.inner.consume(count);
    }
}
