//! The 32-bit ways in, from 64-bit code and from a true i386 program, x32, and the
//! numbers that look like them.

#![cfg(target_arch = "x86_64")]

use tempfile::TempDir;
use tests::skip::{require_root_bpf, skip};
use tests::tracer::{Traced, around};
use tests::{child, compat, hook};

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
    let group = "native_compat an_i386_program";
    let folder = TempDir::new().expect("a temporary folder");
    let program = match compat::program("TRACER_TEST_I386", folder.path(), "i386", &["cc", "-m32"])
    {
        Ok(program) => program,
        Err(error) => return skip(group, &format!("cc -m32 (gcc-multilib): {error}")),
    };
    if let Some(reason) = compat::obstacle(&program) {
        return skip(group, &reason);
    }
    compat::assert_exact(&program, folder.path(), 15);
}
