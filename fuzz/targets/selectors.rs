//! Label selectors and field selectors.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| api::laws::selectors(bytes));
