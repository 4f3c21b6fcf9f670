//! Blocks of addresses in CIDR notation, v4 and v6, as checked values.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A block of addresses. The base has no bit set beyond the prefix, and the prefix fits the family: [`Range::new`]
/// and parsing are the only ways to make one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Range {
    base: IpAddr,
    /// Bits that all addresses of the block share: 0 to 32, or to 128.
    prefix: u8,
}

/// Why a text or a pair is no range.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// Not `ADDRESS/BITS`.
    #[error("{0:?} is not an address range such as 10.0.0.0/24")]
    NotCidr(String),
    /// More bits than an address of the family has.
    #[error("{base} has {most} bits, so a prefix of {prefix} is too long")]
    PrefixTooLong {
        /// The address as given.
        base: IpAddr,
        /// The prefix as given.
        prefix: u8,
        /// The most that the family allows.
        most: u8,
    },
}

impl Range {
    /// The block of `prefix` bits that `address` lies in.
    ///
    /// # Errors
    /// When the prefix is longer than the address.
    pub fn new(address: IpAddr, prefix: u8) -> Result<Self, Error> {
        let most = width(address);
        if prefix > most {
            return Err(Error::PrefixTooLong { base: address, prefix, most });
        }
        let base = to_address(to_number(address) & mask(prefix, most), address.is_ipv4());
        Ok(Self { base, prefix })
    }

    /// The first address.
    #[must_use]
    pub fn base(&self) -> IpAddr {
        self.base
    }

    /// How many bits all addresses share.
    #[must_use]
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// How many addresses the block has; `u128::MAX` stands for the one block that has more.
    #[must_use]
    pub fn size(&self) -> u128 {
        1_u128.checked_shl(u32::from(width(self.base) - self.prefix)).unwrap_or(u128::MAX)
    }

    /// Whether `address` lies in the block.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.base.is_ipv4()
            && to_number(address) & mask(self.prefix, width(address)) == to_number(self.base)
    }

    /// Whether the two blocks share an address. Blocks are aligned, so one then holds the other.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.base) || other.contains(self.base)
    }

    /// The address at `offset` from the base; `None` beyond the end.
    #[must_use]
    pub fn nth(&self, offset: u128) -> Option<IpAddr> {
        (offset < self.size()).then(|| to_address(to_number(self.base) + offset, self.base.is_ipv4()))
    }

    /// How far `address` is from the base; `None` outside the block.
    #[must_use]
    pub fn offset_of(&self, address: IpAddr) -> Option<u128> {
        self.contains(address).then(|| to_number(address) - to_number(self.base))
    }
}

/// The first of the host's addresses and routes that a range for pods or services would hide, so that the caller can
/// refuse it by name.
#[must_use]
pub fn first_overlap(range: &Range, host: &[Range]) -> Option<Range> {
    host.iter().find(|taken| taken.overlaps(range)).copied()
}

impl FromStr for Range {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let not_cidr = || Error::NotCidr(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(not_cidr)?;
        Self::new(address.parse().map_err(|_| not_cidr())?, prefix.parse().map_err(|_| not_cidr())?)
    }
}

impl From<IpAddr> for Range {
    /// The block of one address.
    fn from(address: IpAddr) -> Self {
        Self { base: address, prefix: width(address) }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The bits that belong to the block, of an address `width` bits wide.
fn mask(prefix: u8, width: u8) -> u128 {
    let host_bits = u32::from(width - prefix);
    u128::MAX.checked_shl(host_bits).unwrap_or(0)
}

fn to_number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn to_address(number: u128, is_v4: bool) -> IpAddr {
    match u32::try_from(number) {
        Ok(bits) if is_v4 => IpAddr::V4(Ipv4Addr::from_bits(bits)),
        _ => IpAddr::V6(Ipv6Addr::from_bits(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Range {
        text.parse().unwrap()
    }

    #[test]
    fn bits_beyond_the_prefix_are_cut_off() {
        for (input, expected) in [
            ("100.64.3.7/11", "100.64.0.0/11"),
            ("10.1.2.3/32", "10.1.2.3/32"),
            ("10.1.2.3/0", "0.0.0.0/0"),
            ("fd00::1:2/112", "fd00::1:0/112"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(range(input).to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_range_is_told() {
        for (input, expected) in [
            ("10.0.0.0", "\"10.0.0.0\" is not an address range such as 10.0.0.0/24"),
            ("10.0.0/8", "\"10.0.0/8\" is not an address range such as 10.0.0.0/24"),
            ("10.0.0.0/33", "10.0.0.0 has 32 bits, so a prefix of 33 is too long"),
        ] {
            assert_eq!(input.parse::<Range>().unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn blocks_overlap_when_one_holds_the_other() {
        for (left, right, expected) in [
            ("100.64.0.0/11", "100.95.255.0/24", true),
            ("100.64.0.0/11", "100.96.0.0/16", false),
            ("10.0.0.0/8", "0.0.0.0/0", true),
            ("10.0.0.0/8", "fd00::/8", false),
        ] {
            assert_eq!(range(left).overlaps(&range(right)), expected, "{left} {right}");
            assert_eq!(range(right).overlaps(&range(left)), expected, "{right} {left}");
        }
    }

    #[test]
    fn the_first_overlap_is_named() {
        let host = [range("192.168.1.0/24"), range("100.70.0.1/32")];
        assert_eq!(first_overlap(&range("100.64.0.0/11"), &host), Some(range("100.70.0.1/32")));
        assert_eq!(first_overlap(&range("100.96.0.0/16"), &host), None);
    }

    #[test]
    fn an_address_and_its_offset_are_the_same_thing() {
        let block = range("100.64.4.0/22");
        assert_eq!(block.size(), 1024);
        assert_eq!(block.nth(1023), Some("100.64.7.255".parse().unwrap()));
        assert_eq!(block.nth(1024), None);
        assert_eq!(block.offset_of("100.64.5.0".parse().unwrap()), Some(256));
        assert_eq!(block.offset_of("100.64.8.0".parse().unwrap()), None);
    }
}
