//! Which ABIs the running kernel takes calls of: from its configuration and its
//! command line, without making any such call.

use std::{fs, process};

use tracer_common::{
    abi::{self, Abi},
    registry::EVENTS,
};

use super::{AbiReport, Presence};
use crate::source::{Kernel, arch};

/// What tells which ABIs there are.
struct Evidence {
    /// The kernel's configuration, where it is offered.
    config: Option<String>,
    /// The kernel's command line.
    cmdline: String,
    /// /proc/sys/abi/vsyscall32 exists: made by arch/x86/entry/vdso/vdso32-setup.c,
    /// which 64-bit kernels have with CONFIG_IA32_EMULATION. Unknown without
    /// /proc/sys.
    vsyscall32: Option<bool>,
    /// The kernel has functions for 32-bit arm calls; unknown without its symbols.
    arm_calls: Option<bool>,
}

/// The ABIs of this machine.
pub fn all(kernel: &Kernel) -> Vec<AbiReport> {
    let evidence = Evidence {
        config: config(&kernel.release),
        cmdline: fs::read_to_string("/proc/cmdline").unwrap_or_default(),
        vsyscall32: fs::exists("/proc/sys/kernel")
            .unwrap_or(false)
            .then(|| fs::exists("/proc/sys/abi/vsyscall32").unwrap_or(false)),
        arm_calls: (arch() == "aarch64")
            .then(|| fs::read_to_string("/proc/kallsyms").ok())
            .flatten()
            .map(|symbols| symbols.contains(" __arm64_compat_sys_")),
    };
    abi::ALL
        .into_iter()
        .filter(|abi| abi.on(arch()))
        .map(|abi| {
            let (status, found) = evidence.presence(abi);
            AbiReport { abi: abi.name(), status, detail: format!("{found}: {}", calls(abi)) }
        })
        .collect()
}

/// `recvmmsg_time64 417, socketcall 102`
fn calls(abi: Abi) -> String {
    let calls = EVENTS.iter().flat_map(|event| event.syscalls);
    let calls = calls.filter(|syscall| syscall.abi == abi);
    let calls: Vec<_> = calls.map(|syscall| format!("{} {}", syscall.name, syscall.nr)).collect();
    calls.join(", ")
}

/// The kernel's configuration, from where distributions put it. /proc/config.gz
/// takes gzip(1), which nearly every system has.
fn config(release: &str) -> Option<String> {
    let files = [format!("/boot/config-{release}"), format!("/lib/modules/{release}/config")];
    files.iter().find_map(|path| fs::read_to_string(path).ok()).or_else(|| {
        let gzip = process::Command::new("gzip")
            .args(["-dc", "/proc/config.gz"])
            .stdin(process::Stdio::null())
            .stderr(process::Stdio::null())
            .output()
            .ok()?;
        gzip.status.success().then(|| String::from_utf8_lossy(&gzip.stdout).into_owned())
    })
}

impl Evidence {
    fn presence(&self, abi: Abi) -> (Presence, &'static str) {
        match abi {
            Abi::X86_64 | Abi::Arm64 => (Presence::Present, "native"),
            Abi::I386 => self.i386(),
            Abi::X32 => self.x32(),
            Abi::Arm => self.arm(),
        }
    }

    /// Whether an option is set in the configuration.
    fn is_set(&self, option: &str) -> Option<bool> {
        let config = self.config.as_deref()?;
        let line = |line: &str| line.strip_prefix(option).is_some_and(|rest| rest == "=y");
        Some(config.lines().any(line))
    }

    /// The last value that the command line gives a boolean parameter (kstrtobool).
    fn parameter(&self, name: &str) -> Option<bool> {
        let values = self.cmdline.split_whitespace().filter_map(|word| word.strip_prefix(name));
        let value = values.filter_map(|rest| rest.strip_prefix('=')).next_back()?;
        match value.as_bytes() {
            [b'y' | b'Y' | b't' | b'T' | b'1', ..] | [b'o' | b'O', b'n' | b'N', ..] => Some(true),
            [b'n' | b'N' | b'f' | b'F' | b'0', ..] | [b'o' | b'O', b'f' | b'F', ..] => Some(false),
            _ => None,
        }
    }

