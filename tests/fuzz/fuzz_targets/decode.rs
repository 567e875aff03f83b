//! Any bytes for [`tracer_fuzz::decode`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tracer_fuzz::decode::run(bytes));
