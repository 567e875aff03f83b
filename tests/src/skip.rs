//! Tests that can't run here say so, by name.

use std::fs::OpenOptions;
use std::io::Write;

/// Says that a group of tests is skipped, on stdout and in the file that the
/// environment variable `TRACER_SKIPS` names.
pub fn skip(group: &str, reason: &str) {
    let line = format!("SKIP {group}: {reason}\n");
    print!("{line}");
    let Some(path) = std::env::var_os("TRACER_SKIPS") else { return };
    let file = OpenOptions::new().append(true).create(true).open(&path);
    let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
    written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Whether this is root, without which nothing can be attached.
pub fn is_root() -> bool {
    // SAFETY: no arguments.
    unsafe { libc::geteuid() == 0 }
}

/// Whether tests that attach can run; a named skip where not.
pub fn require_root_bpf(group: &str) -> bool {
    if !is_root() {
        skip(group, "not root, so nothing can be attached");
    }
    is_root()
}
