//! `cargo xtask run -- ARGS`: build the tracer as the caller, run it as root.

use std::{ffi::OsString, os::unix::process::CommandExt as _, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, anyhow};

use crate::{cargo, privilege::Privilege, workspace::Workspace};

pub fn main(workspace: &Workspace, args: &[OsString]) -> Result<ExitCode> {
    // First, so that nobody waits for a build that can't be used.
    let privilege = Privilege::find()?;
    let tracer = build(workspace, &[])?;
    let mut command = privilege.command(&tracer, &[]);
    cargo::restore_environment(&mut command, workspace);
    // Replaces this process: signals, the terminal and the exit status are the tracer's own.
    let error = command.args(args).exec();
    Err(error).with_context(|| format!("can't run {}", command.get_program().display()))
}

/// What tests have beyond what everybody has: all destinations.
pub const FULL: &[&str] = &["--features", "full"];

/// Builds the release tracer and returns where it is.
pub fn build(workspace: &Workspace, features: &[&str]) -> Result<PathBuf> {
    let build = ["build", "--release", "--locked", "--package", "tracer"];
    cargo::build(workspace, &[&build, features].concat())?
        .into_iter()
        .find(|executable| executable.name == "tracer")
        .map(|executable| executable.path)
        .ok_or_else(|| anyhow!("cargo built package tracer, but no program of that name"))
}
