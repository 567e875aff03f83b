//! Capabilities: which are kept, and that the others are gone for good.

use std::{
    io,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Access, AtFlags, CWD, accessat},
    io::Errno,
    thread::{
        CapabilitiesSecureBits, CapabilitySet, capabilities, capability_is_in_bounding_set,
        clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
        set_capabilities_secure_bits,
    },
};

use super::{Settings, files::folder_of};
use crate::source::{Hierarchy, Kernel};

/// Capabilities that are kept, each with what for.
#[derive(Clone, Debug, Default)]
pub struct Kept(Vec<(CapabilitySet, &'static str, String)>);

impl Kept {
    fn keep(&mut self, set: CapabilitySet, name: &'static str, why: impl Into<String>) {
        self.0.push((set, name, why.into()));
    }

    fn set(&self) -> CapabilitySet {
        self.0.iter().map(|(set, ..)| *set).collect()
    }
}

/// What is still needed after attaching; `hidden` where /proc shows only processes that may
/// be traced.
pub fn needed(settings: &Settings, hidden: bool) -> Kept {
    let held = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.permitted);
    let mut kept = Kept::default();
    if !Kernel::running().at_least(5, 19) {
        let why = "before Linux 5.19 it takes that to read a map, even one that is open";
        kept.keep(CapabilitySet::BPF, "CAP_BPF", why);
    }
    if Hierarchy::open().is_some() {
        kept.keep(
            CapabilitySet::DAC_READ_SEARCH,
            "CAP_DAC_READ_SEARCH",
            "to find cgroups by their ids",
        );
    }
    if settings.looks_up_exe || hidden {
        kept.keep(CapabilitySet::SYS_PTRACE, "CAP_SYS_PTRACE", "to look at /proc/PID/exe");
    }
    if settings.command {
        kept.keep(CapabilitySet::KILL, "CAP_KILL", "to end COMMAND, whatever user it becomes");
    }
    if held.contains(CapabilitySet::DAC_OVERRIDE)
        && let Some(path) = of_others(settings)
    {
        let why = format!("to write to {}, which is another user's", path.display());
        kept.keep(CapabilitySet::DAC_OVERRIDE, "CAP_DAC_OVERRIDE", why);
    }
    // What was never held can't be kept.
    kept.0.retain(|(set, ..)| held.contains(*set));
    kept
}

/// A destination that takes more than its owner's rights to open anew, if there is one.
fn of_others(settings: &Settings) -> Option<PathBuf> {
    let own = capabilities(None).ok()?;
    let mut plain = own;
    plain.effective = CapabilitySet::empty();
    set_capabilities(None, plain).ok()?;
    let may = |path: &Path, access| accessat(CWD, path, access, AtFlags::EACCESS);
    let in_folder = Access::WRITE_OK | Access::EXEC_OK;
    let file = |path: &&PathBuf| {
        let gone = may(path, Access::WRITE_OK).is_err_and(|error| error != Errno::NOENT);
        gone || (is_ordinary(path) && may(&folder_of(path), in_folder).is_err())
    };
    // Who makes the socket anew is whoever may do so.
    let socket = |path: &&PathBuf| match may(path, Access::WRITE_OK) {
        Err(Errno::NOENT) => may(&folder_of(path), in_folder).is_err(),
        other => other.is_err(),
    };
    let found = settings.reach.files.iter().find(file);
    let found = found.or_else(|| settings.reach.sockets.iter().find(socket)).cloned();
    let _ = set_capabilities(None, own);
    found
}

/// Whether it is, or will be, a file that can be made anew.
pub fn is_ordinary(path: &Path) -> bool {
    path.metadata().map_or(true, |metadata| metadata.is_file())
}

/// Each capability that there is, whether this program knows its name or not.
fn each() -> impl Iterator<Item = CapabilitySet> {
    (0..64).map(|number| CapabilitySet::from_bits_retain(1 << number))
}

/// Takes all others out of the bounding and the ambient set, and root's powers from user 0,
/// where that may be done: it takes CAP_SETPCAP.
///
/// # Errors
/// Those of prctl(2) but for the lack of that.
pub fn bound(kept: &Kept) -> io::Result<()> {
    // Kernels before 4.3 have none.
    let _ = clear_ambient_capability_set();
    let sets = capabilities(None)?;
    if !sets.effective.contains(CapabilitySet::SETPCAP) {
        return Ok(());
    }
    for capability in each().filter(|capability| !kept.set().contains(*capability)) {
        match capability_is_in_bounding_set(capability) {
            Ok(true) => remove_capability_from_bounding_set(capability)?,
            // It is out already, or there is no such capability.
            Ok(false) | Err(Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    use CapabilitiesSecureBits as Bits;
    let bits = Bits::NO_ROOT
        | Bits::NO_ROOT_LOCKED
        | Bits::NO_SETUID_FIXUP
        | Bits::NO_SETUID_FIXUP_LOCKED
        | Bits::KEEP_CAPS_LOCKED
        | Bits::NO_CAP_AMBIENT_RAISE
        | Bits::NO_CAP_AMBIENT_RAISE_LOCKED;
    Ok(set_capabilities_secure_bits(bits)?)
}

/// Drops all others from the effective and the permitted set, and all from the inheritable.
pub fn drop_all_but(kept: &Kept) -> io::Result<String> {
    let mut sets = capabilities(None)?;
    sets.effective = kept.set();
    sets.permitted = kept.set();
    sets.inheritable = CapabilitySet::empty();
    set_capabilities(None, sets)?;
    let left: Vec<_> = kept.0.iter().map(|(_, name, why)| format!("{name} {why}")).collect();
    Ok(if left.is_empty() { "none left".to_owned() } else { left.join(", ") })
}
