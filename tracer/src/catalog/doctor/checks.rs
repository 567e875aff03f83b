//! The checks that explain, from what everything needs to what few need.

use std::{fs, os::unix::ffi::OsStrExt};

use rustix::{
    process::{Resource, getrlimit, getuid},
    thread::{CapabilitySet, capabilities},
};
use tracer_common::record::MAX_MESSAGES_UNROLLED;

use super::{Check, Status};
use crate::{
    encode::table::escape,
    source::{self, Helpers, Kernel, SourceError, arch, check, lockdown, missing_capabilities},
};

/// Inode number of the initial user namespace (include/linux/proc_ns.h).
const INITIAL_USER_NS: u32 = 0xEFFF_FFFD;
/// Inode number of the initial pid namespace.
const INITIAL_PID_NS: u32 = 0xEFFF_FFFC;

/// The way out of missing capabilities.
const AS_ROOT: &str = "run as root, for instance with sudo, or give the program what it needs: \
                       setcap cap_bpf,cap_perfmon,cap_sys_ptrace+ep PATH";
const UNTRIED: &str = "not tried: it takes CAP_BPF";
const REFUSED: &str = "not tried: bpf(2) can't be used";

impl Check {
    /// A check without a remedy.
    pub(super) fn new(name: &'static str, status: Status, detail: impl Into<String>) -> Self {
        Self { name, status, detail: detail.into(), remedy: None }
    }

    /// With something to do about it.
    pub(super) fn remedy(self, remedy: &str) -> Self {
        Self { remedy: Some(remedy.to_owned()), ..self }
    }
}

/// Every check but the hook.
pub fn all(kernel: &Kernel) -> Vec<Check> {
    let missing = missing_capabilities();
    let usable = check(kernel);
    let helpers = usable.is_ok().then(Helpers::probe);
    vec![
        version(kernel),
        machine(),
        privileges(&missing),
        user_namespace(),
        bpf(&usable),
        locked_down(),
        ring_buffer(&usable),
        memlock(kernel),
        btf(),
        jit(),
        bpf_loop(helpers),
        task_btf(helpers),
        pid_namespace(),
        cgroups(),
        tracefs(),
    ]
}

fn version(kernel: &Kernel) -> Check {
    if kernel.at_least(5, 10) {
        Check::new("kernel", Status::Ok, format!("{} (5.10 or later is needed)", kernel.release))
    } else {
        Check::new("kernel", Status::Fail, format!("{} is older than 5.10", kernel.release))
            .remedy("boot Linux 5.10 or later")
    }
}

fn machine() -> Check {
    match arch() {
        known @ ("x86_64" | "aarch64") => Check::new("machine", Status::Ok, known),
        other => Check::new("machine", Status::Fail, format!("no register layout for {other}"))
            .remedy("run it on x86_64 or aarch64"),
    }
}

fn effective() -> CapabilitySet {
    capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective)
}

fn privileges(missing: &[&str]) -> Check {
    let uid = getuid().as_raw();
    if missing.is_empty() {
        let held = if effective().contains(CapabilitySet::SYS_ADMIN) {
            "CAP_SYS_ADMIN, which includes what eBPF takes"
        } else {
            "CAP_BPF and CAP_PERFMON"
        };
        return Check::new("privileges", Status::Ok, format!("uid {uid} with {held}"));
    }
    let detail = format!("uid {uid} lacks {}", missing.join(" and "));
    Check::new("privileges", Status::Fail, detail).remedy(AS_ROOT)
}

/// Inode number of one of our namespaces.
fn namespace(kind: &str) -> Option<u32> {
    let link = fs::read_link(format!("/proc/self/ns/{kind}")).ok()?;
    let (_, inode) = link.to_str()?.split_once('[')?;
    inode.strip_suffix(']')?.parse().ok()
}

fn user_namespace() -> Check {
    let name = "user-namespace";
    match namespace("user") {
        Some(INITIAL_USER_NS) => Check::new(name, Status::Ok, "the initial one"),
        Some(_) => Check::new(
            name,
            Status::Warn,
            "not the initial one: the kernel ignores this namespace's capabilities for eBPF",
        )
        .remedy("run on the host, or in a container without user namespace (no rootless one)"),
        None => Check::new(name, Status::Unknown, "/proc/self/ns can't be read"),
    }
}

fn bpf(usable: &Result<(), SourceError>) -> Check {
    match usable {
        Err(SourceError::Privilege { .. }) => Check::new("bpf", Status::Unknown, UNTRIED),
        Err(SourceError::BpfDenied { error, .. }) => {
            Check::new("bpf", Status::Fail, format!("bpf(2) is refused: {error}")).remedy(
                "in a container, allow bpf in the seccomp profile (or run it privileged); \
                 else use a kernel with CONFIG_BPF_SYSCALL",
            )
        }
        _ => Check::new("bpf", Status::Ok, "bpf(2) can be used"),
    }
}

fn locked_down() -> Check {
    match lockdown().as_deref() {
        Some("confidentiality") => {
            Check::new("lockdown", Status::Fail, "confidentiality: eBPF can't read kernel memory")
                .remedy("boot with lockdown=integrity or lockdown=none")
        }
        Some(mode) => Check::new("lockdown", Status::Ok, mode),
        None => Check::new(
            "lockdown",
            Status::Unknown,
            "no /sys/kernel/security/lockdown: not built in, or securityfs not mounted",
        ),
    }
}

