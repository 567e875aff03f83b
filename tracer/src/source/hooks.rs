//! The hooks: which programs go where, and in which order.

use std::{collections::HashSet, fs, io};

use aya::programs::ProgramType;
use tracer_common::{copies::Copies, registry::Event};

use super::{
    error::SourceError,
    features::{Helpers, Preemption, arch, mounted, preemption},
};

/// The function that every way to make the call goes through, and that has the
/// timeout as the kernel sees it (net/socket.c).
const RECEIVE: &str = "do_recvmmsg";
/// The function that receives one message, with the kernel's own copy of its header
/// (net/socket.c).
const MESSAGE: &str = "____sys_recvmsg";
/// The tracepoint that has the length of each message received, from Linux 6.3.
const LENGTH: &str = "sock_recv_length";
/// What kprobes are attached through.
const KPROBE_PMU: &str = "/sys/bus/event_source/devices/kprobe/type";

/// Where to attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// fentry and fexit on the syscalls' entry functions.
    Fentry,
    /// kprobe and kretprobe on the same.
    Kprobe,
    /// The raw tracepoints sys_enter and sys_exit.
    RawTracepoint,
    /// The tracepoints of one syscall each, `syscalls:sys_enter_…` and `sys_exit_…`.
    Tracepoint,
}

/// The order in which `auto` tries the hooks: the cheapest first that sees every call in
/// every ABI. kprobe costs others as little as fentry, but comes last: the kernel
/// follows only so many calls to their return at a time (kernel/kprobes.c,
/// register_kretprobe: 10, or twice the number of CPUs, and on some kernels half of
/// that), and calls that block use them up.
pub const AUTO: [Hook; 3] = [Hook::Fentry, Hook::RawTracepoint, Hook::Kprobe];

impl Hook {
    /// All, those of [`AUTO`] first and in its order.
    pub const ALL: [Self; 4] = [AUTO[0], AUTO[1], AUTO[2], Self::Tracepoint];

    /// As `--hook` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
            Self::RawTracepoint => "raw-tracepoint",
            Self::Tracepoint => "tracepoint",
        }
    }

    /// Why `auto` does not take it although it may well work.
    pub fn unfit(self) -> Option<&'static str> {
        // Finding out takes reading files, and matters to fentry alone.
        if self != Self::Fentry {
            return None;
        }
        match preemption() {
            Preemption::Never => None,
            Preemption::Mode(_) => Some(
                "this kernel preempts programs, and leaves fentry programs out while one like \
                 them waits on their CPU",
            ),
            Preemption::Unknown => Some(
                "this kernel may preempt programs, and would then leave fentry programs out; \
                 mount debugfs to let it say (/sys/kernel/debug/sched/preempt)",
            ),
        }
    }

    /// What it does not see, to be said before anybody relies on it.
    pub fn blind_spot(self) -> Option<&'static str> {
        match self {
            Self::Fentry => self.unfit(),
            Self::RawTracepoint => None,
            Self::Kprobe => Some(
                "the kernel follows only so many calls to their return at a time; of more, the \
                 events have no ret",
            ),
            Self::Tracepoint => {
                Some("the kernel's syscalls tracepoints do not fire for 32-bit and x32 calls")
            }
        }
    }

    /// Whether it sees calls of an event on this machine in one ABI at least.
    pub fn sees(self, event: &Event) -> bool {
        self != Self::Tracepoint || native(event).is_some()
    }

    /// Refuses a hook that this kernel does not offer at all, without the cost of
    /// loading everything for it.
    ///
    /// # Errors
    /// [`SourceError::NoHook`]
    pub fn check(self, events: &[&'static Event], kernel: &str) -> Result<(), SourceError> {
        let lacks = |reason: String| {
            let kernel = kernel.to_owned();
            Err(SourceError::NoHook { hook: self.name(), kernel, reason })
        };
        match self {
            Self::Fentry => match aya::sys::is_program_supported(ProgramType::Tracing) {
                Ok(true) => Ok(()),
                Ok(false) => lacks("fentry programs can't be attached".to_owned()),
                Err(error) => {
                    let text = super::error::chain(&error);
                    let cause = text.split(" (os error").next().unwrap_or_default();
                    lacks(format!("fentry programs are refused: {cause}"))
                }
            },
            Self::Kprobe => match fs::metadata(KPROBE_PMU) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    lacks(format!("no {KPROBE_PMU} (CONFIG_KPROBE_EVENTS)"))
                }
                _ => Ok(()),
            },
            Self::Tracepoint => match events.iter().find(|event| !self.sees(event)) {
                Some(event) => lacks(format!(
                    "{}, and {} has no others on {}",
                    self.blind_spot().unwrap_or_default(),
                    event.name,
                    arch()
                )),
                None if mounted("tracefs").is_none() => lacks(
                    "tracefs is not mounted: mount -t tracefs tracefs /sys/kernel/tracing"
                        .to_owned(),
                ),
                None => Ok(()),
            },
            Self::RawTracepoint => Ok(()),
        }
    }
}

