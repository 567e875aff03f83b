//! What goes to stderr.

use std::{fmt, io::Write};

use log::LevelFilter;

use super::args::Output;

/// Sets up the log as the options say.
pub fn init(output: &Output) {
    let level = match (output.quiet, output.log_level, output.verbose) {
        (true, ..) => LevelFilter::Error,
        (_, Some(level), _) => level,
        (_, _, 0) => LevelFilter::Warn,
        (_, _, 1) => LevelFilter::Info,
        (_, _, 2) => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    };
    // At debug level aya prints every relocation.
    env_logger::Builder::new()
        .filter_level(level.min(LevelFilter::Warn))
        .filter_module("tracer", level)
        .format(|buffer, record| {
            writeln!(buffer, "tracer: {}: {}", level_name(record.level()), record.args())
        })
        .init();
}

fn level_name(level: log::Level) -> &'static str {
    match level {
        log::Level::Error => "error",
        log::Level::Warn => "warning",
        log::Level::Info => "info",
        log::Level::Debug => "debug",
        log::Level::Trace => "trace",
    }
}

/// Writes a line to stderr; there is nobody to tell if that fails.
pub fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "tracer: {line}");
}
