//! The same resolver for connections to API servers.

use std::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    vec,
};

use hyper_util::client::legacy::connect::dns::Name;
use tower::{BoxError, Service};

use super::{EgressPolicy, dns::resolve};

/// Resolves names for a connector and skips the addresses that the policy refuses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectorResolver(pub(crate) EgressPolicy);

impl Service<Name> for ConnectorResolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let policy = self.0;
        Box::pin(async move { Ok(resolve(policy, name.as_str()).await?.into_iter()) })
    }
}
