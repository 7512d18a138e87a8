//! Link-local addresses and those of metadata services.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Metadata services outside of the link-local ranges.
const METADATA: &[Ipv4Addr] = &[
    // Alibaba Cloud.
    Ipv4Addr::new(100, 100, 100, 200),
    // Azure's wire server.
    Ipv4Addr::new(168, 63, 129, 16),
    // Oracle Cloud.
    Ipv4Addr::new(192, 0, 0, 192),
];
/// Metadata services over IPv6 that have one address.
const METADATA_V6: &[Ipv6Addr] = &[
    // Google Cloud.
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    // Oracle Cloud.
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
    // Scaleway.
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
];
/// First segments of AWS' services over IPv6.
const AWS: [u16; 2] = [0xfd00, 0x0ec2];
/// First segments of IPv6 addresses that NAT64 maps to IPv4.
const NAT64: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];
/// First segments of the range for NAT64 inside of a network (RFC 8215), which may embed IPv4 at several places.
const LOCAL_NAT64: [u16; 3] = [0x64, 0xff9b, 1];
/// Where an IPv4 address is inside of an IPv6 one, by the length of the prefix (RFC 6052).
const EMBEDDED_AT: [[usize; 4]; 4] = [
    [6, 7, 9, 10],
    [7, 9, 10, 11],
    [9, 10, 11, 12],
    [12, 13, 14, 15],
];
/// First segment of 6to4 addresses; the IPv4 address follows.
const SIX_TO_FOUR: u16 = 0x2002;

/// True for link-local, metadata and unspecified addresses, also when an IPv4 address is written as IPv6.
pub(super) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_link_local() || address.is_unspecified() || METADATA.contains(&address)
        }
        IpAddr::V6(address) => {
            address.is_unicast_link_local()
                || address.is_unspecified()
                || address.segments().starts_with(&AWS)
                || METADATA_V6.contains(&address)
                || embedded_ipv4(address)
                    .into_iter()
                    .any(|address| is_link_local(address.into()))
        }
    }
}

/// True for addresses of the machine or pod itself, also when an IPv4 address is written as IPv6.
pub(super) fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => {
            address.is_loopback() || embedded_ipv4(address).iter().any(Ipv4Addr::is_loopback)
        }
    }
}

/// The IPv4 addresses that may be inside a mapped, compatible, tunnelled or translated IPv6 address.
fn embedded_ipv4(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return vec![mapped];
    }
    let octets = address.octets();
    let at = |places: [usize; 4]| Ipv4Addr::from(places.map(|place| octets[place]));
    let segments = address.segments();
    if segments[0] == SIX_TO_FOUR {
        return vec![at([2, 3, 4, 5])];
    }
    if segments.starts_with(&LOCAL_NAT64) {
        let all = EMBEDDED_AT.into_iter().map(at);
        // At the places of the other lengths there are zeros.
        let found: Vec<_> = all.filter(|address| !address.is_unspecified()).collect();
        return if found.is_empty() {
            vec![Ipv4Addr::UNSPECIFIED]
        } else {
            found
        };
    }
    let (prefix, embedded) = segments.split_at(6);
    let compatible = prefix == [0; 6] && embedded.first() != Some(&0);
    if compatible || prefix == NAT64 {
        return vec![at([12, 13, 14, 15])];
    }
    Vec::new()
}
