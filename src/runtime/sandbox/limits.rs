//! What one sandbox may take of the host's memory.
//!
//! The cap is hard and counts every linear memory, table and garbage-collected heap of a sandbox at its declared
//! size, over all its instances. Growth beyond it fails in the guest, as the specification has it, and is remembered:
//! when such a guest then traps or ends with an error, its end is told as [`Exit::MemoryLimit`](crate::Exit), because
//! that is what languages do whose allocator got no memory. A guest that copes and ends well is not blamed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use wasmtime::ResourceLimiter;

use super::exit::Exit;
use crate::mappings::{NoMappings, OWN_TABLE_BYTES, StoreMappings};

/// What a sandbox may use.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Limits {
    /// Bytes of memories and tables; `None` is [`MEMORY_MAX`].
    pub memory_bytes: Option<u64>,
    /// CPU limit in millicores; `None` is all the guest threads.
    pub cpu_limit: Option<u32>,
    /// CPU request in millicores: the share under contention.
    pub cpu_request: u32,
}

/// The most memory of a sandbox without a limit, in bytes: all that a 32-bit guest can name.
pub const MEMORY_MAX: u64 = 4 << 30;

/// Bytes of the host that one table element takes.
const TABLE_ELEMENT_BYTES: u64 = 8;

/// Elements of one table: a million, as many functions as a module may have. A slot of the pool holds as many, so that a
/// guest fares alike in it and outside; beyond it growth is denied as beyond the cap.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 1 << 20;

/// Core instances, tables and memories of one store. Each costs the host memory that the cap does not count; real
/// components have up to a few dozen (interpreters linked from many modules).
pub(crate) const INSTANCES_MAX: usize = 256;

/// Host resources (open files and directories, streams, pollables, http fields) that one store may hold.
/// At the limit, opening fails with the guest's "no memory" or traps; what is open stays.
pub(crate) const RESOURCES_MAX: usize = 1024;

/// Bytes that the host copies for the guest in one call. Larger arguments fail that call: programs write in chunks.
pub(crate) const HOSTCALL_BYTES_MAX: usize = 16 << 20;

/// Random bytes that one call may ask for: each is made on the guest's thread.
pub(crate) const RANDOM_BYTES_MAX: u64 = 1 << 20;

/// The memory account of one sandbox.
#[derive(Debug)]
pub(crate) struct Memory {
    max: u64,
    used: AtomicU64,
    peak: AtomicU64,
}

/// Watches one store's growth on behalf of its sandbox; gives all back when dropped.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory: Arc<Memory>,
    /// Bytes of this store.
    held: u64,
    /// Of the process's mappings; `None` for a store of the pool, whose mappings are there already.
    mappings: Option<StoreMappings>,
    denied: Denied,
}

/// Tells whether a store was denied memory, and why if not for its cap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Denied {
    shared: Arc<DeniedState>,
}

#[derive(Debug, Default)]
struct DeniedState {
    is_raised: AtomicBool,
    /// The process had no mappings left for it.
    mappings: OnceLock<NoMappings>,
}

impl Memory {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        let max = limits.memory_bytes.unwrap_or(MEMORY_MAX);
        Arc::new(Self { max, used: AtomicU64::new(0), peak: AtomicU64::new(0) })
    }

    /// The cap, in bytes.
    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// Bytes held now.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// The most bytes held at any time.
    pub(crate) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    fn try_take(&self, bytes: u64) -> bool {
        let grown = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.max);
        match self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, grown) {
            Ok(before) => {
                self.peak.fetch_max(before + bytes, Ordering::Relaxed);
                true
            }
            Err(_) => false,
        }
    }

    fn give_back(&self, bytes: u64) {
        let before = self.used.fetch_sub(bytes, Ordering::AcqRel);
        debug_assert!(before >= bytes, "{bytes} bytes given back of {before}");
    }
}

impl Limiter {
    /// A limiter for one store; `denied` is raised when it refuses growth.
    pub(crate) fn new(memory: Arc<Memory>, denied: Denied, mappings: Option<StoreMappings>) -> Self {
        Self { memory, held: 0, mappings, denied }
    }

    fn grow(&mut self, current: u64, desired: u64, maximum: Option<u64>) -> bool {
        let bytes = desired.saturating_sub(current);
        // Beyond the guest's own maximum growth fails anyway, and that is the guest's affair.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return false;
        }
        if !self.memory.try_take(bytes) {
            return self.deny();
        }
        self.held += bytes;
        true
    }

    fn deny(&self) -> bool {
        self.denied.shared.is_raised.store(true, Ordering::Release);
        false
    }

    /// Pays for a mapping of a growth that was just counted; without one left the growth is denied.
    fn map(&mut self, grown: u64, pay: impl FnOnce(&mut StoreMappings) -> Result<(), NoMappings>) -> bool {
        let Err(error) = self.mappings.as_mut().map_or(Ok(()), pay) else { return true };
        self.held -= grown;
        self.memory.give_back(grown);
        // The first reason is told.
        let _ = self.denied.shared.mappings.set(error);
        self.deny()
    }
}

