//! What guests run, built statically: guests have no libraries.

use std::path::PathBuf;

use anyhow::{Result, anyhow};

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
    /// A true 32-bit program, where one can be built.
    pub compat: Option<PathBuf>,
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
        command.args(args).args(["--locked", "--profile", "guest", "--target", arch.target]);
        // What these bring is built by a C compiler, which there is for this machine only.
        command.arg("--no-default-features");
        command.arg("--target-dir").arg(&target_dir);
        cargo::executables_of(&mut command, &format!("cargo {} for guests", args.join(" ")))
    };
    let find = |executables: &[Executable], name: &str| {
        let found = executables.iter().find(|executable| executable.name == name);
        found.map(|e| e.path.clone()).ok_or_else(|| anyhow!("cargo built no program {name}"))
    };
    let tracer = built(&["build", "--package", "tracer"])?;
    let tests = built(&["test", "--no-run", "--package", "tests", "--test", "native"])?;
    let compat = arch.compat.build(workspace, &target_dir);
    let skip = |error| {
        let what = format!("guest {}", arch.compat.test());
        left_out.push(Skip::new(what, format!("{error:#}")));
    };
    let compat = compat.map_err(skip).ok();
    Ok(Programs {
        tracer: find(&tracer, "tracer")?,
        workload: find(&tests, "workload")?,
        init: find(&tests, "guest-init")?,
        native: find(&tests, "native")?,
        compat,
    })
}
