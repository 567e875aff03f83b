//! Debian packages: which are missing, and installing those and no others.

use std::{
    io::Read as _,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, anyhow, bail};

use super::{
    beside,
    packages::{Package, Probe},
};
use crate::{privilege::Privilege, workspace::on_path};

/// Whether this system has apt and dpkg.
pub fn is_here() -> bool {
    on_path("apt-get").is_some() && on_path("dpkg-query").is_some()
}

/// Those of `packages` that are neither installed (by dpkg where it is, else by their
/// probes) nor unpacked beside the system.
pub fn missing(packages: &[Package]) -> Result<Vec<Package>> {
    if !is_here() {
        return Ok(packages.iter().copied().filter(|package| !probe(package.probe)).collect());
    }
    // Exits with 1 where it does not know one of the names; what it prints is what counts.
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat=${Package} ${db:Status-Abbrev}\\n"])
        .args(packages.iter().map(|package| package.name))
        .output()
        .context("can't start dpkg-query")?;
    let listing = String::from_utf8_lossy(&output.stdout);
    let here = |name: &str| is_installed(&listing, name) || beside::has(name);
    Ok(packages.iter().copied().filter(|package| !here(package.name)).collect())
}

fn probe(probe: Probe) -> bool {
    match probe {
        // An ordinary user's PATH lacks the sbin folders, where daemons live.
        Probe::Program(name) => {
            let sbin = ["/usr/sbin", "/sbin"].iter().any(|dir| Path::new(dir).join(name).is_file());
            sbin || on_path(name).is_some()
        }
        Probe::File(paths) => paths.iter().any(|path| Path::new(path).exists()),
    }
}

/// Reads lines `name abbreviation`. The abbreviation's second letter is the state:
/// `i` installed, `n` not, `c` only configuration files, others broken. One package
/// has a line for each architecture.
fn is_installed(listing: &str, name: &str) -> bool {
    listing.lines().any(|line| {
        line.split_once(' ').is_some_and(|(package, status)| {
            package == name && status.as_bytes().get(1) == Some(&b'i')
        })
    })
}

/// Installed version of a package, as dpkg spells it.
pub fn version(name: &str) -> Option<String> {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat=${Version}", name])
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !version.is_empty()).then_some(version)
}

/// Installs `packages`; returns those that could not be, each with the reason.
pub fn install(packages: &[Package]) -> Vec<(Package, String)> {
    if packages.is_empty() {
        return Vec::new();
    }
    let (aside, packages): (Vec<_>, Vec<_>) = packages.iter().partition(|package| package.beside);
    let mut failed = install_in_place(&packages);
    for package in aside {
        println!("setup: unpacking {} beside the system", package.name);
        if let Err(error) = beside::unpack(package.name) {
            failed.push((package, format!("{error:#}")));
        }
    }
    failed
}

fn install_in_place(packages: &[Package]) -> Vec<(Package, String)> {
    let all_fail = |reason: String| packages.iter().map(|&p| (p, reason.clone())).collect();
    let privilege = match Privilege::find_unattended() {
        Ok(privilege) => privilege,
        Err(error) => return all_fail(error.to_string()),
    };
    println!("setup: apt-get update");
    // A mirror that is down need not matter: the lists at hand may do.
    let stale = apt_get(&privilege, &["update"]).err();
    if packages.is_empty() {
        return Vec::new();
    }
    let names: Vec<_> = packages.iter().map(|package| package.name).collect();
    println!("setup: installing {} (this can take minutes)", names.join(" "));
    if install_names(&privilege, &names).is_ok() {
        return Vec::new();
    }
    // One that can't be installed fails the whole transaction: take them one by one.
    let mut failed = Vec::new();
    for &package in packages {
        if let Err(error) = install_names(&privilege, &[package.name]) {
            let mut reason = error.to_string();
            if reason.contains(WOULD_REMOVE) {
                println!("setup: {} would remove other packages: unpacking it", package.name);
                match beside::unpack(package.name) {
                    Ok(()) => continue,
                    Err(error) => reason = format!("{reason} Nor beside them: {error:#}"),
                }
            }
            if let Some(stale) = &stale {
                reason = format!("{reason} (and apt-get update failed: {stale})");
            }
            failed.push((package, reason));
        }
    }
    failed
}

/// What apt says of a package that only fits if others go.
const WOULD_REMOVE: &str = "remove is disabled";

fn install_names(privilege: &Privilege, names: &[&str]) -> Result<()> {
    // `--no-remove`: chrony would push out another time service, gcc-multilib a
    // cross-compiler. That is for the machine's owner to decide.
    let mut args = vec!["install", "--yes", "--no-install-recommends", "--no-remove"];
    args.extend(names);
    apt_get(privilege, &args)
}

fn apt_get(privilege: &Privilege, args: &[&str]) -> Result<()> {
    let variables = [
        ("DEBIAN_FRONTEND", "noninteractive".as_ref()),
        ("LC_ALL", "C.UTF-8".as_ref()),
        // Rescue mode, for invoke-rc.d: installed services stay stopped.
        ("RUNLEVEL", "1".as_ref()),
    ];
    let mut child = privilege
        .command("apt-get", &variables)
        .args(["-qq", "-o", "DPkg::Lock::Timeout=300"])
        .args(args)
        .stdin(if matches!(privilege, Privilege::Root) { Stdio::null() } else { Stdio::inherit() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("can't start apt-get")?;
    // Both pipes are read at once, or a full one would block apt. dpkg's chatter on
    // stdout is of no interest.
    let (mut stdout, mut stderr) = (
        child.stdout.take().ok_or_else(|| anyhow!("apt-get has no stdout"))?,
        child.stderr.take().ok_or_else(|| anyhow!("apt-get has no stderr"))?,
    );
    let chatter = thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
    let mut errors = Vec::new();
    stderr.read_to_end(&mut errors).context("can't read what apt-get says")?;
    let _ = chatter.join();
    let status = child.wait().context("can't wait for apt-get")?;
    if !status.success() {
        bail!("{}", reason(&String::from_utf8_lossy(&errors)));
    }
    Ok(())
}

/// apt's own errors, or the last thing it said.
fn reason(stderr: &str) -> String {
    let mut errors: Vec<_> = stderr.lines().filter_map(|line| line.strip_prefix("E: ")).collect();
    if errors.is_empty() {
        errors.extend(stderr.lines().rev().find(|line| !line.trim().is_empty()));
    }
    errors.dedup();
    if errors.is_empty() { "apt-get failed and gave no reason".into() } else { errors.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_is_the_second_letter() {
        let listing = "gcc ii \nchrony rc \njq un \nstrace hi \nlibc6-dev iU \nlibc6-dev ii \n";
        for name in ["gcc", "strace", "libc6-dev"] {
            assert!(is_installed(listing, name), "{name}");
        }
        for name in ["chrony", "jq", "gcc-multilib", "gc", ""] {
            assert!(!is_installed(listing, name), "{name}");
        }
    }

    #[test]
    fn apts_own_reason_is_reported() {
        let stderr = "W: noise\nE: Unable to locate package rustc-web\n";
        assert_eq!(reason(stderr), "Unable to locate package rustc-web");
        assert_eq!(reason("sudo: a password is required\n\n"), "sudo: a password is required");
        assert_eq!(reason(""), "apt-get failed and gave no reason");
    }
}