    fn i386(&self) -> (Presence, &'static str) {
        let built = self.vsyscall32.or_else(|| self.is_set("CONFIG_IA32_EMULATION"));
        let disabled = self.is_set("CONFIG_IA32_EMULATION_DEFAULT_DISABLED");
        match (built, self.parameter("ia32_emulation"), disabled) {
            (Some(false), ..) => (Presence::Absent, "built without 32-bit emulation"),
            (_, Some(false), _) => (Presence::Absent, "switched off by ia32_emulation="),
            (Some(true), None, Some(true)) => {
                (Presence::Absent, "built in, but off without ia32_emulation=1")
            }
            (Some(true), ..) => (Presence::Present, "32-bit programs and int $0x80"),
            (None, ..) => (Presence::Unknown, "no /proc/sys and no kernel configuration"),
        }
    }

    /// CONFIG_X86_X32_ABI was CONFIG_X86_X32 before 5.18. Debian's kernels have it
    /// built in and off (CONFIG_X86_X32_DISABLED).
    fn x32(&self) -> (Presence, &'static str) {
        let built = self.is_set("CONFIG_X86_X32_ABI").zip(self.is_set("CONFIG_X86_X32"));
        let disabled = self.is_set("CONFIG_X86_X32_DISABLED") == Some(true);
        match (built, self.parameter("syscall.x32")) {
            (None, _) => (Presence::Unknown, "no kernel configuration at hand"),
            (Some((false, false)), _) => (Presence::Absent, "built without; calls get ENOSYS"),
            (_, Some(false)) => (Presence::Absent, "switched off by syscall.x32="),
            (_, None) if disabled => (Presence::Absent, "built in, but off without syscall.x32=y"),
            _ => (Presence::Present, "built in"),
        }
    }

    fn arm(&self) -> (Presence, &'static str) {
        match self.arm_calls.or_else(|| self.is_set("CONFIG_COMPAT")) {
            None => (Presence::Unknown, "no symbols and no kernel configuration at hand"),
            Some(false) => (Presence::Absent, "built without 32-bit support"),
            Some(true) => (Presence::Present, "32-bit programs, if the processor runs them"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(abi: Abi, config: Option<&str>, cmdline: &str, vsyscall32: Option<bool>) -> Presence {
        let config = config.map(str::to_owned);
        let cmdline = cmdline.to_owned();
        Evidence { config, cmdline, vsyscall32, arm_calls: None }.presence(abi).0
    }

    #[test]
    fn emulation_is_judged_by_what_is_in_force() {
        use Presence::{Absent, Present, Unknown};
        let on = Some("CONFIG_IA32_EMULATION=y\n");
        let off = Some("CONFIG_IA32_EMULATION=y\nCONFIG_IA32_EMULATION_DEFAULT_DISABLED=y\n");
        for (config, cmdline, vsyscall32, expected) in [
            (on, "quiet", Some(true), Present),
            (None, "", Some(true), Present),
            (None, "", Some(false), Absent),
            (None, "", None, Unknown),
            (on, "ia32_emulation=0", Some(true), Absent),
            (on, "ia32_emulation=off ia32_emulation=on", Some(true), Present),
            (off, "", Some(true), Absent),
            (off, "ia32_emulation=true", Some(true), Present),
        ] {
            let found = status(Abi::I386, config, cmdline, vsyscall32);
            assert_eq!(found, expected, "{config:?} {cmdline:?} {vsyscall32:?}");
        }
    }

    #[test]
    fn x32_needs_the_configuration() {
        use Presence::{Absent, Present, Unknown};
        let debian = Some("CONFIG_X86_X32_ABI=y\nCONFIG_X86_X32_DISABLED=y\n");
        for (config, cmdline, expected) in [
            (None, "", Unknown),
            (Some("# CONFIG_X86_X32_ABI is not set\n"), "", Absent),
            (Some("CONFIG_X86_X32=y\n"), "", Present),
            (debian, "", Absent),
            (debian, "syscall.x32=y", Present),
        ] {
            assert_eq!(status(Abi::X32, config, cmdline, None), expected, "{config:?} {cmdline:?}");
        }
    }

    #[test]
    fn native_calls_are_always_there() {
        for abi in [Abi::X86_64, Abi::Arm64] {
            assert_eq!(status(abi, None, "", None), Presence::Present);
        }
    }
}
