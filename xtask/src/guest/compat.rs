//! A true 32-bit program for the guests of an architecture, from `tests/c/compat.c`.
//!
//! Debian's armhf cross-gcc can't be installed beside gcc-multilib, which the native
//! tests need, so where it is not installed it is unpacked in the cache. What it
//! assembles, links and includes with is installed.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, anyhow, bail};

use super::{
    apt::{Apt, Candidate},
    table::{ARM64, X86_64},
    toolchain::codename,
};
use crate::{
    cargo,
    workspace::{Workspace, cache_dir, on_path},
};

/// Where Debian's cross packages have the headers and libraries of armhf.
const ARMHF: &str = "/usr/arm-linux-gnueabihf";
const GCC: &str = "arm-linux-gnueabihf-gcc";

/// The 32-bit ABI that kernels of an architecture also take calls of.
#[derive(Debug, Clone, Copy)]
pub enum Compat {
    I386,
    Armhf,
}

impl Compat {
    /// The program's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::I386 => "i386",
            Self::Armhf => "armhf",
        }
    }

    /// What tells tests where the program is.
    pub fn variable(self) -> &'static str {
        match self {
            Self::I386 => "TRACER_TEST_I386",
            Self::Armhf => "TRACER_TEST_ARMHF",
        }
    }

    /// The test that runs it.
    pub fn test(self) -> &'static str {
        match self {
            Self::I386 => "an_i386_program",
            Self::Armhf => "an_armhf_program",
        }
    }

    /// Builds the program in a folder; an error says what is missing.
    pub fn build(self, workspace: &Workspace, folder: &Path) -> Result<PathBuf> {
        fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
        let program = folder.join(self.name());
        let mut command = match self {
            Self::I386 => {
                let mut command = Command::new("cc");
                command.arg("-m32");
                command
            }
            Self::Armhf => Command::new(armhf_gcc().context("no armhf compiler")?),
        };
        command.args(["-static", "-O2", "-Wall", "-o"]).arg(&program);
        command.arg(workspace.root.join("tests/c/compat.c"));
        let context = match self {
            Self::I386 => "no static i386 program (gcc-multilib)",
            Self::Armhf => "no static armhf program (libc6-dev-armhf-cross)",
        };
        cargo::output_of(&mut command).context(context)?;
        Ok(program)
    }
}

/// The installed compiler, or Debian's in the cache.
fn armhf_gcc() -> Result<PathBuf> {
    if let Some(gcc) = on_path(GCC) {
        return Ok(gcc);
    }
    on_path("arm-linux-gnueabihf-ld")
        .filter(|_| Path::new(ARMHF).join("lib/libc.a").is_file())
        .ok_or_else(|| {
            anyhow!(
                "binutils-arm-linux-gnueabihf or libc6-dev-armhf-cross is not installed: \
                 `cargo xtask setup`"
            )
        })?;
    let release = fs::read_to_string("/etc/os-release").context("no /etc/os-release")?;
    let release = codename(&release).ok_or_else(|| anyhow!("which Debian is this?"))?;
    // The compiler uses libraries of the release.
    let folder = cache_dir()?.join(format!("cross/armhf-{release}"));
    if !folder.is_dir() {
        unpack(release, &folder)?;
    }
    Ok(folder.join(GCC))
}

/// Fills the folder in one step: it is complete, or not there.
fn unpack(release: &str, folder: &Path) -> Result<()> {
    let host = [&X86_64, &ARM64].into_iter().find(|arch| arch.name == std::env::consts::ARCH);
    let host = host.ok_or_else(|| anyhow!("no cross-gcc for {}", std::env::consts::ARCH))?;
    let apt = Apt::open(&cache_dir()?.join("kernels"), release, host.debian)?;
    let parent = folder.parent().ok_or_else(|| anyhow!("no folder for the cross-compiler"))?;
    fs::create_dir_all(parent).with_context(|| format!("can't make {}", parent.display()))?;
    let unpacked = tempfile::tempdir_in(parent)?;
    let gcc = apt.candidate("gcc-arm-linux-gnueabihf", Some("gcc-"))?;
    let Some(number) = number(&gcc.package) else {
        bail!("{} is not a gcc of a version", gcc.package);
    };
    // All from one source package, with one version.
    for package in [
        gcc.package.clone(),
        format!("cpp-{number}-arm-linux-gnueabihf"),
        format!("libgcc-{number}-dev-armhf-cross"),
    ] {
        apt.unpack(&Candidate { package, version: gcc.version.clone() }, unpacked.path())?;
    }
    let program = unpacked.path().join(GCC);
    fs::write(&program, script(folder, number))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    fs::set_permissions(unpacked.path(), fs::Permissions::from_mode(0o755))?;
    fs::rename(unpacked.keep(), folder).with_context(|| format!("can't fill {}", folder.display()))
}

/// `12` of `gcc-12-arm-linux-gnueabihf`.
fn number(package: &str) -> Option<&str> {
    let number = package.strip_prefix("gcc-")?.strip_suffix("-arm-linux-gnueabihf")?;
    Some(number).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The compiler finds its own parts from where it lies, and is told where the
/// installed assembler, linker, headers and libraries are.
fn script(folder: &Path, number: &str) -> String {
    format!(
        "#!/bin/sh\nexec '{}/usr/bin/{GCC}-{number}' -B/usr/bin/arm-linux-gnueabihf- \
         -B{ARMHF}/lib -L{ARMHF}/lib -isystem {ARMHF}/include \"$@\"\n",
        folder.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compilers_number() {
        assert_eq!(number("gcc-12-arm-linux-gnueabihf"), Some("12"));
        assert_eq!(number("gcc-arm-linux-gnueabihf"), None);
        assert_eq!(number("gcc-x-arm-linux-gnueabihf"), None);
    }

    #[test]
    fn the_unpacked_compiler_uses_what_is_installed() {
        let script = script(Path::new("/c/x y"), "12");
        assert!(script.contains("exec '/c/x y/usr/bin/arm-linux-gnueabihf-gcc-12' "), "{script}");
        assert!(script.contains(" -isystem /usr/arm-linux-gnueabihf/include \"$@\"\n"), "{script}");
    }
}
