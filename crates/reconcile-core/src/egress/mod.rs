//! Which addresses an operator calls on behalf of a manifest or a Secret.
//!
//! Whoever writes a trigger or a metric chooses the address, so the addresses at which clouds hand out the credentials
//! of a node are refused unless a flag of the operator permits them. The check covers the host of the URL, each
//! redirect, and each address that a name resolves to, so a name that changes its address gains nothing.

mod address;
mod connect;
mod dns;
mod redirect;

pub use dns::{GuardedResolver, HostError};
pub use redirect::{InvalidRedirect, redirect_target};

use std::{net::IpAddr, sync::Arc};

use reqwest::{ClientBuilder, Url};
use thiserror::Error;

use address::{is_link_local, is_loopback};
pub(crate) use connect::ConnectorResolver;

/// A link-local, metadata or loopback address, which is not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "{address} is a {} address and is not called; {flag} permits it",
    if is_loopback(*.address) { "loopback" } else { "link-local or instance metadata" }
)]
pub struct RefusedAddress {
    /// The address.
    pub address: IpAddr,
    /// The flag of the operator that permits it.
    pub flag: &'static str,
}

/// Whether link-local and loopback addresses may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EgressPolicy {
    /// Every address may be called.
    AllowLinkLocal,
    /// Link-local and metadata addresses are refused.
    RefuseLinkLocal {
        /// The flag that permits them, for error messages.
        flag: &'static str,
    },
    /// Link-local, metadata and loopback addresses are refused.
    RefuseLocal {
        /// The flag that permits them, for error messages.
        flag: &'static str,
    },
}

impl EgressPolicy {
    /// The policy that the operator's flag `flag` asks for.
    pub fn of_flag(flag: &'static str, allow_link_local: bool) -> Self {
        if allow_link_local {
            Self::AllowLinkLocal
        } else {
            Self::RefuseLinkLocal { flag }
        }
    }

    /// The same, with loopback addresses among those that are refused without the flag.
    pub fn of_local_flag(flag: &'static str, allow_local: bool) -> Self {
        if allow_local {
            Self::AllowLinkLocal
        } else {
            Self::RefuseLocal { flag }
        }
    }

    /// Checks a URL whose host is an address. Names are checked when they are resolved: see [`Self::guard`].
    pub fn check(&self, url: &Url) -> Result<(), RefusedAddress> {
        match url.host() {
            Some(url::Host::Ipv4(address)) => self.check_address(address.into()),
            Some(url::Host::Ipv6(address)) => self.check_address(address.into()),
            Some(url::Host::Domain(_)) | None => Ok(()),
        }
    }

    /// The resolver that skips refused addresses, for clients that this module cannot build; `None` when every address
    /// may be called.
    pub fn resolver(&self) -> Option<Arc<GuardedResolver>> {
        match self {
            Self::AllowLinkLocal => None,
            Self::RefuseLinkLocal { .. } | Self::RefuseLocal { .. } => {
                Some(Arc::new(GuardedResolver(*self)))
            }
        }
    }

    /// Checks all addresses of a host, for clients that resolve names themselves: they may choose any of them.
    pub async fn check_host(&self, host: &str) -> Result<(), HostError> {
        dns::check_host(*self, host).await
    }

    /// Makes a client skip refused addresses when it resolves names. The client must not follow redirects itself,
    /// because a redirect to an address is not resolved.
    pub fn guard(&self, builder: ClientBuilder) -> ClientBuilder {
        match self.resolver() {
            Some(resolver) => builder.dns_resolver(resolver),
            None => builder,
        }
    }

    /// Checks an address that a name was resolved to.
    pub fn check_address(&self, address: IpAddr) -> Result<(), RefusedAddress> {
        match self {
            Self::RefuseLinkLocal { flag } if is_link_local(address) => {
                Err(RefusedAddress { address, flag })
            }
            Self::RefuseLocal { flag } if is_link_local(address) || is_loopback(address) => {
                Err(RefusedAddress { address, flag })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
