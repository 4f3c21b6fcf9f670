//! An address for each pod, out of one block.
//!
//! Addresses go round: one that was given back is the last to be given out again, so that a peer that still holds
//! an old address does not soon meet a stranger behind it.

use std::collections::HashSet;
use std::net::IpAddr;

use crate::range::Range;

/// The addresses of one block that are in use. The first address (the block's own name) is never given out, nor is
/// the last of a v4 block, which some programs take for a broadcast; a block of one or two addresses gives out all.
#[derive(Clone, Debug)]
pub struct Pool {
    range: Range,
    /// Offsets in use; canonical. Bounded by the block and by the pods that a node may have.
    taken: HashSet<u128>,
    /// Where the next search begins.
    next: u128,
}

/// Why an address cannot be had.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// Every address is in use.
    #[error("all {0} addresses of {1} are in use")]
    Exhausted(u128, Range),
    /// The address asked for is outside of the block, or one that is never given out.
    #[error("{0} is not an address for a pod of {1}")]
    Outside(IpAddr, Range),
    /// The address asked for is in use.
    #[error("{0} is in use")]
    Taken(IpAddr),
}

impl Pool {
    /// A pool of which nothing is in use.
    #[must_use]
    pub fn new(range: Range) -> Self {
        Self { range, taken: HashSet::new(), next: usable(&range).0 }
    }

    /// The block.
    #[must_use]
    pub fn range(&self) -> &Range {
        &self.range
    }

    /// The next free address.
    ///
    /// # Errors
    /// When all are in use.
    pub fn allocate(&mut self) -> Result<IpAddr, Error> {
        let (first, last) = usable(&self.range);
        let count = last - first + 1;
        // At most `taken` places can be passed over, so one more step always finds a free one if there is any.
        if self.taken.len() as u128 >= count {
            return Err(Error::Exhausted(count, self.range));
        }
        let mut offset = self.next;
        while self.taken.contains(&offset) {
            offset = if offset >= last { first } else { offset + 1 };
        }
        self.next = if offset >= last { first } else { offset + 1 };
        self.taken.insert(offset);
        self.range.nth(offset).ok_or(Error::Exhausted(count, self.range))
    }

    /// Takes one address by name: a pod that ran before a restart keeps its own.
    ///
    /// # Errors
    /// When it is in use, or not the pool's to give.
    pub fn claim(&mut self, address: IpAddr) -> Result<(), Error> {
        let (first, last) = usable(&self.range);
        let offset = self.range.offset_of(address).filter(|offset| (first..=last).contains(offset));
        let offset = offset.ok_or(Error::Outside(address, self.range))?;
        if !self.taken.insert(offset) {
            return Err(Error::Taken(address));
        }
        // A later address must not come before the ones that were handed out by the life before this.
        if offset >= self.next {
            self.next = if offset >= last { first } else { offset + 1 };
        }
        Ok(())
    }

    /// Gives an address back; one that was not taken changes nothing.
    pub fn release(&mut self, address: IpAddr) {
        if let Some(offset) = self.range.offset_of(address) {
            self.taken.remove(&offset);
        }
    }

    /// How many addresses are in use.
    #[must_use]
    pub fn len(&self) -> usize {
        self.taken.len()
    }

    /// Whether no address is in use.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }
}

/// The first and the last offset that a pod may get.
fn usable(range: &Range) -> (u128, u128) {
    let last = range.size() - 1;
    match range.base() {
        _ if last < 2 => (0, last),
        IpAddr::V4(_) => (1, last - 1),
        IpAddr::V6(_) => (1, last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(range: &str) -> Pool {
        Pool::new(range.parse().unwrap())
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_given_back_is_the_last_to_come_again() {
        let mut pool = pool("10.0.0.0/29");
        let all: Vec<String> = (0..3).map(|_| pool.allocate().unwrap().to_string()).collect();
        assert_eq!(all, ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        pool.release(address("10.0.0.2"));
        let rest: Vec<String> = (0..4).map(|_| pool.allocate().unwrap().to_string()).collect();
        assert_eq!(rest, ["10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.2"]);
    }

    #[test]
    fn an_exhausted_pool_says_so_and_recovers() {
        let mut pool = pool("10.0.0.0/30");
        pool.allocate().unwrap();
        pool.allocate().unwrap();
        assert_eq!(pool.allocate().unwrap_err().to_string(), "all 2 addresses of 10.0.0.0/30 are in use");
        pool.release(address("10.0.0.1"));
        assert_eq!(pool.allocate(), Ok(address("10.0.0.1")));
    }

    #[test]
    fn an_address_is_claimed_once_and_only_from_the_block() {
        let mut pool = pool("10.0.0.0/29");
        assert_eq!(pool.claim(address("10.0.0.3")), Ok(()));
        assert_eq!(pool.claim(address("10.0.0.3")), Err(Error::Taken(address("10.0.0.3"))));
        assert!(matches!(pool.claim(address("10.0.0.0")), Err(Error::Outside(..))));
        assert!(matches!(pool.claim(address("10.0.1.3")), Err(Error::Outside(..))));
        assert_eq!(pool.allocate(), Ok(address("10.0.0.4")));
    }

    #[test]
    fn a_wide_v6_block_is_no_slower_than_a_small_one() {
        let mut pool = pool("fd00::/64");
        assert_eq!(pool.allocate(), Ok(address("fd00::1")));
        assert_eq!(pool.len(), 1);
    }
}
