//! What can go wrong between the daemon and the kernel, and the way out.

use std::io;

use aya::{EbpfError, maps::MapError, programs::ProgramError};

/// Why calls can't be captured.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The process lacks capabilities.
    #[error(
        "missing {} on kernel {kernel}: loading eBPF programs needs it; \
         run as root, for instance with sudo",
        capabilities.join(" and ")
    )]
    Privilege {
        /// Names of the missing capabilities.
        capabilities: Vec<&'static str>,
        /// The running kernel's release.
        kernel: String,
    },
    /// `bpf(2)` is refused although the capabilities are there.
    #[error(
        "kernel {kernel} refuses bpf(2) ({error}) although this process has the capabilities: it \
         is root of a user namespace only, a container's seccomp profile forbids bpf, or the \
         kernel runs in lockdown=confidentiality (see /sys/kernel/security/lockdown) or is built \
         without CONFIG_BPF_SYSCALL; run as root of the host, outside of the container"
    )]
    BpfDenied {
        /// The running kernel's release.
        kernel: String,
        /// What the kernel answered.
        error: io::Error,
    },
    /// The kernel lets no program read its memory.
    #[error(
        "kernel {kernel} runs in lockdown=confidentiality, in which eBPF programs can't read \
         memory: boot it with lockdown=integrity or lockdown=none (/sys/kernel/security/lockdown)"
    )]
    Lockdown {
        /// The running kernel's release.
        kernel: String,
    },
    /// The kernel is older than what the programs need.
    #[error(
        "kernel {kernel} is too old: it has no {feature} (Linux {since}); \
         tracer needs Linux 5.10 or later"
    )]
    OldKernel {
        /// The running kernel's release.
        kernel: String,
        /// What it lacks.
        feature: &'static str,
        /// The first version that has it.
        since: &'static str,
    },
    /// The kernel offers no BTF.
    #[error(
        "cannot read the kernel's type information from /sys/kernel/btf/vmlinux ({0}): \
         use a kernel with CONFIG_DEBUG_INFO_BTF, and mount sysfs"
    )]
    NoBtf(io::Error),
    /// A request that needs BTF, without it.
    #[error("{what} needs the kernel's type information: {source}")]
    NeedsBtf {
        /// The option.
        what: &'static str,
        /// Why there is none.
        source: Box<SourceError>,
    },
    /// The kernel does not offer a hook.
    #[error("hook {hook} can't be used on kernel {kernel}: {reason}")]
    NoHook {
        /// The hook.
        hook: &'static str,
        /// The running kernel's release.
        kernel: String,
        /// What is missing.
        reason: String,
    },
    /// No register layout is known for this machine.
    #[error("no support for {0} machines: tracer runs on x86_64 and aarch64")]
    Architecture(&'static str),
    /// None of the requested events exists here.
    #[error("{event} has no syscall on {arch} kernels")]
    NoSuchSyscall {
        /// The event's name.
        event: &'static str,
        /// The machine.
        arch: &'static str,
    },
    /// An option that a helper is missing for.
    #[error("{what} needs {helper}, which kernel {kernel} does not offer to tracing programs")]
    NeedsHelper {
        /// The option.
        what: &'static str,
        /// The helper.
        helper: &'static str,
        /// The running kernel's release.
        kernel: String,
    },
    /// More messages than this kernel can loop over.
    #[error(
        "--messages {asked}: kernel {kernel} has no bpf_loop (Linux 5.17) and takes at most {most}"
    )]
    TooManyMessages {
        /// What was asked for.
        asked: u32,
        /// The most here.
        most: u32,
        /// The running kernel's release.
        kernel: String,
    },
    /// The embedded object is damaged.
    #[error("the embedded eBPF object has no {0}; rebuild it with `cargo xtask ebpf`")]
    Object(String),
    /// The object could not be loaded.
    #[error("kernel {kernel} refuses the eBPF object: {}", chain(error))]
    Load {
        /// The running kernel's release.
        kernel: String,
        /// What aya says.
        error: Box<EbpfError>,
    },
    /// A program could not be loaded or attached.
    #[error("cannot attach {program} to {target} on kernel {kernel}: {}", chain(error))]
    Attach {
        /// The eBPF program.
        program: &'static str,
        /// Where it goes.
        target: String,
        /// The running kernel's release.
        kernel: String,
        /// What aya says.
        error: Box<ProgramError>,
    },
    /// A map could not be used.
    #[error("eBPF map {name}: {error}")]
    Map {
        /// The map.
        name: &'static str,
        /// What aya says.
        error: MapError,
    },
    /// A file of the kernel could not be read.
    #[error("{what}: {error}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        error: io::Error,
    },
}

