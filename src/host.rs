//! The machine that this process runs on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// The host's name, where it has one that can be a node's and stand in a certificate.
pub(crate) fn name() -> Option<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    api::names::subdomain(&name).is_empty().then_some(name)
}

/// Where other machines find a server of this one that listens on `address`: there, or, if it listens on all, at the
/// address from which this host reaches others. `None` on a host without a way to others.
pub(crate) fn reachable(address: SocketAddr) -> Option<SocketAddr> {
    if !address.ip().is_unspecified() {
        return Some(address);
    }
    // Connecting a datagram socket sends nothing: the kernel chooses the way and with it the address. The other end is
    // one of those that are kept for documentation.
    let chosen = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
        socket.local_addr()
    });
    let ip = chosen.ok().map(|chosen| chosen.ip()).filter(|ip: &IpAddr| !ip.is_unspecified())?;
    Some(SocketAddr::new(ip, address.port()))
}