/// How a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// tp_btf
    Typed,
    /// raw tracepoint
    Raw,
    /// tracepoint
    Tracepoint,
    /// fentry
    Fentry,
    /// fexit
    Fexit,
    /// kprobe or kretprobe
    Kprobe,
}

/// One program at one place.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// The program.
    pub program: &'static str,
    /// How.
    pub kind: Kind,
    /// The tracepoint or function.
    pub target: String,
    /// What it adds to calls that are traced without it too.
    pub adds: Option<Addition>,
}

/// What a call can be traced without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addition {
    /// The kernel's own timeout.
    Timeout,
    /// Its own copies of headers, or the lengths of messages.
    Copies,
}

/// What goes where for one hook.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The hook.
    pub hook: Hook,
    /// Whether the kernel has BTF, so that raw tracepoints are typed (tp_btf).
    pub typed: bool,
    /// Whether the timeout is the kernel's own copy.
    pub kernel_timeout: bool,
    /// What is kept of the kernel's own copies of messages.
    pub copies: Copies,
    /// In the order of attaching: what ends a call before what begins one, so that
    /// a call that was seen to begin is seen to end.
    pub attachments: Vec<Attachment>,
}

impl Plan {
    /// The plan for a hook, with as much of `copies` as the hook and the kernel offer.
    ///
    /// # Errors
    /// [`SourceError::NoHook`] where the kernel lacks the functions.
    pub fn new(
        hook: Hook,
        typed: bool,
        helpers: Helpers,
        events: &[&'static Event],
        follow: bool,
        kernel: &str,
        mut copies: Copies,
    ) -> Result<Self, SourceError> {
        let form = |looped, unrolled| if helpers.bpf_loop { looped } else { unrolled };
        let (exit, exits) = match hook {
            Hook::RawTracepoint if typed => {
                (form("exit_typed", "exit_typed_unrolled"), Kind::Typed)
            }
            Hook::RawTracepoint => (form("exit_raw", "exit_raw_unrolled"), Kind::Raw),
            Hook::Tracepoint => {
                (form("exit_tracepoint", "exit_tracepoint_unrolled"), Kind::Tracepoint)
            }
            Hook::Fentry => (form("exit_fexit", "exit_fexit_unrolled"), Kind::Fexit),
            Hook::Kprobe => (form("exit_kretprobe", "exit_kretprobe_unrolled"), Kind::Kprobe),
        };
        let (enter, enters) = match hook {
            Hook::RawTracepoint if typed => {
                (form("enter_typed", "enter_typed_unrolled"), Kind::Typed)
            }
            Hook::RawTracepoint => (form("enter_raw", "enter_raw_unrolled"), Kind::Raw),
            Hook::Tracepoint => {
                (form("enter_tracepoint", "enter_tracepoint_unrolled"), Kind::Tracepoint)
            }
            Hook::Fentry => (form("enter_fentry", "enter_fentry_unrolled"), Kind::Fentry),
            Hook::Kprobe => (form("enter_kprobe", "enter_kprobe_unrolled"), Kind::Kprobe),
        };
        let mut attachments = Vec::new();
        let mut add = |program, kind, target: &str, adds| {
            attachments.push(Attachment { program, kind, target: target.to_owned(), adds });
        };
        if follow {
            add("process_fork", Kind::Raw, "sched_process_fork", None);
        }
        add("process_exit", Kind::Raw, "sched_process_exit", None);
        add("signal_deliver", Kind::Raw, "signal_deliver", None);
        let mut kernel_timeout = false;
        copies.headers &= matches!(hook, Hook::Fentry | Hook::Kprobe);
        if copies.lengths {
            add("recv_length", Kind::Raw, LENGTH, Some(Addition::Copies));
        }
        match hook {
            Hook::RawTracepoint => {
                add(exit, exits, "sys_exit", None);
                add(enter, enters, "sys_enter", None);
            }
            Hook::Tracepoint => {
                let names = || events.iter().copied().filter_map(native);
                for name in names() {
                    add(exit, exits, &format!("sys_exit_{name}"), None);
                }
                for name in names() {
                    add(enter, enters, &format!("sys_enter_{name}"), None);
                }
            }
            Hook::Fentry if !typed => {
                return Err(SourceError::NoHook {
                    hook: hook.name(),
                    kernel: kernel.to_owned(),
                    reason: "fentry needs the kernel's type information, and there is no \
                             /sys/kernel/btf/vmlinux to read (CONFIG_DEBUG_INFO_BTF)"
                        .to_owned(),
                });
            }
            Hook::Fentry | Hook::Kprobe => {
                let (found, symbols) = functions(events, hook, kernel)?;
                let kprobe = hook == Hook::Kprobe;
                copies.headers &= symbols.contains(MESSAGE);
                if copies.headers {
                    let header = if kprobe { "header_kprobe" } else { "header_fentry" };
                    add(header, enters, MESSAGE, Some(Addition::Copies));
                }
                for function in &found {
                    add(exit, exits, function, None);
                }
                for function in &found {
                    add(enter, enters, function, None);
                }
                if symbols.contains(RECEIVE) {
                    kernel_timeout = true;
                    let left = if kprobe { "timeout_kretprobe" } else { "timeout_fexit" };
                    let begun = if kprobe { "timeout_kprobe" } else { "timeout_fentry" };
                    add(left, exits, RECEIVE, Some(Addition::Timeout));
                    add(begun, enters, RECEIVE, Some(Addition::Timeout));
                }
            }
        }
        Ok(Self { hook, typed, kernel_timeout, copies, attachments })
    }

    /// The programs without which a call is not seen at all: with a kprobe, the one at
    /// its beginning. The other hooks show such a call when it ends.
    pub fn only_beginnings(&self) -> &'static [&'static str] {
        match self.hook {
            Hook::Kprobe => &["enter_kprobe", "enter_kprobe_unrolled"],
            _ => &[],
        }
    }
}