impl Denied {
    pub(crate) fn is_raised(&self) -> bool {
        self.shared.is_raised.load(Ordering::Acquire)
    }

    /// How a guest that was denied memory and failed is told to have ended, with a cap of `memory_max` bytes.
    pub(crate) fn exit(&self, memory_max: u64) -> Exit {
        match self.shared.mappings.get() {
            Some(error) => Exit::NoMappings(error.to_string()),
            None => Exit::MemoryLimit(memory_max),
        }
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.memory.give_back(self.held);
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if !self.grow(current as u64, desired as u64, maximum.map(|maximum| maximum as u64)) {
            return Ok(false);
        }
        let is_made = current == 0 && desired > 0;
        Ok(!is_made || self.map(desired as u64, StoreMappings::make_memory))
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        // Nothing is given back. This is told of growths too that were never asked for (their size overflows), so a guest
        // could have what it holds given back again and again. What really fails is rare, and comes free with the store.
        tracing::debug!(%error, "a guest's memory could not grow");
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // The pool tells its own bound as the guest's maximum.
        let maximum = maximum.filter(|maximum| *maximum < TABLE_ELEMENTS_MAX);
        if maximum.is_none() && desired > TABLE_ELEMENTS_MAX {
            return Ok(self.deny());
        }
        let bytes = |elements: usize| (elements as u64).saturating_mul(TABLE_ELEMENT_BYTES);
        if !self.grow(bytes(current), bytes(desired), maximum.map(bytes)) {
            return Ok(false);
        }
        let becomes_large = bytes(current) < OWN_TABLE_BYTES && bytes(desired) >= OWN_TABLE_BYTES;
        Ok(!becomes_large || self.map(bytes(desired) - bytes(current), StoreMappings::make_table))
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        // As above.
        tracing::debug!(%error, "a guest's table could not grow");
        Ok(())
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        INSTANCES_MAX
    }

    fn memories(&self) -> usize {
        INSTANCES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 65_536;

    fn limiter(memory: &Arc<Memory>) -> Limiter {
        Limiter::new(Arc::clone(memory), Denied::default(), None)
    }

    #[test]
    fn the_cap_holds_over_all_stores_of_a_sandbox_and_comes_free_with_them() {
        let memory = Memory::new(&Limits { memory_bytes: Some(3 * PAGE as u64), ..Limits::default() });
        let (mut one, mut other) = (limiter(&memory), limiter(&memory));
        assert!(one.memory_growing(0, 2 * PAGE, None).unwrap());
        assert!(!other.memory_growing(0, 2 * PAGE, None).unwrap());
        assert!(other.denied.is_raised() && !one.denied.is_raised());
        assert!(other.table_growing(0, 100, None).unwrap());
        drop(one);
        assert_eq!((memory.used(), memory.peak()), (800, 2 * PAGE as u64 + 800));
        assert!(other.memory_growing(0, 2 * PAGE, None).unwrap());
    }

    #[test]
    fn a_table_has_a_bound_of_its_own() {
        for (maximum, is_denied) in [(None, true), (Some(TABLE_ELEMENTS_MAX), true), (Some(10), false)] {
            let mut limiter = limiter(&Memory::new(&Limits::default()));
            assert!(!limiter.table_growing(0, TABLE_ELEMENTS_MAX + 1, maximum).unwrap());
            assert_eq!(limiter.denied.is_raised(), is_denied, "{maximum:?}");
        }
    }

    #[test]
    fn what_is_told_of_failures_gives_nothing_back() {
        let memory = Memory::new(&Limits::default());
        let mut limiter = limiter(&memory);
        assert!(!limiter.memory_growing(0, 2 * PAGE, Some(PAGE)).unwrap());
        assert!(!limiter.denied.is_raised());
        assert!(limiter.memory_growing(0, PAGE, Some(PAGE)).unwrap());
        for _ in 0..3 {
            limiter.memory_grow_failed(wasmtime::format_err!("no pages left")).unwrap();
            limiter.table_grow_failed(wasmtime::format_err!("an overflow")).unwrap();
        }
        assert_eq!(memory.used(), PAGE as u64);
        drop(limiter);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn a_growth_without_a_mapping_left_is_not_counted_and_says_so() {
        let (memory, denied) = (Memory::new(&Limits::default()), Denied::default());
        let budget = crate::mappings::Mappings::new(crate::mappings::OF_STORE);
        let mappings = StoreMappings::take(&budget, 0).unwrap();
        let mut limiter = Limiter::new(Arc::clone(&memory), denied.clone(), Some(mappings));
        assert!(!limiter.memory_growing(0, PAGE, None).unwrap());
        assert_eq!(memory.used(), 0);
        assert!(denied.exit(9).to_string().contains("memory mappings are wanted"), "{}", denied.exit(9));
    }
}
