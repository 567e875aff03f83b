//! rustfmt and clippy of the caller's stable toolchain.

use std::process::{Command, Stdio};

use anyhow::{Result, anyhow};

use crate::{cargo, workspace::Workspace, workspace::on_path};

/// rustup's component and the cargo command that it brings.
pub const COMPONENTS: &[(&str, &str)] = &[("rustfmt", "fmt"), ("clippy", "clippy")];

/// Whether `cargo <command>` is there.
pub fn has(workspace: &Workspace, command: &str) -> bool {
    cargo::stable(workspace)
        .args([command, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The way to get a component, for messages.
pub fn how_to_get(component: &str) -> String {
    format!("{component} is not installed: `rustup component add {component}`")
}

/// Adds a component to the toolchain that rustup chose for this call.
pub fn add(workspace: &Workspace, component: &str) -> Result<()> {
    let rustup = on_path("rustup").ok_or_else(|| anyhow!("{}", how_to_get(component)))?;
    println!("setup: rustup component add {component}");
    cargo::succeed(
        Command::new(rustup).args(["component", "add", component]).current_dir(&workspace.root),
        "rustup component add",
    )
}