/// The name of an event's native syscall, which is the one with tracepoints.
fn native(event: &Event) -> Option<&'static str> {
    event.syscalls_on(arch()).find(|syscall| syscall.abi.native()).map(|syscall| syscall.name)
}

/// The entry functions of the events' syscalls that this kernel has, and all symbols
/// that may be of interest. A kernel built without an ABI has no function for
/// it; the native one must be there.
fn functions(
    events: &[&'static Event],
    hook: Hook,
    kernel: &str,
) -> Result<(Vec<String>, HashSet<String>), SourceError> {
    let symbols = symbols()?;
    let mut found = Vec::new();
    for event in events {
        for syscall in event.syscalls_on(arch()) {
            let Some((prefix, name)) = syscall.entry_function() else { continue };
            let function = format!("{prefix}{name}");
            if symbols.contains(&function) {
                if !found.contains(&function) {
                    found.push(function);
                }
            } else if !syscall.abi.compat_task() {
                return Err(SourceError::NoHook {
                    hook: hook.name(),
                    kernel: kernel.to_owned(),
                    reason: format!("no function {function} in /proc/kallsyms"),
                });
            }
        }
    }
    Ok((found, symbols))
}

/// The names of the kernel's functions that may be of interest.
fn symbols() -> Result<HashSet<String>, SourceError> {
    let text = fs::read_to_string("/proc/kallsyms")
        .map_err(|error| SourceError::Io { what: "/proc/kallsyms".to_owned(), error })?;
    let name = |line: &str| {
        // A name in brackets behind it is a module.
        let mut fields = line.split_ascii_whitespace();
        let name = fields.nth(2)?;
        (name.contains("recv") || name.contains("socketcall")).then(|| name.to_owned())
    };
    Ok(text.lines().filter_map(name).collect())
}
