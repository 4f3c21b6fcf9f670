//! Expressions: rules of custom kinds, and what admission policies run.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| api::laws::cel(bytes));
