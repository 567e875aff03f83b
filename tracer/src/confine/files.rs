//! Files and ports by Landlock, as far as the kernel's version of it goes.
//!
//! What is open stays open. Access to /proc is left: it is where callers are looked up. A
//! process under Landlock can't trace, nor look at as a tracer could, those that are not.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath,
    PathFd, RestrictionStatus, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr,
    RulesetStatus, Scope, make_bitflags,
};

use super::{Settings, capabilities::is_ordinary};
use crate::{
    sink::{Ports, Reach},
    source::Hierarchy,
};

/// The latest version whose rules were tried out.
const KNOWN: ABI = ABI::V7;
/// Where resolving a name reads, with what it loads for that, and certificates.
const NAMES: &[&str] = &[
    "/etc",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/usr/share/pki",
    "/var/lib/ca-certificates",
];
/// DNS over TCP, for answers that are too long for UDP.
const DNS: u16 = 53;

/// Restricts this thread, and those that it starts.
pub fn restrict(settings: &Settings) -> Result<String, String> {
    if landlock_abi() == 0 {
        return Err(
            "the kernel has none: it is not built in, or not among lsm= (Linux 5.13)".to_owned()
        );
    }
    let ruled = ruled(settings).and_then(RulesetCreated::restrict_self);
    let RestrictionStatus { ruleset, .. } = ruled.map_err(|error| error.to_string())?;
    if ruleset == RulesetStatus::NotEnforced {
        return Err("the kernel did not enforce it".to_owned());
    }
    let reach = &settings.reach;
    let mut left = vec!["/proc".to_owned()];
    left.extend(written(settings).map(shown));
    left.extend(reach.names.then(|| "/etc and what resolving names takes".to_owned()));
    left.extend(reach.read.iter().cloned().map(shown));
    let ports = match &reach.ports {
        _ if landlock_abi() < 4 => "any port (Linux before 6.7)".to_owned(),
        Ports::Any => "any port".to_owned(),
        Ports::These(ports) if ports.is_empty() => "no port".to_owned(),
        Ports::These(ports) => {
            let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
            format!("TCP {}", ports.join(", "))
        }
    };
    left.push(ports);
    Ok(format!("version {}: {}", landlock_abi(), left.join(", ")))
}

fn shown(path: PathBuf) -> String {
    path.display().to_string()
}

/// The rules. Rights that the kernel does not know are left out of each.
fn ruled(settings: &Settings) -> Result<RulesetCreated, landlock::RulesetError> {
    let reach = &settings.reach;
    let mut rules = Ruleset::default().handle_access(AccessFs::from_all(KNOWN))?;
    let ports = match &reach.ports {
        Ports::Any => {
            rules = rules.handle_access(AccessNet::BindTcp)?;
            Vec::new()
        }
        Ports::These(ports) => {
            rules = rules.handle_access(AccessNet::from_all(KNOWN))?;
            ports.iter().copied().chain(reach.names.then_some(DNS)).collect()
        }
    };
    rules = rules.scope(Scope::AbstractUnixSocket)?;
    if !settings.command {
        rules = rules.scope(Scope::Signal)?;
    }
    let mut rules = rules.create()?;
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let write =
        read | make_bitflags!(AccessFs::{WriteFile | MakeReg | RemoveFile | Truncate | IoctlDev});
    let cgroups = Hierarchy::open().map(|hierarchy| hierarchy.point);
    for path in ["/proc".into()].into_iter().chain(cgroups).chain(reach.read.iter().cloned()) {
        rules = beneath(rules, &path, read)?;
    }
    for name in NAMES.iter().filter(|_| reach.names) {
        rules = beneath(rules, Path::new(name), read)?;
    }
    for path in written(settings) {
        rules = beneath(rules, &path, write)?;
    }
    for port in ports {
        rules = rules.add_rule(NetPort::new(port, AccessNet::ConnectTcp))?;
    }
    Ok(rules)
}

/// Grants access to what is there, of a file only what a file can be asked for.
fn beneath(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, landlock::RulesetError> {
    let Ok(folder) = PathFd::new(path) else { return Ok(rules) };
    let of_files = AccessFs::from_file(KNOWN);
    let access = if path.is_dir() { access } else { access & of_files };
    rules.add_rule(PathBeneath::new(folder, access))
}

/// Where files are written, made and removed.
fn written(settings: &Settings) -> impl Iterator<Item = PathBuf> {
    let Reach { files, folders, .. } = &settings.reach;
    files.iter().flat_map(|file| granted(file)).chain(folders.iter().cloned())
}

/// What has to be granted so that a file can be made anew: its folder, and that of what it is
/// a link to; of anything but an ordinary file, itself.
fn granted(file: &Path) -> Vec<PathBuf> {
    let target = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    if !is_ordinary(file) {
        return vec![target];
    }
    let mut folders = vec![folder_of(file), folder_of(&target)];
    folders.dedup();
    folders
}

/// The folder that a file is in.
pub fn folder_of(file: &Path) -> PathBuf {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    folder.canonicalize().unwrap_or_else(|_| folder.to_owned())
}

/// The version of Landlock that the kernel has, as far as it matters here: 0 where it has
/// none, 6 where it has that or a later one.
pub fn landlock_abi() -> u8 {
    let strict = || Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let files = |abi| strict().handle_access(AccessFs::from_all(abi)).is_ok();
    let has: [(u8, bool); 6] = [
        (6, strict().scope(Scope::Signal).is_ok()),
        (5, files(ABI::V5)),
        (4, strict().handle_access(AccessNet::from_all(ABI::V4)).is_ok()),
        (3, files(ABI::V3)),
        (2, files(ABI::V2)),
        (1, files(ABI::V1)),
    ];
    has.into_iter().find(|(_, has)| *has).map_or(0, |(abi, _)| abi)
}
