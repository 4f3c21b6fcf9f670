//! The only place that knows wasmtime: engines, the code cache, sandboxes and their limits, WASI, http serving.
//!
//! This floor must never know a Kubernetes object, read arguments or environment, or let a type of wasmtime out. Its
//! callers hand in a `.wasm` file with its digest and a [`SandboxSpec`], and get a [`Sandbox`] that says why it ended.
//!
//! Reading order: `runtime` (the handle), `profiles` (engine settings and their reasons), `code` (compiled, cached,
//! linked, and what may be imported), `mappings` (what guests may take of the process's own), `threads` (who polls
//! guests, and when), `sandbox` (one guest's life, limits, streams, mounts, http).
//!
//! # Why
//! - Guests have threads and a run queue of our own instead of tokio's, because tokio's workers know neither weights
//!   nor debts of CPU time, and a guest must not take a turn from the API.
//! - Output goes through bounded pipes, because a log on a slow disk may hold up its own guest and nobody else.
//! - An artifact's checksum is in its file's name, so that the file can be mapped as it is.

mod code;
pub mod cost;
mod mappings;
mod profiles;
mod runtime;
mod sandbox;
mod threads;

pub use code::cache::Error as CacheError;
pub use code::compiler::{Compiler, Error as CompileError, compile_main};
pub use code::imports::offered_imports;
pub use code::{Code, Kind, LoadError};
pub use mappings::NoMappings;
pub use profiles::Profile;
pub use runtime::{Error, Metrics, Options, Runtime};
pub use sandbox::{
    Access, CONNECTIONS_MAX, Discard, Exit, HttpOptions, Limits, MEMORY_MAX, Mount, OutputSink, Reader, Sandbox,
    SandboxSpec, StartError, TRAP_TEXT_MAX, Usage, Writer, pipe,
};

/// The wasmtime that runs guests; `tests/tidy.rs` holds it against `Cargo.lock`.
pub const WASMTIME_VERSION: &str = "48.0.8";
