//! Values of the libraries' own types.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::formats::Format;
use super::network::Cidr;
use super::semver::Version;
use super::urls::Url;
use crate::quantity::Quantity;

/// A value of a library's type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Library {
    /// An amount.
    Quantity(Quantity),
    /// An address on the web.
    Url(Arc<Url>),
    /// An address.
    Ip(IpAddr),
    /// A network.
    Cidr(Cidr),
    /// A version.
    Semver(Arc<Version>),
    /// A named format of text.
    Format(&'static Format),
}

impl Library {
    pub(in crate::cel) fn type_name(&self) -> &'static str {
        match self {
            Self::Quantity(_) => "kubernetes.Quantity",
            Self::Url(_) => "kubernetes.URL",
            Self::Ip(_) => "net.IP",
            Self::Cidr(_) => "net.CIDR",
            Self::Semver(_) => "kubernetes.Semver",
            Self::Format(_) => "kubernetes.NamedFormat",
        }
    }

    /// How large costs see this.
    pub(in crate::cel) fn size(&self) -> u64 {
        match self {
            Self::Ip(ip) => address_bytes(*ip),
            Self::Cidr(cidr) => u64::from(cidr.prefix).div_ceil(8),
            _ => 1,
        }
    }

    /// How long the pattern of a format is taken to be.
    pub(in crate::cel) fn pattern_size(&self) -> u64 {
        match self {
            Self::Format(format) => format.pattern_size,
            _ => 1,
        }
    }
}

fn address_bytes(ip: IpAddr) -> u64 {
    if ip.is_ipv4() { 4 } else { 16 }
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quantity(quantity) => write!(f, "{quantity}"),
            Self::Url(url) => f.write_str(&url.text),
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::Cidr(cidr) => write!(f, "{cidr}"),
            Self::Semver(version) => write!(f, "{version}"),
            Self::Format(format) => f.write_str(format.name),
        }
    }
}
