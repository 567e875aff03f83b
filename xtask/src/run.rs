//! `cargo xtask run -- ARGS`: build the tracer as the caller, run it as root.

use std::{ffi::OsString, os::unix::process::CommandExt as _, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, anyhow};

use crate::{
    cargo,
    privilege::Privilege,
    setup::{apt, packages},
    skip::Skip,
    workspace::Workspace,
};

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

/// The feature of package tracer that tests build, and what is left out where this machine
/// can't build all destinations.
pub fn features() -> Result<(&'static str, Option<Skip>)> {
    let lacking = apt::missing(packages::KAFKA)?;
    if lacking.is_empty() {
        return Ok(("full", None));
    }
    let names: Vec<_> = lacking.iter().map(|package| package.name).collect();
    let reason = format!("{} not installed: librdkafka can't be built", names.join(", "));
    Ok(("most", Some(Skip::new("feature kafka", reason))))
}

/// Builds the release tracer and returns where it is.
pub fn build(workspace: &Workspace, features: &[&str]) -> Result<PathBuf> {
    let build = ["build", "--release", "--locked", "--package", "tracer"];
    cargo::build(workspace, &[&build, features].concat())?
        .into_iter()
        .find(|executable| executable.name == "tracer")
        .map(|executable| executable.path)
        .ok_or_else(|| anyhow!("cargo built package tracer, but no program of that name"))
}
