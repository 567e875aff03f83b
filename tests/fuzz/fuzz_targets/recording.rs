//! Any bytes for [`tracer_fuzz::recording`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tracer_fuzz::recording::run(bytes));
