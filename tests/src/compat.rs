//! True 32-bit programs, made from `c/compat.c`.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::skip::{require_root_bpf, skip};
use crate::tools;
use crate::tracer::{Traced, around_command};

/// A true 32-bit program's calls by one of the numbers: `cc` makes it, or it has been
/// made before, as the environment variable says.
pub fn check(test: &str, way: &str, variable: &str, cc: &[&str]) {
    if !require_root_bpf(test) {
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    let program = match program(variable, folder.path(), "compat", cc) {
        Ok(program) => program,
        Err(error) => return skip(test, &format!("{}: {error}", cc.join(" "))),
    };
    match obstacle(&program) {
        Some(reason) => skip(test, &reason),
        None => assert_exact(&program, folder.path(), way),
    }
}

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

/// Traces the program, which makes its calls by one number, and compares each with
/// exactly one event.
fn assert_exact(program: &Path, folder: &Path, way: &str) {
    let truth = folder.join("truth");
    let [path, to] = [program, &truth].map(|path| path.to_str().expect("a path in UTF-8"));
    let (stream, finished) = around_command(&[], &[path, to, way]);
    let mut traced = Traced::new(&truth, stream, finished);
    assert_eq!(traced.truth.len(), 5, "five calls");
    for call in &mut traced.truth {
        call["process"]["exe"] = path.into();
    }
    traced.assert_exact();
}
