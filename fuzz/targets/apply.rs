//! Server-side apply of several managers to objects of builtin and custom kinds.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| api::laws::apply(bytes));
