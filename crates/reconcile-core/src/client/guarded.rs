//! Connections to API servers whose address comes from a Secret.

use std::time::Duration;

use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::TokioExecutor,
};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder, ConfigExt},
};
use thiserror::Error;
use tower::{BoxError, ServiceBuilder, ServiceExt};

use crate::egress::{ConnectorResolver, EgressPolicy, RefusedAddress};

/// Longest time to connect to one address.
const CONNECT: Duration = Duration::from_secs(10);

/// No client can be made.
#[derive(Debug, Error)]
pub enum GuardError {
    /// The address must not be called.
    #[error(transparent)]
    Address(#[from] RefusedAddress),
    /// The URL, the certificates or the credentials cannot be used.
    #[error(transparent)]
    Config(#[from] kube::Error),
}

/// A client whose connector checks each address that a name resolves to. Deadlines and retries are those of the gate.
pub(super) fn client(config: &Config, egress: EgressPolicy) -> Result<Client, GuardError> {
    if let Ok(url) = config.cluster_url.to_string().parse() {
        // An address needs no resolver.
        egress.check(&url)?;
    }
    let mut connector = HttpConnector::new_with_resolver(ConnectorResolver(egress));
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(CONNECT));
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
