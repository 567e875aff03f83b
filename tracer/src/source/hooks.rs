//! The hooks: which programs go where, and in which order.

use std::{collections::HashSet, fs, io};

use aya::programs::ProgramType;
use tracer_common::registry::Event;

use super::{
    error::SourceError,
    features::{Helpers, arch},
};

/// The function that every way to make the call goes through, and that has the
/// timeout as the kernel sees it (net/socket.c).
const RECEIVE: &str = "do_recvmmsg";
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
}

/// The order in which `auto` tries the hooks. Raw tracepoints are not the cheapest
/// for everybody else, but the one whose suites pass whole, and they see most: x32
/// attempts, and calls that were under way when they were attached.
pub const AUTO: [Hook; 3] = [Hook::RawTracepoint, Hook::Kprobe, Hook::Fentry];

impl Hook {
    /// As `--hook` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
            Self::RawTracepoint => "raw-tracepoint",
        }
    }

    /// Refuses a hook that this kernel does not offer at all, without the cost of
    /// loading everything for it.
    ///
    /// # Errors
    /// [`SourceError::NoHook`]
    pub fn check(self, kernel: &str) -> Result<(), SourceError> {
        let lacks = |reason: String| {
            let kernel = kernel.to_owned();
            Err(SourceError::NoHook { hook: self.name(), kernel, reason })
        };
        match self {
            Self::Fentry => match aya::sys::is_program_supported(ProgramType::Tracing) {
                Ok(true) => Ok(()),
                Ok(false) => lacks("fentry programs can't be attached".to_owned()),
                Err(error) => lacks(super::error::chain(&error)),
            },
            Self::Kprobe => match fs::metadata(KPROBE_PMU) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    lacks(format!("no {KPROBE_PMU} (CONFIG_KPROBE_EVENTS)"))
                }
                _ => Ok(()),
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
    /// Whether calls are traced without it too.
    pub optional: bool,
}

/// What goes where for one hook.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The hook.
    pub hook: Hook,
    /// Whether raw tracepoints are typed.
    pub typed: bool,
    /// In the order of attaching: what ends a call before what begins one, so that
    /// a call that was seen to begin is seen to end.
    pub attachments: Vec<Attachment>,
}

impl Plan {
    /// The plan for a hook.
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
    ) -> Result<Self, SourceError> {
        let mut attachments = Vec::new();
        let mut add = |program, kind, target: &str, optional| {
            attachments.push(Attachment { program, kind, target: target.to_owned(), optional });
        };
        if follow {
            add("process_fork", Kind::Raw, "sched_process_fork", false);
        }
        add("process_exit", Kind::Raw, "sched_process_exit", false);
        add("signal_deliver", Kind::Raw, "signal_deliver", false);
        let form = |looped, unrolled| if helpers.bpf_loop { looped } else { unrolled };
        match hook {
            Hook::RawTracepoint if typed => {
                add(form("exit_typed", "exit_typed_unrolled"), Kind::Typed, "sys_exit", false);
                add(form("enter_typed", "enter_typed_unrolled"), Kind::Typed, "sys_enter", false);
            }
            Hook::RawTracepoint => {
                add(form("exit_raw", "exit_raw_unrolled"), Kind::Raw, "sys_exit", false);
                add(form("enter_raw", "enter_raw_unrolled"), Kind::Raw, "sys_enter", false);
            }
            Hook::Fentry | Hook::Kprobe => {
                let (found, kernel_timeout) = functions(events, hook, kernel)?;
                let kprobe = hook == Hook::Kprobe;
                let (enter, exit) =
                    if kprobe { (Kind::Kprobe, Kind::Kprobe) } else { (Kind::Fentry, Kind::Fexit) };
                let exits = if kprobe {
                    form("exit_kretprobe", "exit_kretprobe_unrolled")
                } else {
                    form("exit_fexit", "exit_fexit_unrolled")
                };
                let enters = if kprobe {
                    form("enter_kprobe", "enter_kprobe_unrolled")
                } else {
                    form("enter_fentry", "enter_fentry_unrolled")
                };
                for function in &found {
                    add(exits, exit, function, false);
                }
                for function in &found {
                    add(enters, enter, function, false);
                }
                if kernel_timeout {
                    let left = if kprobe { "timeout_kretprobe" } else { "timeout_fexit" };
                    let begun = if kprobe { "timeout_kprobe" } else { "timeout_fentry" };
                    add(left, exit, RECEIVE, true);
                    add(begun, enter, RECEIVE, true);
                }
            }
        }
        Ok(Self { hook, typed, attachments })
    }
}

/// The entry functions of the events' syscalls that this kernel has, and whether it
/// has the one with the timeout. A kernel built without an ABI has no function for
/// it; the native one must be there.
fn functions(
    events: &[&'static Event],
    hook: Hook,
    kernel: &str,
) -> Result<(Vec<String>, bool), SourceError> {
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
    Ok((found, symbols.contains(RECEIVE)))
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
