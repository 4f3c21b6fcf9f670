//! Objects in Kubernetes' protobuf.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| api::laws::protobuf(bytes));
