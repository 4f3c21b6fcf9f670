//! Engine settings: each workload's profile is chosen here, once, with its reasons.
//!
//! A profile decides how a guest's memory is had and checked. Everything else is the same for all, so that a guest
//! behaves alike wherever it runs. What changes native code is in the [`fingerprint`] and thereby in the key of the
//! code cache; the allocator is not, so `request` and `dense` share compiled code.

use std::hash::{Hash as _, Hasher};
use std::num::NonZeroUsize;

use sha2::{Digest as _, Sha256};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, WasmBacktraceDetails,
};

use crate::sandbox::TABLE_ELEMENTS_MAX;

/// How a guest's memory is had and checked.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Profile {
    /// For many short lives: http requests and Jobs. Memory, tables and stacks come from a small pool that is kept
    /// warm, so that a start costs no mapping. What does not fit a slot of the pool runs as [`Profile::Dense`].
    Request,
    /// For long lives: pods that run for days. Mapped on demand, so that an idle guest costs about five mappings and
    /// the pages that it touched, and an unused slot costs nothing.
    Dense,
    /// For namespaces whose guests are not trusted: every access is checked by an explicit comparison (masked
    /// against speculation) and no memory reserves 4 GiB of addresses, at the price of slower guests.
    Guarded,
    /// For programs of WASI 0.3, with memory as in [`Profile::Dense`]. Its engine runs several calls at once in one
    /// store, which wasmtime still calls experimental, so a runtime has it only when told to.
    Preview3,
}

/// Stores that the pool of [`Profile::Request`] holds at once. More wait for a slot (http) or run on demand (commands).
/// An unused slot costs two mappings and a used one three more, of the kernel's 65,530 a process.
pub(crate) const POOL_STORES: u32 = 64;

/// Stack for guest code, in bytes; deeper recursion is a trap. wasmtime's own default, known to run real programs.
const WASM_STACK_BYTES: usize = 512 << 10;

/// Stack of a guest with the host calls on top, in bytes. Only touched pages cost memory.
const FIBER_STACK_BYTES: usize = 1 << 20;

/// Frames in a trap's backtrace: enough to find the place, and a bound on what deep recursion can make the host hold.
const BACKTRACE_FRAMES: usize = 20;

/// Bytes of each slot's memory that are zeroed by hand instead of given back to the kernel: the pages that a small
/// guest touches. Zeroing 64 KiB costs less than the page faults that it spares.
const KEEP_MEMORY_BYTES: usize = 64 << 10;

/// The same for tables and stacks.
const KEEP_TABLE_BYTES: usize = 8 << 10;
const KEEP_STACK_BYTES: usize = 16 << 10;

/// Room after a guarded memory that it may grow into before it has to be copied, in bytes.
const GUARDED_GROWTH_BYTES: u64 = 16 << 20;

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 4] = [Self::Request, Self::Dense, Self::Guarded, Self::Preview3];

    /// The name, as the compiler's command line takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Dense => "dense",
            Self::Guarded => "guarded",
            Self::Preview3 => "wasi-preview3",
        }
    }

    /// The profile of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// An engine to run guests.
    pub(crate) fn engine(self) -> wasmtime::Result<Engine> {
        let mut config = self.code_config();
        if self == Self::Request {
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
        }
        Engine::new(&config)
    }

    /// An engine to compile only: without the pool, whose addresses a compiler under an address space limit lacks.
    pub(crate) fn compiler(self) -> wasmtime::Result<Engine> {
        Engine::new(&self.code_config())
    }

    /// All settings but the allocator's.
    fn code_config(self) -> Config {
        let mut config = Config::new();
        config
            // A busy loop yields when the ticker says so.
            .epoch_interruption(true)
            // Instances of one module share its initial memory until they write to it.
            .memory_init_cow(true)
            .max_wasm_stack(WASM_STACK_BYTES)
            .async_stack_size(FIBER_STACK_BYTES)
            .wasm_backtrace_max_frames(NonZeroUsize::new(BACKTRACE_FRAMES))
            // Names come from the name section; DWARF would be kept in every artifact and parsed by the host.
            .wasm_backtrace_details(WasmBacktraceDetails::Disable)
            // Only native debuggers need it, and each loaded module would have to register it.
            .native_unwind_info(false)
            // Guests of WASI 0.1 and 0.2 never run two calls at once in one store.
            .concurrency_support(self == Self::Preview3)
            .cranelift_opt_level(OptLevel::Speed);
        match self {
            // A guard before each memory would be one more mapping, and ten thousand idle pods have six each. The one
            // behind it, which compiled code relies on, stays.
            Self::Request | Self::Dense | Self::Preview3 => {
                config.guard_before_linear_memory(false);
            }
            Self::Guarded => {
                config.memory_reservation(0).memory_guard_size(0).memory_reservation_for_growth(GUARDED_GROWTH_BYTES);
            }
        }
        config
    }
}

/// The pool of [`Profile::Request`].
///
/// The totals are sized for [`POOL_STORES`] ordinary components (a main module, an adapter and its shims; one memory,
/// a few tables), not for the largest that one slot may hold: unused slots cost mappings.
fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_stacks(POOL_STORES)
        .total_component_instances(POOL_STORES)
        .total_core_instances(POOL_STORES * CORE_INSTANCES_MAX)
        .max_core_instances_per_component(CORE_INSTANCES_MAX)
        .total_memories(POOL_STORES)
        .max_memories_per_component(1)
        .max_memories_per_module(1)
        .total_tables(POOL_STORES * TABLES_MAX)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_tables_per_component(TABLES_MAX)
        .max_tables_per_module(TABLES_MAX)
        .total_gc_heaps(POOL_STORES)
        .max_unused_warm_slots(POOL_STORES)
        .linear_memory_keep_resident(KEEP_MEMORY_BYTES)
        .table_keep_resident(KEEP_TABLE_BYTES)
        .async_stack_keep_resident(KEEP_STACK_BYTES)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Core instances of one component in the pool: those of a Rust or C component and some to spare.
const CORE_INSTANCES_MAX: u32 = 8;

/// Tables of one store in the pool.
const TABLES_MAX: u32 = 4;

/// What native code depends on: wasmtime's version, the settings and the processor. Code of one fingerprint may be
/// loaded by any engine of the same.
pub(crate) fn fingerprint(engine: &Engine) -> [u8; 32] {
    let mut hasher = Fingerprint(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize().into()
}

/// A [`Hasher`] that keeps all bits: std's 64 would make a collision, which is a wrong artifact run, thinkable.
struct Fingerprint(Sha256);

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest: [u8; 32] = self.0.clone().finalize().into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allocator_does_not_change_code_but_bounds_checks_and_concurrency_do() {
        let of = |profile: Profile| fingerprint(&profile.engine().unwrap());
        assert_eq!(of(Profile::Request), of(Profile::Dense));
        assert_ne!(of(Profile::Dense), of(Profile::Guarded));
        assert_ne!(of(Profile::Dense), of(Profile::Preview3));
    }

    #[test]
    fn a_compiler_makes_code_for_its_engine() {
        for profile in Profile::ALL {
            assert_eq!(fingerprint(&profile.compiler().unwrap()), fingerprint(&profile.engine().unwrap()));
            assert_eq!(Profile::named(profile.name()), Some(profile));
        }
    }
}
