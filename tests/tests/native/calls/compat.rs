//! The 32-bit ways in, from 64-bit code and from a true i386 program, and x32. Each
//! number has a module of its own, by which results are counted.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tests::skip::{require_root_bpf, skip};
use tests::tracer::{Traced, around_command, read_truth};
use tests::{child, tools};

use crate::WORKLOAD;

/// Runs a scenario of `int $0x80` and compares every call with exactly one event.
fn exact(module: &str, scenario: &str) {
    if child::run(WORKLOAD, &["probe-int80"]).status.success() {
        super::exact(&[scenario]);
    } else {
        skip(module, "this kernel has no int $0x80");
    }
}

/// A true i386 program's calls by one of the numbers.
fn i386_program(module: &str, way: &str) {
    let test = format!("{module}::an_i386_program");
    if !require_root_bpf(&test) {
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("c/i386.c");
    // Guests have no compiler; theirs is built before.
    let built = std::env::var_os("TRACER_TEST_I386").map(PathBuf::from);
    let program = built.clone().unwrap_or_else(|| folder.path().join("i386"));
    let options = ["-m32", "-Wall", "-Werror"];
    if built.is_none()
        && let Err(error) = tools::compile(&source, &program, &options)
    {
        let first = error.lines().find(|line| line.contains("rror")).unwrap_or(&error).to_owned();
        return skip(&test, &format!("cc -m32 (gcc-multilib): {first}"));
    }
    let truth = folder.path().join("truth");
    let [path, truth_path] = [&program, &truth].map(|path| path.to_str().expect("a path in UTF-8"));
    let (stream, finished) = around_command(&[], &[path, truth_path, way]);
    let mut truth = read_truth(&truth);
    assert_eq!(truth.len(), 5, "five calls");
    for call in &mut truth {
        call["process"]["exe"] = path.into();
    }
    Traced { truth, stream, finished }.assert_exact();
}

mod time32 {
    #[test]
    fn by_int80() {
        super::exact(module_path!(), "time32");
    }

    #[test]
    fn restarted_is_one_call() {
        super::exact(module_path!(), "restarted-time32");
    }

    #[test]
    fn an_i386_program() {
        super::i386_program(module_path!(), "time32");
    }
}

mod time64 {
    #[test]
    fn by_int80() {
        super::exact(module_path!(), "time64");
    }

    #[test]
    fn restarted_is_one_call() {
        super::exact(module_path!(), "restarted-time64");
    }

    #[test]
    fn an_i386_program() {
        super::i386_program(module_path!(), "time64");
    }
}

mod socketcall {
    #[test]
    fn by_int80() {
        super::exact(module_path!(), "socketcall");
    }

    #[test]
    fn without_its_arguments() {
        super::exact(module_path!(), "socketcall-fault");
    }

    #[test]
    fn restarted_is_one_call() {
        super::exact(module_path!(), "restarted-socketcall");
    }

    #[test]
    fn an_i386_program() {
        super::i386_program(module_path!(), "socketcall");
    }
}

mod x32 {
    use tests::{hook, skip::skip};

    #[test]
    fn attempts_are_events() {
        if hook::on_functions() {
            return skip(module_path!(), "kernels without x32 have no function for its calls");
        }
        super::super::exact(&["x32"]);
    }
}
