//! Connections to API servers whose address comes from a Secret.

use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, Write};
use hyper_util::{
    client::legacy::{
        Client as HttpClient,
        connect::{Connection, HttpConnector},
    },
    rt::TokioExecutor,
};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder, ConfigExt},
};
use thiserror::Error;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};

use super::proxy::{self, ProxyError, Route};
use crate::egress::{ConnectorResolver, EgressPolicy, RefusedAddress};

/// Longest time to connect to one address.
const CONNECT: Duration = Duration::from_secs(10);

/// No client can be made.
#[derive(Debug, Error)]
pub enum GuardError {
    /// The address must not be called.
    #[error(transparent)]
    Address(#[from] RefusedAddress),
    /// The proxy.
    #[error("the proxy's URL {0}")]
    Proxy(#[from] ProxyError),
    /// The URL, the certificates or the credentials cannot be used.
    #[error(transparent)]
    Config(#[from] kube::Error),
}

/// A client whose connector checks each address that a name resolves to. Deadlines and retries are those of the gate.
///
/// Behind a proxy the check covers the proxy, and the server where it is given as an address.
pub(super) fn client(config: &Config, egress: EgressPolicy) -> Result<Client, GuardError> {
    check(&config.cluster_url, egress)?;
    let mut sockets = HttpConnector::new_with_resolver(ConnectorResolver(egress));
    sockets.enforce_http(false);
    sockets.set_connect_timeout(Some(CONNECT));
    match Route::of(config)? {
        Route::Direct => over(config, sockets),
        Route::Tunnel(proxy) => {
            check(proxy.uri(), egress)?;
            over(config, proxy::tunnel(&proxy, config, sockets)?)
        }
        Route::Socks(proxy) => {
            check(proxy.uri(), egress)?;
            over(config, proxy::socks(&proxy, sockets)?)
        }
    }
}

/// Checks a host that is an address, which needs no resolver.
fn check(server: &Uri, egress: EgressPolicy) -> Result<(), GuardError> {
    let host = server.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse() {
        Ok(address) => Ok(egress.check_address(address)?),
        Err(_) => Ok(()),
    }
}

fn over<C>(config: &Config, connector: C) -> Result<Client, GuardError>
where
    C: Service<Uri, Error: Into<BoxError>, Future: Send + 'static> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
{
    let connector = config.rustls_https_connector_with_connector(connector)?;
    let sockets: HttpClient<_, Body> = HttpClient::builder(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(sockets)
        .boxed();
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}
