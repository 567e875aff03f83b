//! Any bytes for [`tracer_fuzz::filter`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tracer_fuzz::filter::run(bytes));
