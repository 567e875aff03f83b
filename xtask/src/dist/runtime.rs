//! The release programs, and what is linked into them that is no crate.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, anyhow, bail};

use super::links::Links;
use crate::{cargo, workspace::Workspace};

/// A library that the compiler brings or finds, rather than cargo.
#[derive(Debug)]
pub struct Part {
    pub name: &'static str,
    pub version: String,
    pub license: &'static str,
    pub url: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linkage {
    /// With the C library of the machine that it runs on.
    Dynamic,
    /// With nothing, for images that have nothing. Not for machines: glibc linked statically
    /// loads what /etc/nsswitch.conf names, and where that is of another glibc, as it is one
    /// release later, looking up a name ends the program (SIGFPE).
    Static,
}

/// Builds the program with its default features, for the machine that this is.
///
/// It is position-independent either way. The folders of this machine are not in it, so that
/// others who build it get the same bytes from the same compiler.
pub fn build(workspace: &Workspace, linkage: Linkage) -> Result<PathBuf> {
    let host = rustc(workspace, "host")?;
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let home = home.context("where are cargo's sources? set CARGO_HOME")?;
    let sign = if linkage == Linkage::Static { '+' } else { '-' };
    let flags = [
        format!("-Ctarget-feature={sign}crt-static"),
        format!("--remap-path-prefix={}=/cargo", home.display()),
        format!("--remap-path-prefix={}=/tracer", workspace.root.display()),
    ];
    let mut command = cargo::stable(workspace);
    command.args(["build", "--release", "--locked", "--package", "tracer", "--target", &host]);
    // With a target of their own, flags are the program's and not those of build scripts.
    command.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    let path = cargo::executables_of(&mut command, "cargo build --release --package tracer")?
        .into_iter()
        .find(|executable| executable.name == "tracer")
        .map(|executable| executable.path)
        .ok_or_else(|| anyhow!("cargo built package tracer, but no program of that name"))?;
    let links = Links::of(&path)?;
    if links.is_static() != (linkage == Linkage::Static) {
        bail!("{}: {linkage:?} was asked for, and it is {:?}", path.display(), links.libraries);
    }
    // The next build takes its place.
    let kept = path.with_file_name(format!("tracer-{linkage:?}").to_lowercase());
    std::fs::copy(&path, &kept).with_context(|| format!("can't write {}", kept.display()))?;
    Ok(kept)
}

/// What is in the program beside crates.
pub fn parts(workspace: &Workspace, links: &Links) -> Result<Vec<Part>> {
    let mut parts = vec![Part {
        name: "rust-std",
        version: rustc(workspace, "release")?,
        license: "MIT OR Apache-2.0",
        url: "https://github.com/rust-lang/rust",
    }];
    if links.is_static() {
        let mut getconf = cargo::unsteered(Path::new("getconf"));
        let said = cargo::output_of(getconf.arg("GNU_LIBC_VERSION"))?;
        let version = said.trim().strip_prefix("glibc ");
        parts.push(Part {
            name: "glibc",
            version: version.context("this machine's C library is no glibc")?.to_owned(),
            license: "LGPL-2.1-or-later",
            url: "https://sourceware.org/git/glibc.git",
        });
    }
    Ok(parts)
}

/// A line of `rustc -vV`.
fn rustc(workspace: &Workspace, field: &str) -> Result<String> {
    // The one that cargo takes: beside it, or what the user has set.
    let beside = std::env::var_os("CARGO").map(|cargo| Path::new(&cargo).with_file_name("rustc"));
    let beside = beside.filter(|rustc| rustc.is_file()).map(PathBuf::into_os_string);
    let rustc = std::env::var_os("RUSTC").or(beside).unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    let text = cargo::output_of(command.arg("-vV").current_dir(&workspace.root))?;
    let prefix = format!("{field}: ");
    let line = text.lines().find_map(|line| line.strip_prefix(&prefix));
    line.map(str::to_owned).ok_or_else(|| anyhow!("rustc -vV has no line `{prefix}`"))
}
