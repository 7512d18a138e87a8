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
/// First segments of AWS' services over IPv6.
const AWS: [u16; 2] = [0xfd00, 0x0ec2];
/// First segments of IPv6 addresses that NAT64 maps to IPv4.
const NAT64: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

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
                || embedded_ipv4(address).is_some_and(|address| is_link_local(address.into()))
        }
    }
}

/// The IPv4 address inside a mapped, compatible or translated IPv6 address.
fn embedded_ipv4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return Some(mapped);
    }
    let segments = address.segments();
    let (prefix, embedded) = segments.split_at(6);
    let compatible = prefix == [0; 6] && embedded.first() != Some(&0);
    if !compatible && prefix != NAT64 {
        return None;
    }
    let [.., a, b, c, d] = address.octets();
    Some(Ipv4Addr::new(a, b, c, d))
}
