//! JSON patches, merge patches and strategic merge patches.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| api::laws::patches(bytes));
