//! Which addresses a description may name (MEDIA.md section 9, rule 6).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// What a description says about the peer's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    /// None given: port 0, no address, or the all-zeros address of RFC 2543's hold.
    Nothing,
    /// Send here.
    At(SocketAddr),
    /// Not an address we send to.
    Forbidden,
}

/// Judges the address of a description for a leg bound to `local`.
pub(crate) fn named(address: &str, port: u16, local: IpAddr) -> Named {
    if address.is_empty() || port == 0 {
        return Named::Nothing;
    }
    match address.parse::<IpAddr>() {
        Ok(ip) if ip.is_unspecified() => Named::Nothing,
        Ok(ip) if allowed(ip, local) => Named::At(SocketAddr::new(ip, port)),
        _ => Named::Forbidden,
    }
}

fn allowed(ip: IpAddr, local: IpAddr) -> bool {
    let special = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_multicast() || ip.is_broadcast(),
        // A mapped IPv4 address would pass by the rules for its own kind.
        IpAddr::V6(ip) => ip.is_multicast() || is_link_local(ip) || ip.to_ipv4_mapped().is_some(),
    };
    let same_family = ip.is_ipv4() == local.is_ipv4();
    !special && same_family && (!ip.is_loopback() || local.is_loopback())
}

fn is_link_local(ip: Ipv6Addr) -> bool {
    let [first, ..] = ip.segments();
    first & 0xffc0 == 0xfe80
}
