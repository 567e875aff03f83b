//! What guests run, built statically: guests have no libraries.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, anyhow};

use super::{Arch, toolchain::Toolchain};
use crate::{
    cargo::{self, Executable},
    skip::Skip,
    workspace::Workspace,
};

/// Programs for the guests of one architecture.
pub struct Programs {
    pub tracer: PathBuf,
    /// Tests start it by the path at which it was built.
    pub workload: PathBuf,
    pub init: PathBuf,
    /// The test program.
    pub native: PathBuf,
    /// A true i386 program (x86-64 only), where one can be built.
    pub i386: Option<PathBuf>,
}

/// Builds everything in a target folder of its own, since other flags would make
/// cargo build everything anew in the usual one.
pub fn build(
    workspace: &Workspace,
    arch: &Arch,
    toolchain: &Toolchain,
    left_out: &mut Vec<Skip>,
) -> Result<Programs> {
    let target_dir = workspace.target_dir().join("guest");
    let built = |args: &[&str]| {
        let mut command = toolchain.cargo(workspace);
        command.args(args).args(["--locked", "--release", "--target", arch.target, "--target-dir"]);
        command.arg(&target_dir);
        cargo::executables_of(&mut command, &format!("cargo {} for guests", args.join(" ")))
    };
    let find = |executables: &[Executable], name: &str| {
        let found = executables.iter().find(|executable| executable.name == name);
        found.map(|e| e.path.clone()).ok_or_else(|| anyhow!("cargo built no program {name}"))
    };
    let tracer = built(&["build", "--package", "tracer"])?;
    let tests = built(&["test", "--no-run", "--package", "tests", "--test", "native"])?;
    let i386 = arch.i386.then(|| i386(workspace, &target_dir)).transpose();
    let i386 = i386.unwrap_or_else(|error| {
        left_out.push(Skip::new("guest an_i386_program", format!("{error:#}")));
        None
    });
    Ok(Programs {
        tracer: find(&tracer, "tracer")?,
        workload: find(&tests, "workload")?,
        init: find(&tests, "guest-init")?,
        native: find(&tests, "native")?,
        i386,
    })
}

fn i386(workspace: &Workspace, target_dir: &Path) -> Result<PathBuf> {
    let program = target_dir.join("i386");
    fs::create_dir_all(target_dir)
        .with_context(|| format!("can't make {}", target_dir.display()))?;
    let mut command = Command::new("cc");
    command.args(["-m32", "-static", "-O2", "-Wall", "-o"]).arg(&program);
    command.arg(workspace.root.join("tests/c/i386.c"));
    cargo::output_of(&mut command).context("no static i386 program (gcc-multilib)")?;
    Ok(program)
}
