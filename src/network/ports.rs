//! Who owns which port of a host.
//!
//! A port is taken by protocol, number and address. The unspecified address (`0.0.0.0`, `::`) means every address of
//! the host, so it collides with each of them.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// A transport protocol, in Kubernetes' words.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
    /// SCTP
    Sctp,
}

/// One port of a host.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HostPort {
    /// The address, or the unspecified one for all.
    pub ip: IpAddr,
    /// The protocol.
    pub protocol: Protocol,
    /// The number, above zero.
    pub port: u16,
}

/// A port that somebody else has.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("host port {wanted} is in use by {owner}")]
pub struct Conflict {
    /// What was asked for.
    pub wanted: HostPort,
    /// Who has it.
    pub owner: Arc<str>,
}

/// The ports of one host that are taken.
#[derive(Clone, Debug, Default)]
pub struct HostPorts {
    /// By protocol and number, since addresses may stand for one another. Bounded by the 65,535 ports of a protocol
    /// and the host's addresses.
    owners: HashMap<(Protocol, u16), Vec<Taken>>,
}

/// One owner of a port, at one address.
type Taken = (IpAddr, Arc<str>);

impl HostPorts {
    /// A host of which no port is taken.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes all of `wanted` for `owner`, or none. What the owner has already does not collide with itself.
    ///
    /// # Errors
    /// The first port that somebody else has.
    pub fn claim(&mut self, owner: &Arc<str>, wanted: &[HostPort]) -> Result<(), Conflict> {
        if let Some(conflict) = wanted.iter().find_map(|port| self.conflict(owner, port)) {
            return Err(conflict);
        }
        for port in wanted {
            let owners = self.owners.entry((port.protocol, port.port)).or_default();
            if !owners.iter().any(|(ip, other)| ip == &port.ip && other == owner) {
                owners.push((port.ip, Arc::clone(owner)));
            }
        }
        Ok(())
    }

    /// Gives back all that `owner` has.
    pub fn release(&mut self, owner: &str) {
        self.owners.retain(|_, owners| {
            owners.retain(|(_, other)| &**other != owner);
            !owners.is_empty()
        });
    }

    fn conflict(&self, owner: &Arc<str>, wanted: &HostPort) -> Option<Conflict> {
        let owners = self.owners.get(&(wanted.protocol, wanted.port))?;
        let (_, other) = owners.iter().find(|(ip, other)| other != owner && is_same_address(*ip, wanted.ip))?;
        Some(Conflict { wanted: *wanted, owner: Arc::clone(other) })
    }
}

/// Whether a socket bound to one address stands in the way of a socket bound to the other.
fn is_same_address(left: IpAddr, right: IpAddr) -> bool {
    left == right || left.is_unspecified() || right.is_unspecified()
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", std::net::SocketAddr::new(self.ip, self.port), self.protocol)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(text: &str, protocol: Protocol) -> HostPort {
        let socket: std::net::SocketAddr = text.parse().unwrap();
        HostPort { ip: socket.ip(), protocol, port: socket.port() }
    }

    fn owner(name: &str) -> Arc<str> {
        Arc::from(name)
    }

    #[test]
    fn ports_collide_by_protocol_number_and_address() {
        let (a, b) = (owner("a"), owner("b"));
        for (taken, wanted, protocol, free) in [
            ("127.0.0.1:80", "127.0.0.1:80", Protocol::Tcp, false),
            ("127.0.0.1:80", "127.0.0.1:80", Protocol::Udp, true),
            ("127.0.0.1:80", "127.0.0.1:81", Protocol::Tcp, true),
            ("127.0.0.1:80", "127.0.0.2:80", Protocol::Tcp, true),
            ("0.0.0.0:80", "127.0.0.2:80", Protocol::Tcp, false),
            ("127.0.0.2:80", "0.0.0.0:80", Protocol::Tcp, false),
        ] {
            let mut ports = HostPorts::new();
            ports.claim(&a, &[port(taken, Protocol::Tcp)]).unwrap();
            assert_eq!(ports.claim(&b, &[port(wanted, protocol)]).is_ok(), free, "{taken} {wanted} {protocol}");
        }
    }

    #[test]
    fn all_or_none_are_taken() {
        let (a, b) = (owner("default/a"), owner("default/b"));
        let mut ports = HostPorts::new();
        let web = port("127.0.0.1:80", Protocol::Tcp);
        let dns = port("127.0.0.1:53", Protocol::Udp);
        ports.claim(&a, &[web]).unwrap();
        let conflict = ports.claim(&b, &[dns, web]).unwrap_err();
        assert_eq!(conflict.to_string(), "host port 127.0.0.1:80/TCP is in use by default/a");
        ports.release("default/b");
        assert!(ports.claim(&owner("default/c"), &[dns]).is_ok());
    }

    #[test]
    fn what_was_released_is_free_and_claiming_twice_is_harmless() {
        let (a, b) = (owner("a"), owner("b"));
        let web = port("127.0.0.1:80", Protocol::Tcp);
        let mut ports = HostPorts::new();
        ports.claim(&a, &[web]).unwrap();
        ports.claim(&a, &[web]).unwrap();
        ports.release("a");
        assert!(ports.claim(&b, &[web]).is_ok());
    }
}
