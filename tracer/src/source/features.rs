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

/// Whether the kernel may take the CPU from a task in the middle of a system call, and
/// so in the middle of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preemption {
    /// It does not.
    Never,
    /// It does, in this mode.
    Mode(String),
    /// There is no way to tell.
    Unknown,
}

/// How the running kernel preempts.
pub fn preemption() -> Preemption {
    let version = rustix::system::uname().version().to_string_lossy().into_owned();
    let mode = fs::read_to_string("/sys/kernel/debug/sched/preempt").ok();
    let cmdline = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let release = Kernel::running().release;
    let config = fs::read_to_string(format!("/boot/config-{release}")).ok();
    preemption_of(&version, mode.as_deref(), &cmdline, config.as_deref())
}

/// By the kernel's version text, the mode in force (with debugfs), what it was booted
/// with, and what it was built with.
fn preemption_of(
    version: &str,
    mode: Option<&str>,
    cmdline: &str,
    config: Option<&str>,
) -> Preemption {
    let of = |mode: &str| match mode {
        "none" | "voluntary" => Preemption::Never,
        mode => Preemption::Mode(mode.to_owned()),
    };
    let mut words = version.split_ascii_whitespace();
    match words.find(|word| word.starts_with("PREEMPT")) {
        None => return Preemption::Never,
        Some("PREEMPT_DYNAMIC") => {}
        Some(other) => return Preemption::Mode(other.to_owned()),
    }
    // `none voluntary (full) lazy`
    let in_force = mode.and_then(|modes| modes.split_once('(')?.1.split_once(')'));
    if let Some((mode, _)) = in_force {
        return of(mode);
    }
    let mut booted =
        cmdline.split_ascii_whitespace().filter_map(|word| word.strip_prefix("preempt="));
    if let Some(mode) = booted.next_back() {
        return of(mode);
    }
    let Some(config) = config else { return Preemption::Unknown };
    let is_set = |option: &str| config.lines().any(|line| line == format!("CONFIG_{option}=y"));
    let built = [("PREEMPT_NONE", "none"), ("PREEMPT_VOLUNTARY", "voluntary")];
    match built.into_iter().find(|(option, _)| is_set(option)) {
        Some((_, mode)) => of(mode),
        None => Preemption::Mode("full".to_owned()),
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
    fn preemption_by_what_is_known_best() {
        let debian = "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2";
        let voluntary = Some("CONFIG_PREEMPT_VOLUNTARY=y\n");
        let full = Some("CONFIG_PREEMPT=y\n");
        let of = preemption_of;
        assert_eq!(of("#1 SMP Debian 5.10.1-1", None, "", None), Preemption::Never);
        assert_eq!(
            of(debian, Some("none (voluntary) full"), "preempt=full", None),
            Preemption::Never
        );
        assert_eq!(
            of(debian, Some("none voluntary (full)"), "", voluntary),
            Preemption::Mode("full".to_owned())
        );
        assert_eq!(of(debian, None, "quiet preempt=none", full), Preemption::Never);
        assert_eq!(of(debian, None, "quiet", voluntary), Preemption::Never);
        assert_eq!(of(debian, None, "", full), Preemption::Mode("full".to_owned()));
        assert_eq!(of(debian, None, "", None), Preemption::Unknown);
        assert_eq!(
            of("#1 SMP PREEMPT_RT x", None, "", None),
            Preemption::Mode("PREEMPT_RT".to_owned())
        );
    }

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
