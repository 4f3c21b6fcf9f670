//! The machine that this process runs on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Addresses of this host that are looked at; a machine with more names those that count by `--tls-san`.
const INTERFACES_MAX: usize = 64;

/// The host's name, where it has one that can be a node's and stand in a certificate.
pub(crate) fn name() -> Option<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    api::names::subdomain(&name).is_empty().then_some(name)
}

/// Where other machines find a server of this one that listens on `address`: there, or, if it listens on all, at the
/// address from which this host reaches others, IPv4 before IPv6. `None` on a host without a way to others.
pub(crate) fn reachable(address: SocketAddr) -> Option<SocketAddr> {
    if !address.ip().is_unspecified() {
        return Some(address);
    }
    // The other end is one of those that are kept for documentation.
    let v4 = || towards(SocketAddr::new(Ipv4Addr::new(192, 0, 2, 1).into(), 9)).ok();
    let v6 = || towards(SocketAddr::new(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(), 9)).ok();
    let chosen = if address.is_ipv4() { v4() } else { v4().or_else(v6) };
    chosen.map(|ip| SocketAddr::new(ip, address.port()))
}

/// The address from which this host reaches `target`: connecting a datagram socket sends nothing, the kernel chooses the
/// way and with it the address.
///
/// # Errors
/// When there is no way.
pub(crate) fn towards(target: SocketAddr) -> std::io::Result<IpAddr> {
    let any: IpAddr = if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(target)?;
    Ok(socket.local_addr()?.ip())
}

/// Every address at which a listener on `address` is met: that one or, if it listens on all, those of the host's
/// interfaces. Addresses that mean nothing beyond one link are left out.
pub(crate) fn listening(address: SocketAddr) -> Vec<IpAddr> {
    if !address.ip().is_unspecified() {
        return vec![address.ip()];
    }
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!(%error, "the addresses of this host cannot be told: name those that clients use with --tls-san");
        Vec::new()
    });
    let met = interfaces.iter().map(if_addrs::Interface::ip).filter(|ip| match ip {
        IpAddr::V4(ip) => !ip.is_link_local(),
        IpAddr::V6(ip) => address.is_ipv6() && !ip.is_unicast_link_local(),
    });
    met.take(INTERFACES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_met_at_those_of_the_host() {
        let one: SocketAddr = "10.0.0.1:6443".parse().unwrap();
        assert_eq!((listening(one), reachable(one)), (vec![one.ip()], Some(one)));
        let all = listening("0.0.0.0:6443".parse().unwrap());
        assert!(all.contains(&Ipv4Addr::LOCALHOST.into()) && all.iter().all(IpAddr::is_ipv4), "{all:?}");
        let reached = reachable("0.0.0.0:6443".parse().unwrap());
        assert!(reached.is_none_or(|reached| all.contains(&reached.ip()) && reached.port() == 6443), "{reached:?}");
    }
}
