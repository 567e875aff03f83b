//! Words that options take.

use clap::ValueEnum;

/// Where filters are decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FilterIn {
    /// What it can decide, the kernel does, which costs calls that are left out next to
    /// nothing; a reload can then only narrow the filters
    Kernel,
    /// The daemon decides all but --cgroup and --follow, and a reload may change them
    Daemon,
}

/// Levels of detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Detail {
    /// Arguments and result only
    Call,
    /// Lengths, flags and source addresses of the messages too
    Messages,
    /// iovecs and control messages too, what the kernel itself went by, and payload with
    /// --payload
    Full,
}

/// Hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Hook {
    /// The cheapest that works here and sees every call in every ABI: fentry, or else
    /// raw-tracepoint, or else kprobe
    Auto,
    /// fentry and fexit on the syscalls' entry functions
    Fentry,
    /// kprobe and kretprobe on the syscalls' entry functions
    Kprobe,
    /// The raw tracepoints sys_enter and sys_exit
    RawTracepoint,
    /// The tracepoints of the syscall itself: no 32-bit calls
    Tracepoint,
}

/// Output formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// table on a terminal, json elsewhere
    Auto,
    /// A line per call, for people
    Table,
    /// An object per line, for programs
    Json,
    /// Elastic Common Schema, an object per line
    Ecs,
    /// Open Cybersecurity Schema Framework, Kernel Activity
    Ocsf,
    /// Tracee's events, for what is made for them
    Tracee,
}

/// What becomes of events for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnFull {
    /// They are dropped, and counted as lost by queue_full
    Drop,
    /// They stay in the ring buffer, which fills, and then loses and counts them as ring_full
    Block,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// Yes
    On,
    /// No
    Off,
}
