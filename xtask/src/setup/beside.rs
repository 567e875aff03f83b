//! Packages that the system's own apt would install only by removing others, as a QEMU
//! beside disk tools of a newer release, or chrony beside another time service; and daemons
//! that would take the place of the machine's own, as rsyslog and syslog-ng. What stays is
//! for the machine's owner to decide, so that they are unpacked into the tools' folder,
//! together with what they need and the system lacks.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    cargo,
    workspace::{on_path, tools_dir},
};

/// A program: the system's, or one that was unpacked beside it.
pub fn command(program: &str) -> Option<Command> {
    if let Some(path) = on_path(program) {
        return Some(Command::new(path));
    }
    let root = roots().into_iter().find(|root| root.join("usr/bin").join(program).is_file())?;
    let mut command = Command::new(root.join("usr/bin").join(program));
    command.env("LD_LIBRARY_PATH", std::env::join_paths(library_folders(&root)).ok()?);
    Some(command)
}

/// Folders of programs that need no more than the system's libraries, for a PATH.
pub fn program_folders() -> Vec<PathBuf> {
    let whole = roots().into_iter().filter(|root| library_folders(root).is_empty());
    whole.flat_map(|root| ["usr/bin", "usr/sbin"].map(|folder| root.join(folder))).collect()
}

/// Whether the package was unpacked.
pub fn has(package: &str) -> bool {
    root(package).is_ok_and(|root| root.is_dir())
}

/// Downloads a package and what it needs beyond the system, and unpacks all of it.
pub fn unpack(package: &str) -> Result<()> {
    let root = root(package)?;
    let parent = root.parent().context("a folder of tools")?;
    fs::create_dir_all(parent).with_context(|| format!("can't make {}", parent.display()))?;
    let mut plan = Command::new("apt-get");
    plan.args(["-s", "install", "--no-install-recommends", package]).env("LC_ALL", "C.UTF-8");
    let plan = cargo::output_of(&mut plan)?;
    let packages = to_install(&plan);
    if packages.is_empty() {
        bail!("apt-get would install nothing for {package}");
    }
    // Renamed when whole, so that a run that is cut off leaves nothing half there.
    let folder = tempfile::tempdir_in(parent)?;
    let archives = folder.path().join("archives");
    fs::create_dir(&archives)?;
    let mut download = Command::new("apt-get");
    // Root's apt would go on as a user who can't write here.
    download.args(["-qq", "-o", "APT::Sandbox::User=root", "download"]).args(&packages);
    cargo::output_of(download.current_dir(&archives))?;
    let unpacked = folder.path().join("root");
    for archive in fs::read_dir(&archives)? {
        let archive = archive?.path();
        let mut extract = Command::new("dpkg-deb");
        extract.arg("--extract").arg(&archive).arg(&unpacked);
        cargo::succeed(&mut extract, &format!("dpkg-deb --extract {}", archive.display()))?;
    }
    fs::rename(&unpacked, &root).with_context(|| format!("can't make {}", root.display()))
}

/// The packages in what `apt-get -s install` says: `Inst NAME (VERSION …)`.
fn to_install(plan: &str) -> Vec<&str> {
    let lines = plan.lines().filter_map(|line| line.strip_prefix("Inst "));
    lines.filter_map(|line| line.split_whitespace().next()).collect()
}

fn root(package: &str) -> Result<PathBuf> {
    Ok(folder()?.join(package))
}

/// Where they are, each in a folder of its name; the tests are told by `TRACER_BESIDE`.
pub fn folder() -> Result<PathBuf> {
    Ok(tools_dir()?.join("beside"))
}

fn roots() -> Vec<PathBuf> {
    let Ok(folder) = folder() else { return Vec::new() };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    // Temporary ones begin with a dot.
    let named = entries.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    named.map(|entry| entry.path()).collect()
}

/// `usr/lib/x86_64-linux-gnu`, or of whatever machine, where it has libraries.
fn library_folders(root: &Path) -> Vec<PathBuf> {
    let folders = ["usr/lib", "lib"].map(|folder| root.join(folder));
    let machines = folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten());
    let machines = machines.flatten().map(|entry| entry.path());
    machines.filter(|path| path.to_string_lossy().ends_with("-linux-gnu")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apt_would_install() {
        let plan = "NOTE: This is only a simulation!\nRemv qemu-utils [1:10.0]\n\
            Inst seabios (1.16.2-1 Debian:12.15/oldstable [all])\n\
            Inst qemu-system-x86 (1:7.2 Debian:12.15/oldstable [amd64])\nConf seabios (1.16)\n";
        assert_eq!(to_install(plan), ["seabios", "qemu-system-x86"]);
        assert!(to_install("chrony is already the newest version (4.3).\n").is_empty());
    }
}
