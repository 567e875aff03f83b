//! Builds the fuzz targets as cargo-fuzz would, without its sanitizers: the parsers
//! are safe Rust, and stable Rust has none.

use std::{
    env,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

use super::TARGETS;
use crate::{cargo, workspace::Workspace};

/// LLVM's coverage instrumentation, as libFuzzer wants it.
const FLAGS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    // Keeps branches apart that are alike in what they do, and not in what they mean.
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "--cfg=fuzzing",
];

/// Why libFuzzer can't be built here; none where it can.
pub fn lacks() -> Option<String> {
    let compiler = env::var_os("CXX").unwrap_or_else(|| "c++".into());
    let probe = || -> std::io::Result<bool> {
        let mut child = Command::new(&compiler)
            .args(["-std=c++17", "-x", "c++", "-fsyntax-only", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(b"#include <algorithm>\n#include <atomic>\n")?;
        }
        Ok(child.wait()?.success())
    };
    match probe() {
        Ok(true) => None,
        Ok(false) => Some(format!(
            "libFuzzer is C++17, which {} does not compile: install g++",
            compiler.display()
        )),
        Err(error) => Some(format!(
            "libFuzzer takes a C++ compiler: {}: {error}: install g++",
            compiler.display()
        )),
    }
}

/// Builds the targets; returns the program of each.
pub fn build(workspace: &Workspace) -> Result<Vec<(&'static str, PathBuf)>> {
    let host = host(workspace)?;
    let mut command = cargo::stable(workspace);
    command
        .args(["build", "--locked", "--profile", "fuzz", "--package", "tracer-fuzz", "--bins"])
        // Named, so that build scripts and macros are not instrumented.
        .args(["--target", &host])
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"));
    let built = cargo::executables_of(&mut command, "cargo build --package tracer-fuzz")?;
    let programs = TARGETS.iter().filter_map(|target| {
        let program = built.iter().find(|program| program.name == target.name)?;
        Some((target.name, program.path.clone()))
    });
    Ok(programs.collect())
}

/// The machine that cargo runs on, as a target.
fn host(workspace: &Workspace) -> Result<String> {
    let version = cargo::output_of(cargo::stable(workspace).arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("cargo -vV names no host")?.to_owned())
}
