//! The memory mappings of the process: the kernel gives each process a fixed number (`vm.max_map_count`, 65,530 unless
//! set), and one that comes to it can get neither memory nor threads, which would end the server. So guests take
//! theirs from a budget that leaves the host a share, and what does not fit is refused when it starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Mappings of one store beside its memories: a stack and its guard. One of WASI 0.3 has them for each call that is under
/// way and is not bounded here: hostile guests are left out of what that profile promises.
pub(crate) const OF_STORE: usize = 2;

/// Mappings of one linear memory at most: zeroes before its initial data, the data, zeroes behind, reserved addresses.
pub(crate) const OF_MEMORY: usize = 4;

/// Mappings of one program's native code in one engine: text, read-only data, the rest of its file, its image.
pub(crate) const OF_CODE: usize = 4;

/// Bytes from which the allocator gives a table a mapping of its own: glibc's threshold at the start.
pub(crate) const OWN_TABLE_BYTES: u64 = 128 << 10;

/// What guests leave to the host: its own code and threads, allocations, and the pool of instances.
const OF_HOST: usize = 4096;

/// The kernel's limit unless it is set.
const DEFAULT_MAX: usize = 65_530;

/// The mappings that guests may have; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Mappings {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    max: usize,
    used: AtomicUsize,
}

/// Some mappings of the budget, given back when dropped.
#[derive(Debug)]
pub(crate) struct Mapped {
    budget: Mappings,
    count: usize,
}

/// The mappings of one store: those of its stack and the memories that its program names, from the start; those of
/// what it makes beyond as it makes it.
#[derive(Debug)]
pub(crate) struct StoreMappings {
    mapped: Mapped,
    /// Memories that are paid for and not yet made.
    memories: usize,
}

/// The budget is used up.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{wanted} memory mappings are wanted and {left} of {max} are left for guests: delete pods of this node, or raise \
     vm.max_map_count of its kernel and start the node anew"
)]
pub struct NoMappings {
    wanted: usize,
    left: usize,
    max: usize,
}

impl Mappings {
    /// A budget of `max`.
    pub(crate) fn new(max: usize) -> Self {
        Self { shared: Arc::new(Shared { max, used: AtomicUsize::new(0) }) }
    }

    /// Takes `count`.
    pub(crate) fn take(&self, count: usize) -> Result<Mapped, NoMappings> {
        let mut mapped = Mapped { budget: self.clone(), count: 0 };
        mapped.grow(count)?;
        Ok(mapped)
    }

    /// How many are taken, and of how many.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.shared.used.load(Ordering::Relaxed), self.shared.max)
    }
}

impl Mapped {
    /// Takes `count` more.
    pub(crate) fn grow(&mut self, count: usize) -> Result<(), NoMappings> {
        let Shared { max, used } = &*self.budget.shared;
        let grown = |used: usize| used.checked_add(count).filter(|sum| sum <= max);
        match used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown) {
            Ok(_) => self.count += count,
            Err(used) => return Err(NoMappings { wanted: count, left: max.saturating_sub(used), max: *max }),
        }
        Ok(())
    }

    /// Gives `count` of them back, at most all.
    pub(crate) fn shrink(&mut self, count: usize) {
        let count = count.min(self.count);
        self.count -= count;
        self.budget.shared.used.fetch_sub(count, Ordering::Relaxed);
    }
}

impl StoreMappings {
    /// Those of a store with `memories`.
    pub(crate) fn take(budget: &Mappings, memories: usize) -> Result<Self, NoMappings> {
        let mapped = budget.take(OF_STORE.saturating_add(memories.saturating_mul(OF_MEMORY)))?;
        Ok(Self { mapped, memories })
    }

    /// Pays for a memory: one of those that the program names, or the heap of its collector.
    pub(crate) fn make_memory(&mut self) -> Result<(), NoMappings> {
        match self.memories.checked_sub(1) {
            Some(left) => self.memories = left,
            None => self.mapped.grow(OF_MEMORY)?,
        }
        Ok(())
    }

    /// Pays for a table that becomes large.
    pub(crate) fn make_table(&mut self) -> Result<(), NoMappings> {
        self.mapped.grow(1)
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        self.shrink(self.count);
    }
}

/// The mappings that this process can spare for guests.
pub(crate) fn of_process() -> usize {
    let told = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok();
    let max = told.and_then(|told| told.trim().parse().ok()).unwrap_or(DEFAULT_MAX);
    max.saturating_sub(OF_HOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back_with_its_holder_and_no_more_than_all_is_given() {
        let budget = Mappings::new(10);
        let mut one = budget.take(6).unwrap();
        let refused = budget.take(5).unwrap_err();
        assert_eq!(refused, NoMappings { wanted: 5, left: 4, max: 10 });
        one.grow(4).unwrap();
        one.grow(1).unwrap_err();
        one.shrink(4);
        let other = budget.take(4).unwrap();
        assert_eq!(budget.counts(), (10, 10));
        drop((one, other));
        assert_eq!(budget.counts(), (0, 10));
        budget.take(10).unwrap();
    }
}
