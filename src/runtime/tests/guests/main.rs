//! Guests, well-behaved and hostile, run by the runtime as the kubelet would. One binary, because each links wasmtime.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails where it stands")]

mod commands;
mod hostile;
mod http;
mod loading;
mod preview3;
mod support;
