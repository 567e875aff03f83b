//! bpf-linker, built with the compiler and the LLVM that build the object.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::packages::{LLVM, LLVM_PREFIX};
use crate::{cargo, workspace::tools_dir};

pub const VERSION: &str = "0.13.0";

/// Where [`install`] puts it.
pub fn path() -> Result<PathBuf> {
    Ok(tools_dir()?.join("bin/bpf-linker"))
}

/// Whether a linker of the right version is there and finds its libraries.
pub fn is_built() -> bool {
    path().is_ok_and(|linker| version(&linker).is_ok_and(|said| said == expected()))
}

pub fn expected() -> String {
    format!("bpf-linker {VERSION}")
}

/// What `bpf-linker --version` says.
pub fn version(linker: &Path) -> Result<String> {
    Ok(cargo::output_of(cargo::unsteered(linker).arg("--version"))?.trim().to_owned())
}

/// Builds it from source, into the folder that all clones share.
pub fn install() -> Result<()> {
    let tools = tools_dir()?;
    println!("setup: building bpf-linker {VERSION} into {} (one to two minutes)", tools.display());
    let mut command = cargo::unsteered(Path::new("/usr/bin/cargo"));
    command
        .args(["install", "bpf-linker", "--version", VERSION, "--locked", "--quiet", "--force"])
        .args(["--no-default-features", "--features", &format!("llvm-{LLVM}"), "--root"])
        .arg(&tools)
        // By full path: a rustup proxy usually comes first in PATH.
        .env("RUSTC", "/usr/bin/rustc")
        .env("LLVM_PREFIX", LLVM_PREFIX)
        .env("RUSTFLAGS", format!("-L {LLVM_PREFIX}/lib"));
    cargo::succeed(&mut command, "cargo install bpf-linker")?;
    let said = version(&path()?).context("the bpf-linker just built does not run")?;
    println!("setup: {said} built");
    Ok(())
}
