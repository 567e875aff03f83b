//! The 32-bit ways in, from 64-bit code and from a true i386 program, x32, and the
//! numbers that look like them.

#![cfg(target_arch = "x86_64")]

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tests::skip::{require_root_bpf, skip};
use tests::tracer::{Traced, around, around_command, read_truth};
use tests::{child, hook, tools};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

/// Runs a scenario and compares every call with exactly one event.
fn exact(scenario: &[&str]) -> Option<Traced> {
    if !require_root_bpf("native_compat") {
        return None;
    }
    if !child::run(WORKLOAD, &["probe-int80"]).status.success() {
        skip("native_compat", "this kernel has no int $0x80");
        return None;
    }
    let traced = around(WORKLOAD, &[], scenario);
    traced.assert_exact();
    Some(traced)
}

#[test]
fn recvmmsg_time32_by_int80() {
    exact(&["time32"]);
}

#[test]
fn recvmmsg_time64_by_int80() {
    exact(&["time64"]);
}

#[test]
fn socketcall_by_int80() {
    exact(&["socketcall"]);
}

#[test]
fn socketcall_without_its_arguments() {
    exact(&["socketcall-fault"]);
}

#[test]
fn x32_attempts_are_events() {
    if hook::on_functions() {
        return skip("native_compat", "kernels without x32 have no function for its calls");
    }
    exact(&["x32"]);
}

/// Numbers of another ABI are never taken for recvmmsg's: one event, the true call.
#[test]
fn numbers_are_never_confused() {
    if let Some(traced) = exact(&["confusion"]) {
        assert_eq!(traced.stream.events.len(), 1, "{:#?}", traced.stream.events);
    }
}

#[test]
fn an_i386_program() {
    if !require_root_bpf("native_compat") {
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
        skip("native_compat an_i386_program", &format!("cc -m32 (gcc-multilib): {first}"));
        return;
    }
    let truth = folder.path().join("truth");
    let command = [&program, &truth].map(|path| path.to_str().expect("a path in UTF-8"));
    let (stream, finished) = around_command(&[], &command);
    let mut truth = read_truth(&truth);
    assert_eq!(truth.len(), 15, "five calls by three numbers");
    for call in &mut truth {
        call["process"]["exe"] = program.to_str().into();
    }
    let traced = Traced { truth, stream, finished };
    traced.assert_exact();
}
