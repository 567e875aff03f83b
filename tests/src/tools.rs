//! What tests find on the machine: programs of other people, and how fast it is.

use std::path::{Path, PathBuf};

use crate::child;

/// A program in PATH, or in the folders that root has in it and others do not.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(usual)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Whether this machine is emulated, and slower than any real one: the runner says so
/// by `TRACER_TEST_SLOW`.
pub fn is_slow() -> bool {
    std::env::var_os("TRACER_TEST_SLOW").is_some()
}

/// Compiles a C program; an error is what the compiler said.
pub fn compile(source: &Path, program: &Path, options: &[&str]) -> Result<(), String> {
    compile_by("cc", source, program, options)
}

/// The same with another compiler than the system's own.
pub fn compile_by(cc: &str, source: &Path, program: &Path, options: &[&str]) -> Result<(), String> {
    let Some(cc) = find(cc) else { return Err(format!("no C compiler ({cc})")) };
    let paths = [source, program].map(|path| path.to_str().expect("a path in UTF-8"));
    let args = [options, &["-O2", paths[0], "-o", paths[1]]].concat();
    let finished = child::run(cc, &args);
    if finished.status.success() { Ok(()) } else { Err(finished.stderr) }
}
