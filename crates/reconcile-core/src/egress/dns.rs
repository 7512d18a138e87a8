//! Name resolution that skips refused addresses.

use std::{io, net::SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tower::BoxError;

use thiserror::Error;

use super::{EgressPolicy, RefusedAddress};

/// A host that is not called.
#[derive(Debug, Error)]
pub enum HostError {
    /// The policy refuses one of its addresses.
    #[error(transparent)]
    Refused(#[from] RefusedAddress),
    /// It has no address.
    #[error("cannot resolve {host}: {source}")]
    Unknown {
        /// Its name.
        host: String,
        /// What the resolver says.
        source: io::Error,
    },
}

pub(super) async fn check_host(policy: EgressPolicy, host: &str) -> Result<(), HostError> {
    if policy == EgressPolicy::AllowLinkLocal {
        return Ok(());
    }
    let addresses = tokio::net::lookup_host((host, 0)).await;
    let addresses = addresses.map_err(|source| HostError::Unknown {
        host: host.to_owned(),
        source,
    })?;
    for address in addresses {
        policy.check_address(address.ip())?;
    }
    Ok(())
}

/// Resolves names with the system's resolver and skips the addresses that the policy refuses.
#[derive(Clone, Copy, Debug)]
pub struct GuardedResolver(pub(super) EgressPolicy);

/// The addresses of a name that may be called.
pub(super) async fn resolve(policy: EgressPolicy, name: &str) -> Result<Vec<SocketAddr>, BoxError> {
    let mut allowed: Vec<SocketAddr> = Vec::new();
    let mut refused = None;
    for address in tokio::net::lookup_host((name, 0)).await? {
        match policy.check_address(address.ip()) {
            Ok(()) => allowed.push(address),
            Err(error) => refused = Some(error),
        }
    }
    match refused {
        Some(error) if allowed.is_empty() => Err(error.into()),
        _ => Ok(allowed),
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.0;
        Box::pin(async move {
            let addresses: Addrs = Box::new(resolve(policy, name.as_str()).await?.into_iter());
            Ok(addresses)
        })
    }
}
