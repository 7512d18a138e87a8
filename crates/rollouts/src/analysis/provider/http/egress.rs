//! Which addresses metrics may call. Whoever may write an AnalysisRun chooses the address, so the ones that
//! hand out the node's own credentials are refused.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

/// Addresses outside of the link-local ranges at which clouds serve credentials to a node.
const METADATA: &[IpAddr] = &[
    // AWS over IPv6.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254)),
    // Alibaba.
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    // Azure's wire server.
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    // Oracle.
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
];
/// The prefix of IPv6 addresses that NAT64 maps to IPv4 ones.
const NAT64: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// An address that metrics must not call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Forbidden(IpAddr);

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is a link-local or instance metadata address, which metrics must not call; \
             --analysis-allow-link-local allows it",
            self.0
        )
    }
}

impl std::error::Error for Forbidden {}

/// Refuses a URL whose host is written as a forbidden address. Names are checked when they are resolved.
pub(super) fn check(url: &Url) -> Result<(), Forbidden> {
    let address = match url.host() {
        Some(url::Host::Ipv4(address)) => IpAddr::V4(address),
        Some(url::Host::Ipv6(address)) => IpAddr::V6(address),
        _ => return Ok(()),
    };
    if is_forbidden(address) {
        Err(Forbidden(address))
    } else {
        Ok(())
    }
}

fn is_forbidden(address: IpAddr) -> bool {
    if METADATA.contains(&address) {
        return true;
    }
    match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_unspecified(),
        IpAddr::V6(address) => {
            let embedded = embedded_ipv4(address);
            address.is_unicast_link_local()
                || address.is_unspecified()
                || embedded.is_some_and(|address| is_forbidden(IpAddr::V4(address)))
        }
    }
}

/// The IPv4 address inside a mapped or translated IPv6 address.
fn embedded_ipv4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return Some(mapped);
    }
    let segments = address.segments();
    let (prefix, embedded) = segments.split_at(6);
    let compatible = prefix == [0; 6] && embedded.first() != Some(&0);
    if prefix != NAT64 && !compatible {
        return None;
    }
    let [.., a, b, c, d] = address.octets();
    Some(Ipv4Addr::new(a, b, c, d))
}

/// Resolves names by the system, without forbidden addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct GuardedDns;

impl Resolve for GuardedDns {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let (refused, allowed): (Vec<SocketAddr>, Vec<SocketAddr>) =
                found.partition(|address| is_forbidden(address.ip()));
            if let (true, Some(address)) = (allowed.is_empty(), refused.first()) {
                Err(Forbidden(address.ip()).into())
            } else {
                let addresses: Addrs = Box::new(allowed.into_iter());
                Ok(addresses)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_services_are_refused_in_every_spelling() {
        for url in [
            "http://169.254.169.254/latest/meta-data",
            "http://0xa9fea9fe/",
            "http://2852039166/",
            "http://[::ffff:169.254.169.254]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
            "http://100.100.100.200/",
            "http://168.63.129.16/",
            "http://0.0.0.0:8080/",
            "http://[::]/",
        ] {
            let url = Url::parse(url).expect("a URL");
            assert!(check(&url).is_err(), "{url}");
        }
        for url in [
            "http://127.0.0.1:9090/",
            "http://10.0.0.1/",
            "http://[::1]/",
            "http://prometheus.monitoring:9090/",
            "http://[2001:db8::1]/",
        ] {
            let url = Url::parse(url).expect("a URL");
            assert_eq!(check(&url), Ok(()), "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_for_a_forbidden_address_is_not_resolved() {
        let resolve = |name: &str| GuardedDns.resolve(name.parse().expect("a name"));
        assert!(resolve("localhost").await.is_ok());
        let refused = resolve("169.254.169.254").await.err().expect("a refusal");
        assert!(refused.to_string().contains("link-local"), "{refused}");
    }
}
