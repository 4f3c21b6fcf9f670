//! Guests, well-behaved and hostile, run by the runtime as the kubelet would. One binary, because each links wasmtime.

mod commands;
mod hostile;
mod http;
mod loading;
mod support;
