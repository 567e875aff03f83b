//! The compiler for guests' programs: the caller's own for this architecture, and for
//! others Debian's, with what Debian has for the target.
//!
//! A cross-gcc can't be installed beside gcc-multilib, which the native tests need, so
//! the linker is called directly. The target's libraries are unpacked in the cache.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, anyhow, bail};

use super::{
    apt::{Apt, Candidate},
    table::Arch,
};
use crate::{
    cargo,
    setup::apt,
    workspace::{Workspace, cache_dir, on_path},
};

const CARGO: &str = "/usr/bin/cargo";
const RUSTC: &str = "/usr/bin/rustc";

pub enum Toolchain {
    Native,
    Cross { sysroot: PathBuf, linker: PathBuf },
}

impl Toolchain {
    /// The one for `arch`; an error says what is missing.
    pub fn find(arch: &Arch) -> Result<Self> {
        if std::env::consts::ARCH == arch.name {
            return Ok(Self::Native);
        }
        let Some(ld) = arch.cross_ld else {
            bail!("building for {} on {} is not set up", arch.name, std::env::consts::ARCH);
        };
        on_path(ld).ok_or_else(|| anyhow!("{ld} is not installed: `cargo xtask setup`"))?;
        for program in [CARGO, RUSTC] {
            if !Path::new(program).is_file() {
                bail!("{program} is not installed: `cargo xtask setup`");
            }
        }
        let version = apt::version("rustc-web").context("no package rustc-web")?;
        let folder = cache_dir()?.join(format!("cross/{}-{version}", arch.debian));
        if !folder.is_dir() {
            unpack(arch, ld, version, &folder)?;
        }
        Ok(Self::Cross { sysroot: folder.join("usr"), linker: folder.join("ld") })
    }

    /// A cargo that makes static programs.
    pub fn cargo(&self, workspace: &Workspace) -> Command {
        let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
        let mut command = match self {
            Self::Native => cargo::stable(workspace),
            Self::Cross { sysroot, linker } => {
                flags.push(format!("--sysroot={}", sysroot.display()));
                flags.push(format!("-Clinker={}", linker.display()));
                flags.push("-Clinker-flavor=ld".to_owned());
                // The start files that the linker adds are those of such programs.
                flags.push("-Crelocation-model=static".to_owned());
                let mut command = cargo::unsteered(Path::new(CARGO));
                command.current_dir(&workspace.root).env("RUSTC", RUSTC);
                command
            }
        };
        // Takes precedence over all other places for flags.
        command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
        command
    }
}

/// Fills the folder in one step: it is complete, or not there.
fn unpack(arch: &Arch, ld: &str, version: String, folder: &Path) -> Result<()> {
    let release = fs::read_to_string("/etc/os-release").context("no /etc/os-release")?;
    let release = codename(&release).ok_or_else(|| anyhow!("which Debian is this?"))?;
    let apt = Apt::open(&cache_dir()?.join("kernels"), release, arch.debian)?;
    let parent = folder.parent().ok_or_else(|| anyhow!("no folder for the cross-compiler"))?;
    fs::create_dir_all(parent).with_context(|| format!("can't make {}", parent.display()))?;
    let unpacked = tempfile::tempdir_in(parent)?;
    let gcc = apt.candidate("gcc", Some("gcc-"))?.package;
    // The same version as the compiler's, or it refuses the libraries.
    let std = Candidate { package: "libstd-rust-web-dev".to_owned(), version };
    let libc = apt.candidate("libc6-dev", None)?;
    let libgcc = apt.candidate(&format!("lib{gcc}-dev"), None)?;
    for candidate in [std, libc, libgcc] {
        apt.unpack(&candidate, unpacked.path())?;
    }
    let linker = unpacked.path().join("ld");
    let gcc_version = gcc.trim_start_matches("gcc-");
    fs::write(&linker, script(ld, folder, arch.name, gcc_version))?;
    fs::set_permissions(&linker, fs::Permissions::from_mode(0o755))?;
    fs::set_permissions(unpacked.path(), fs::Permissions::from_mode(0o755))?;
    fs::rename(unpacked.keep(), folder).with_context(|| format!("can't fill {}", folder.display()))
}

/// What gcc adds to a static program, around the linker's other arguments.
fn script(ld: &str, folder: &Path, arch: &str, gcc: &str) -> String {
    let usr = folder.join("usr/lib");
    let usr = usr.display();
    format!(
        "#!/bin/sh\nL='{usr}/{arch}-linux-gnu'\nG='{usr}/gcc/{arch}-linux-gnu/{gcc}'\n\
         exec {ld} \"$L/crt1.o\" \"$L/crti.o\" \"$@\" -L\"$L\" -L\"$G\" \
         --start-group -lc -lgcc -lgcc_eh --end-group \"$L/crtn.o\"\n"
    )
}

pub fn codename(os_release: &str) -> Option<&str> {
    let value = os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(value.trim_matches('"')).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_of_this_machine() {
        assert_eq!(codename("ID=debian\nVERSION_CODENAME=bookworm\n"), Some("bookworm"));
        assert_eq!(codename("ID=arch\n"), None);
    }

    #[test]
    fn the_linker_gets_start_files_first() {
        let script = script("aarch64-linux-gnu-ld", Path::new("/c/x y"), "aarch64", "12");
        assert!(script.contains("L='/c/x y/usr/lib/aarch64-linux-gnu'\n"), "{script}");
        assert!(script.contains("exec aarch64-linux-gnu-ld \"$L/crt1.o\""), "{script}");
    }
}