fn ring_buffer(usable: &Result<(), SourceError>) -> Check {
    let name = "ring-buffer";
    match usable {
        Ok(()) => Check::new(name, Status::Ok, "BPF ring buffers can be made"),
        Err(SourceError::OldKernel { since, .. }) => {
            Check::new(name, Status::Fail, format!("the kernel has none (they came with {since})"))
                .remedy("boot Linux 5.10 or later")
        }
        Err(SourceError::Privilege { .. }) => Check::new(name, Status::Unknown, UNTRIED),
        Err(_) => Check::new(name, Status::Unknown, REFUSED),
    }
}

fn memlock(kernel: &Kernel) -> Check {
    let name = "memlock";
    if kernel.at_least(5, 11) {
        return Check::new(name, Status::Ok, "no limit on eBPF maps since Linux 5.11");
    }
    match getrlimit(Resource::Memlock).current {
        None => Check::new(name, Status::Ok, "unlimited"),
        Some(bytes) if effective().contains(CapabilitySet::SYS_RESOURCE) => {
            let detail = format!("{} KiB, raised when a trace starts", bytes / 1024);
            Check::new(name, Status::Ok, detail)
        }
        Some(bytes) => {
            let detail = format!("{} KiB: maps may not fit on Linux before 5.11", bytes / 1024);
            Check::new(name, Status::Warn, detail)
                .remedy("run it with ulimit -l unlimited, or with CAP_SYS_RESOURCE")
        }
    }
}

fn btf() -> Check {
    match fs::File::open("/sys/kernel/btf/vmlinux").and_then(|file| file.metadata()) {
        Ok(metadata) => {
            let kib = metadata.len() / 1024;
            Check::new("btf", Status::Ok, format!("/sys/kernel/btf/vmlinux, {kib} KiB"))
        }
        Err(error) => Check::new(
            "btf",
            Status::Warn,
            format!(
                "/sys/kernel/btf/vmlinux: {error}; without it the hook costs more, ppid, \
                 start_time and namespaces are missing, and --follow and COMMAND don't work"
            ),
        )
        .remedy("use a kernel with CONFIG_DEBUG_INFO_BTF, and mount sysfs"),
    }
}

fn jit() -> Check {
    let path = "/proc/sys/net/core/bpf_jit_enable";
    match fs::read_to_string(path).as_deref().map(str::trim) {
        Ok("0") => Check::new("jit", Status::Warn, "off: programs are interpreted, which is slow")
            .remedy("sysctl net.core.bpf_jit_enable=1"),
        Ok("1") => Check::new("jit", Status::Ok, "programs run as machine code"),
        Ok(other) => {
            Check::new("jit", Status::Warn, format!("bpf_jit_enable is {other}: debugging"))
                .remedy("sysctl net.core.bpf_jit_enable=1")
        }
        Err(error) => Check::new("jit", Status::Unknown, format!("{path}: {error}")),
    }
}

fn bpf_loop(helpers: Option<Helpers>) -> Check {
    let name = "bpf-loop";
    match helpers.map(|helpers| helpers.bpf_loop) {
        Some(true) => Check::new(name, Status::Ok, "--messages up to 1024"),
        Some(false) => Check::new(
            name,
            Status::Warn,
            format!(
                "the kernel has no bpf_loop: --messages up to {MAX_MESSAGES_UNROLLED}, further \
                 messages of a call are counted"
            ),
        )
        .remedy("boot Linux 5.17 or later if calls receive more messages"),
        None => Check::new(name, Status::Unknown, REFUSED),
    }
}

fn task_btf(helpers: Option<Helpers>) -> Check {
    let name = "task-btf";
    match helpers.map(|helpers| helpers.current_task_btf) {
        Some(true) => Check::new(name, Status::Ok, "fields of the task are loaded directly"),
        Some(false) => Check::new(
            name,
            Status::Ok,
            "no bpf_get_current_task_btf (Linux 5.11): fields of the task cost a little more",
        ),
        None => Check::new(name, Status::Unknown, REFUSED),
    }
}

fn pid_namespace() -> Check {
    let name = "pid-namespace";
    match namespace("pid") {
        Some(INITIAL_PID_NS) => Check::new(name, Status::Ok, "the initial one"),
        Some(_) => Check::new(
            name,
            Status::Warn,
            "not the initial one: events and --pid use the host's process ids",
        )
        .remedy("share the host's (docker run --pid=host, hostPID: true)"),
        None => Check::new(name, Status::Unknown, "/proc/self/ns can't be read"),
    }
}

/// Where file systems of a type are mounted, escaped.
fn mounted(wanted: &str) -> Option<String> {
    source::mounted(wanted).map(|point| escape(point.as_os_str().as_bytes()))
}

fn cgroups() -> Check {
    match mounted("cgroup2") {
        Some(point) => {
            let root =
                source::Hierarchy::open().map(|hierarchy| hierarchy.find(source::ROOT_CGROUP));
            match root {
                Some(Ok(_)) => Check::new(
                    "cgroup",
                    Status::Ok,
                    format!("v2 at {point}, for --cgroup and the paths of cgroups"),
                ),
                _ => Check::new(
                    "cgroup",
                    Status::Warn,
                    format!("v2 at {point}, but its cgroups can't be opened by their ids: no path of one whose processes have ended"),
                )
                .remedy("run it with CAP_DAC_READ_SEARCH"),
            }
        }
        None => Check::new(
            "cgroup",
            Status::Warn,
            "no v2 hierarchy is mounted: no --cgroup, and no paths but that of its root",
        )
        .remedy("mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 none /sys/fs/cgroup/unified"),
    }
}

fn tracefs() -> Check {
    match mounted("tracefs") {
        Some(point) => {
            Check::new("tracefs", Status::Ok, format!("at {point}, for --hook tracepoint"))
        }
        None => Check::new("tracefs", Status::Ok, "not mounted; only --hook tracepoint needs it"),
    }
}
