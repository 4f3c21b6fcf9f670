//! Addresses and networks.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::cost::Rule;
use super::super::error::{Error, Outcome};
use super::super::meter::Meter;
use super::super::value::Value;
use super::library::Library;
use super::{Row, row};
use crate::validation::field::quote;

pub(super) const ROWS: &[Row] = &[
    row("string_to_ip", "ip(string) -> net.IP", Rule::Parse, ip),
    row("cidr_ip", "net.CIDR#ip() -> net.IP", Rule::One, ip),
    row("ip_family", "net.IP#family() -> int", Rule::One, family),
    row("ip_is_canonical", "ip.isCanonical(string) -> bool", Rule::ParseTwice, is_canonical),
    row("ip_is_unspecified", "net.IP#isUnspecified() -> bool", Rule::One, is_unspecified),
    row("ip_is_loopback", "net.IP#isLoopback() -> bool", Rule::One, is_loopback),
    row("ip_is_link_local_multicast", "net.IP#isLinkLocalMulticast() -> bool", Rule::One, is_link_local_multicast),
    row("ip_is_link_local_unicast", "net.IP#isLinkLocalUnicast() -> bool", Rule::One, is_link_local_unicast),
    row("ip_is_global_unicast", "net.IP#isGlobalUnicast() -> bool", Rule::One, is_global_unicast),
    row("is_ip", "isIP(string) -> bool", Rule::Parse, is_ip),
    row("string_to_cidr", "cidr(string) -> net.CIDR", Rule::Parse, cidr),
    row("cidr_contains_ip_string", "net.CIDR#containsIP(string) -> bool", Rule::ContainsIpString, contains_ip),
    row("cidr_contains_ip_ip", "net.CIDR#containsIP(net.IP) -> bool", Rule::ContainsIp, contains_ip),
    row("cidr_contains_cidr_string", "net.CIDR#containsCIDR(string) -> bool", Rule::ContainsCidrString, contains_cidr),
    row("cidr_contains_cidr", "net.CIDR#containsCIDR(net.CIDR) -> bool", Rule::ContainsCidr, contains_cidr),
    row("cidr_prefix_length", "net.CIDR#prefixLength() -> int", Rule::One, prefix_length),
    row("cidr_masked", "net.CIDR#masked() -> net.CIDR", Rule::One, masked),
    row("is_cidr", "isCIDR(string) -> bool", Rule::Parse, is_cidr),
];

/// A network: an address and how many of its bits count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Cidr {
    pub(super) address: IpAddr,
    pub(super) prefix: u8,
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Cidr {
    /// The same network by its first address.
    fn masked(self) -> Self {
        let address = match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or_default();
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or_default();
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        };
        Self { address, ..self }
    }

    fn contains(self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && Self { address, ..self }.masked() == self.masked()
    }
}

fn parse_ip(text: &str) -> Result<IpAddr, Error> {
    if text.contains(':') && text.contains('%') {
        return Err(Error::failed(format!("IP address {} with zone value is not allowed", quote(text))));
    }
    match text.parse() {
        Ok(IpAddr::V6(address)) if address.to_ipv4_mapped().is_some() => {
            Err(Error::failed(format!("IPv4-mapped IPv6 address {} is not allowed", quote(text))))
        }
        Ok(address) => Ok(address),
        Err(_) => {
            let text = quote(text);
            let why = if text.contains(['.', ':']) { "unexpected character" } else { "unable to parse IP" };
            Err(Error::failed(format!(
                "IP Address {text} parse error during conversion from string: ParseAddr({text}): {why}"
            )))
        }
    }
}

fn parse_cidr(text: &str) -> Result<Cidr, Error> {
    let wrong = |why: &str| {
        let text = quote(text);
        Error::failed(format!(
            "network address parse error during conversion from string: netip.ParsePrefix({text}): {why}"
        ))
    };
    let (address, prefix) = text.rsplit_once('/').ok_or_else(|| wrong("no '/'"))?;
    let parsed: IpAddr =
        address.parse().map_err(|_| wrong(&format!("ParseAddr({}): unable to parse IP", quote(address))))?;
    let is_plain = !prefix.is_empty() && prefix.bytes().all(|digit| digit.is_ascii_digit());
    if !is_plain || (prefix.len() > 1 && prefix.starts_with('0')) {
        return Err(wrong(&format!("bad bits after slash: {}", quote(prefix))));
    }
    let max = if parsed.is_ipv4() { 32 } else { 128 };
    let prefix =
        prefix.parse::<u8>().ok().filter(|prefix| *prefix <= max).ok_or_else(|| wrong("prefix length out of range"))?;
    if matches!(parsed, IpAddr::V6(address) if address.to_ipv4_mapped().is_some()) {
        return Err(Error::failed(format!("IPv4-mapped IPv6 address {} is not allowed", quote(text))));
    }
    Ok(Cidr { address: parsed, prefix })
}

