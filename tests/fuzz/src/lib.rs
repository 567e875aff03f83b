//! What each fuzz target does with an input: parse it, go on with what was accepted,
//! and check what must hold of the outcome. A panic is a find.
//!
//! The targets in `fuzz_targets` hand libFuzzer's inputs to these functions; the tests
//! `corpus` and `properties` of package `tracer` include this file as a module, and so
//! run the same code on stable Rust, without libFuzzer.

pub mod control;
pub mod decode;
pub mod filter;
pub mod record;
pub mod recording;
pub mod repair;
pub mod seeds;

/// A target: its name, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("record", record::run),
    ("decode", decode::run),
    ("control", control::run),
    ("filter", filter::run),
    ("recording", recording::run),
];
