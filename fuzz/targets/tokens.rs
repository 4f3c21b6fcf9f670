//! The tokens of pages.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| api::laws::tokens(bytes));
