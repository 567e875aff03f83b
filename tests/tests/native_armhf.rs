//! Calls of 32-bit arm programs on an arm64 kernel.

#![cfg(target_arch = "aarch64")]

use tempfile::TempDir;
use tests::compat;
use tests::skip::{require_root_bpf, skip};

#[test]
fn an_armhf_program() {
    let group = "native_armhf an_armhf_program";
    if !require_root_bpf(group) {
        return;
    }
    let folder = TempDir::new().expect("a temporary folder");
    let cc = ["arm-linux-gnueabihf-gcc", "-static"];
    let program = match compat::program("TRACER_TEST_ARMHF", folder.path(), "armhf", &cc) {
        Ok(program) => program,
        Err(error) => return skip(group, &format!("no armhf compiler: {error}")),
    };
    if let Some(reason) = compat::obstacle(&program) {
        return skip(group, &reason);
    }
    compat::assert_exact(&program, folder.path(), 10);
}
