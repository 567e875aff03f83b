//! True 32-bit programs, made from `c/compat.c`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tools;
use crate::tracer::{Traced, around_command, read_truth};

/// The program that the environment variable names (guests have no compiler; theirs
/// is built before), or one that is compiled in `folder` and called `name`.
pub fn program(variable: &str, folder: &Path, name: &str, cc: &[&str]) -> Result<PathBuf, String> {
    if let Some(built) = std::env::var_os(variable) {
        return Ok(built.into());
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("c/compat.c");
    let program = folder.join(name);
    let options = [&cc[1..], &["-Wall", "-Werror"]].concat();
    match tools::compile_by(cc[0], &source, &program, &options) {
        Ok(()) => Ok(program),
        Err(error) => {
            Err(error.lines().find(|line| line.contains("rror")).unwrap_or(&error).to_owned())
        }
    }
}

/// Why this kernel or processor does not run the program; None where it does.
pub fn obstacle(program: &Path) -> Option<String> {
    // Without an argument it makes no call.
    let error = Command::new(program).output().err()?;
    let program = program.display();
    assert_eq!(error.raw_os_error(), Some(libc::ENOEXEC), "{program}: {error}");
    Some(format!("this kernel does not run {program}: {error}"))
}

/// Traces the program and compares each of its calls with exactly one event.
pub fn assert_exact(program: &Path, folder: &Path, calls: usize) {
    let truth = folder.join("truth");
    let command = [program, &truth].map(|path| path.to_str().expect("a path in UTF-8"));
    let (stream, finished) = around_command(&[], &command);
    let mut truth = read_truth(&truth);
    assert_eq!(truth.len(), calls, "five calls by each number");
    for call in &mut truth {
        call["process"]["exe"] = program.to_str().into();
    }
    Traced { truth, stream, finished }.assert_exact();
}