impl SourceError {
    /// What is wrong, where the hook and the kernel have been named already.
    pub fn brief(&self) -> String {
        match self {
            Self::NoHook { reason, .. } => reason.clone(),
            Self::Attach { program, target, error, .. } => {
                format!("cannot attach {program} to {target}: {}", chain(error))
            }
            other => chain(other),
        }
    }

    /// Whether another hook may work where this one did not.
    pub fn is_about_hook(&self) -> bool {
        matches!(self, Self::NoHook { .. } | Self::Attach { .. } | Self::Load { .. })
    }

    /// Whether the cause is missing privilege or kernel support (exit code 3).
    pub fn is_support(&self) -> bool {
        !matches!(self, Self::Io { .. } | Self::Map { .. } | Self::Object(_))
    }
}

/// Whether a program was refused for reading memory at all: in lockdown the kernel acts
/// as if it had no such helpers (bpf_tracing_func_proto in kernel/trace/bpf_trace.c).
pub fn is_for_lockdown(refusal: &str) -> bool {
    let refused = ["unknown func bpf_probe_read", "cannot use helper bpf_probe_read"];
    refused.iter().any(|words| refusal.contains(words))
}

/// An error with its causes on one line; of the verifier's log, which can have
/// thousands of lines, the last that say something.
pub fn chain(error: &dyn std::error::Error) -> String {
    const LOG: &str = "Verifier output:";
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    let Some((head, log)) = text.split_once(LOG) else { return text };
    log::trace!("{log}");
    let noise = ["processed ", "verification time ", "stack depth "];
    let lines: Vec<_> = log
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !noise.iter().any(|noise| line.starts_with(noise)))
        .collect();
    let last = lines.get(lines.len().saturating_sub(2)..).unwrap_or_default();
    if last.is_empty() { head.trim_end().to_owned() } else { format!("{head}{}", last.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What can't be provoked on any one machine: each message names the kernel,
    /// what it lacks, and what to do.
    #[test]
    fn messages_say_what_is_missing_and_where() {
        let kernel = || "5.4.0-test".to_owned();
        let denied = || io::Error::from_raw_os_error(libc::EPERM);
        for (error, words) in [
            (
                SourceError::OldKernel {
                    kernel: kernel(),
                    feature: "BPF ring buffer",
                    since: "5.8",
                },
                &["5.4.0-test", "BPF ring buffer", "5.8", "5.10"][..],
            ),
            (SourceError::Lockdown { kernel: kernel() }, &["5.4.0-test", "lockdown=integrity"]),
            (
                SourceError::Privilege { capabilities: vec!["CAP_BPF"], kernel: kernel() },
                &["CAP_BPF", "5.4.0-test", "sudo"],
            ),
            (
                SourceError::BpfDenied { kernel: kernel(), error: denied() },
                &["5.4.0-test", "lockdown", "seccomp", "user namespace"],
            ),
            (SourceError::NoBtf(denied()), &["/sys/kernel/btf/vmlinux", "CONFIG_DEBUG_INFO_BTF"]),
            (
                SourceError::TooManyMessages { asked: 1024, most: 64, kernel: kernel() },
                &["--messages 1024", "5.4.0-test", "bpf_loop", "5.17", "64"],
            ),
            (SourceError::Architecture("riscv64"), &["riscv64", "x86_64"]),
        ] {
            let text = error.to_string();
            assert!(error.is_support(), "exit code 3: {text}");
            for word in words {
                assert!(text.contains(word), "must say {word}: {text}");
            }
        }
    }
}
