//! Addresses that http triggers do not call: link-local ones, where clouds keep the credentials of a
//! machine. Looked at for each connection, so a name that changes its address gains nothing.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

/// Alibaba Cloud's metadata service, which is not link-local.
const ALIBABA_METADATA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
/// The first segments of AWS' metadata services over IPv6.
const AWS_METADATA: [u16; 2] = [0xfd00, 0x0ec2];
/// The first segments of IPv4 addresses behind NAT64.
const NAT64: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// True for link-local addresses and those of metadata services, in any spelling.
pub(super) fn is_link_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local() || address == ALIBABA_METADATA,
        IpAddr::V6(address) => {
            let segments = address.segments();
            address.is_unicast_link_local()
                || segments.starts_with(&AWS_METADATA)
                || (segments.starts_with(&NAT64) && is_link_local(embedded(address).into()))
        }
    }
}

/// The IPv4 address in the last four bytes.
fn embedded(address: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = address.octets();
    Ipv4Addr::new(a, b, c, d)
}

/// The refused address, when the host of a URL is one.
pub(super) fn refused(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.parse().ok().filter(|address| is_link_local(*address))
}

/// Resolves names, and leaves link-local addresses out.
pub(super) struct NoLinkLocal;

impl Resolve for NoLinkLocal {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> = found
                .iter()
                .copied()
                .filter(|address| !is_link_local(address.ip()))
                .collect();
            if allowed.is_empty() && !found.is_empty() {
                let message = format!("{} has a link-local address only", name.as_str());
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, message).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_services_are_recognised_in_every_spelling() {
        for host in [
            "169.254.169.254",
            "0xa9fea9fe",
            "2852039166",
            "[fe80::1]",
            "[::ffff:169.254.169.254]",
            "[64:ff9b::a9fe:a9fe]",
            "[fd00:ec2::254]",
            "100.100.100.200",
        ] {
            let url = Url::parse(&format!("http://{host}/latest")).expect("a URL");
            assert!(refused(&url).is_some(), "{host}");
        }
        for host in ["10.0.0.1", "example.com", "[2001:db8::1]", "127.0.0.1"] {
            let url = Url::parse(&format!("http://{host}/")).expect("a URL");
            assert_eq!(refused(&url), None, "{host}");
        }
    }
}