fn ip<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text)] => Ok(Value::Library(Library::Ip(parse_ip(text)?))),
        [Value::Library(Library::Cidr(cidr))] => Ok(Value::Library(Library::Ip(cidr.address))),
        _ => Err(Error::no_such_overload()),
    }
}

fn is_ip<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text)] => Ok(parse_ip(text).is_ok().into()),
        _ => Err(Error::no_such_overload()),
    }
}

fn is_canonical<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text)] => Ok((parse_ip(text)?.to_string() == **text).into()),
        _ => Err(Error::no_such_overload()),
    }
}

fn of_ip<'a>(args: &[Value<'a>], of: impl Fn(IpAddr) -> Value<'a>) -> Outcome<'a> {
    match args {
        [Value::Library(Library::Ip(address))] => Ok(of(*address)),
        _ => Err(Error::no_such_overload()),
    }
}

fn family<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    of_ip(args, |address| Value::Int(if address.is_ipv4() { 4 } else { 6 }))
}

fn is_unspecified<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    of_ip(args, |address| address.is_unspecified().into())
}

fn is_loopback<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    of_ip(args, |address| address.is_loopback().into())
}

fn is_link_local_multicast<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    of_ip(args, |address| match address {
        IpAddr::V4(address) => address.octets().starts_with(&[224, 0, 0]).into(),
        IpAddr::V6(address) => ((address.segments()[0] & 0xff0f) == 0xff02).into(),
    })
}

fn link_local_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

fn is_link_local_unicast<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    of_ip(args, |address| link_local_unicast(address).into())
}

fn is_global_unicast<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    of_ip(args, |address| {
        let is_other = address.is_unspecified() || address.is_loopback() || address.is_multicast();
        let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
        (!is_other && !is_broadcast && !link_local_unicast(address)).into()
    })
}

fn cidr<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text)] => Ok(Value::Library(Library::Cidr(parse_cidr_told(text)?))),
        _ => Err(Error::no_such_overload()),
    }
}

/// As [`parse_cidr`]; upstream says twice what failed.
fn parse_cidr_told(text: &str) -> Result<Cidr, Error> {
    parse_cidr(text)
        .map_err(|error| Error::failed(format!("network address parse error during conversion from string: {error}")))
}

fn is_cidr<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text)] => Ok(parse_cidr(text).is_ok().into()),
        _ => Err(Error::no_such_overload()),
    }
}

fn contains_ip<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Library(Library::Cidr(cidr)), Value::String(text)] => Ok(cidr.contains(parse_ip(text)?).into()),
        [Value::Library(Library::Cidr(cidr)), Value::Library(Library::Ip(address))] => {
            Ok(cidr.contains(*address).into())
        }
        _ => Err(Error::no_such_overload()),
    }
}

fn contains_cidr<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    let (outer, inner) = match args {
        [Value::Library(Library::Cidr(outer)), Value::String(text)] => (outer, parse_cidr_told(text)?),
        [Value::Library(Library::Cidr(outer)), Value::Library(Library::Cidr(inner))] => (outer, *inner),
        _ => return Err(Error::no_such_overload()),
    };
    Ok((outer.prefix <= inner.prefix && outer.contains(inner.address)).into())
}

fn prefix_length<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Library(Library::Cidr(cidr))] => Ok(Value::Int(cidr.prefix.into())),
        _ => Err(Error::no_such_overload()),
    }
}

fn masked<'a>(_: &mut Meter, args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Library(Library::Cidr(cidr))] => Ok(Value::Library(Library::Cidr(cidr.masked()))),
        _ => Err(Error::no_such_overload()),
    }
}
