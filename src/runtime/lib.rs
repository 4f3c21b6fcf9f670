//! The only place that knows wasmtime
