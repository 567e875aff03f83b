//! What the running kernel and this process's privileges allow.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt, path::PathBuf};

use aya::{
    programs::ProgramType,
    sys::{BpfHelper, is_helper_supported},
};
use rustix::thread::{CapabilitySet, capabilities};

use super::error::SourceError;

/// The machine, as kernels call it.
pub fn arch() -> &'static str {
    std::env::consts::ARCH
}

/// The running kernel.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Its release, as uname(2) says.
    pub release: String,
    major: u32,
    minor: u32,
}

impl Kernel {
    /// Asks the kernel.
    pub fn running() -> Self {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        Self::parse(release)
    }

    fn parse(release: String) -> Self {
        let mut numbers = release
            .split(|c: char| !c.is_ascii_digit())
            .map(|number| number.parse::<u32>().unwrap_or(0));
        let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        Self { release, major, minor }
    }

    /// Whether the version is that or later.
    pub fn at_least(&self, major: u32, minor: u32) -> bool {
        (self.major, self.minor) >= (major, minor)
    }
}

/// Capabilities that loading and attaching need and this process lacks.
/// CAP_SYS_ADMIN stands for both (capabilities(7)).
pub fn missing_capabilities() -> Vec<&'static str> {
    let effective = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    if effective.contains(CapabilitySet::SYS_ADMIN) {
        return Vec::new();
    }
    [(CapabilitySet::BPF, "CAP_BPF"), (CapabilitySet::PERFMON, "CAP_PERFMON")]
        .into_iter()
        .filter(|(capability, _)| !effective.contains(*capability))
        .map(|(_, name)| name)
        .collect()
}

/// Refuses early, with the cause, what the kernel would refuse late, without it.
///
/// # Errors
/// [`SourceError::Privilege`], [`SourceError::Lockdown`], [`SourceError::BpfDenied`],
/// [`SourceError::OldKernel`]
pub fn check(kernel: &Kernel) -> Result<(), SourceError> {
    let capabilities = missing_capabilities();
    if !capabilities.is_empty() {
        return Err(SourceError::Privilege { capabilities, kernel: kernel.release.clone() });
    }
    if lockdown().as_deref() == Some("confidentiality") {
        return Err(SourceError::Lockdown { kernel: kernel.release.clone() });
    }
    let probe = aya::sys::is_map_supported(aya::maps::MapType::RingBuf);
    match probe {
        Ok(true) => Ok(()),
        Ok(false) => Err(SourceError::OldKernel {
            kernel: kernel.release.clone(),
            feature: "BPF ring buffer",
            since: "5.8",
        }),
        Err(error) => {
            Err(SourceError::BpfDenied { kernel: kernel.release.clone(), error: error.io_error })
        }
    }
}

/// Helpers that not every supported kernel has.
#[derive(Clone, Copy, Debug)]
pub struct Helpers {
    /// `bpf_loop`, from 5.17.
    pub bpf_loop: bool,
    /// `bpf_get_current_task_btf`, from 5.11.
    pub current_task_btf: bool,
    /// `bpf_get_current_ancestor_cgroup_id`, which not every 5.10 offers here.
    pub ancestor_cgroup: bool,
    /// `bpf_task_pt_regs`, from 5.15.
    pub task_pt_regs: bool,
}

impl Helpers {
    /// Tries each.
    pub fn probe() -> Self {
        let has = |helper| is_helper_supported(ProgramType::RawTracePoint, helper).unwrap_or(false);
        Self {
            bpf_loop: has(BpfHelper::BPF_FUNC_loop),
            current_task_btf: has(BpfHelper::BPF_FUNC_get_current_task_btf),
            ancestor_cgroup: has(BpfHelper::BPF_FUNC_get_current_ancestor_cgroup_id),
            task_pt_regs: has(BpfHelper::BPF_FUNC_task_pt_regs),
        }
    }
}

/// The lockdown mode in force, where the kernel says.
pub fn lockdown() -> Option<String> {
    let text = fs::read_to_string("/sys/kernel/security/lockdown").ok()?;
    let (_, mode) = text.split_once('[')?;
    mode.split_once(']').map(|(mode, _)| mode.to_owned())
}

/// Where a file system of a type is mounted (proc_pid_mountinfo(5)).
pub fn mounted(filesystem: &str) -> Option<PathBuf> {
    let mounts = fs::read("/proc/self/mountinfo").ok()?;
    mounts.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        let point = fields.nth(4)?;
        let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
        (kind == filesystem.as_bytes()).then(|| PathBuf::from(OsStr::from_bytes(point)))
    })
}

/// Number of CPUs that may ever come online: the length of per-CPU arrays.
///
/// # Errors
/// [`SourceError::Io`]
pub fn possible_cpus() -> Result<usize, SourceError> {
    aya::util::nr_cpus().map_err(|(what, error)| SourceError::Io { what: what.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_number() {
        for (release, newer_than_5_11) in
            [("5.10.0-33-amd64", false), ("5.11.0", true), ("6.1.0", true), ("6.18.44-x", true)]
        {
            let kernel = Kernel::parse(release.to_owned());
            assert_eq!(kernel.at_least(5, 11), newer_than_5_11, "{release}");
        }
    }
}
