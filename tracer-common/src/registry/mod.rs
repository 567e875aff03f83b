//! The one table of events: names, ids, arguments, and the syscall numbers of
//! every ABI.
//!
//! Number look-up in the kernel programs, `tracer list`, the help texts and the
//! documentation are made from these rows and from nothing else. The rows are
//! plain `const` values; the constructors imply the tags, so that a tag can't
//! drift from what the code does.

mod recv;

use crate::{abi::Abi, tags::Tags};

/// A stable event id. Ids are append-only and travel in records; they are never
/// syscall numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(
    /// The number on the wire.
    pub u16,
);

/// What an argument holds, which decides how it is decoded and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file descriptor: a C `int`.
    Fd,
    /// A pointer to an array of `struct mmsghdr`.
    Mmsghdrs,
    /// An unsigned 32-bit count.
    Count,
    /// `MSG_*` flags: a C `unsigned int`.
    MsgFlags,
    /// A pointer to a timeout of two 64-bit fields (`struct __kernel_timespec`).
    Timespec64,
    /// A pointer to a timeout of two 32-bit fields (`struct old_timespec32`).
    Timespec32,
}

/// One argument of an event.
#[derive(Clone, Copy, Debug)]
pub struct Arg {
    /// The name that events and filters use.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// The C type in the kernel's declaration.
    pub c_type: &'static str,
    /// Where its value comes from when nothing better is known for a call.
    pub tags: Tags,
    /// The name that Tracee uses.
    pub tracee_name: &'static str,
}

impl Arg {
    /// An argument whose value is the register itself.
    const fn register(name: &'static str, kind: Kind, c_type: &'static str) -> Self {
        Self { name, kind, c_type, tags: Tags::K, tracee_name: name }
    }

    /// A pointer whose target is read from user memory.
    const fn pointer(name: &'static str, kind: Kind, c_type: &'static str) -> Self {
        Self { name, kind, c_type, tags: Tags::U.with(Tags::TOCTOU), tracee_name: name }
    }

    /// The argument may be NULL.
    const fn optional(self) -> Self {
        Self { tags: self.tags.with(Tags::OPT), ..self }
    }

    /// Tracee calls it otherwise.
    const fn tracee(self, name: &'static str) -> Self {
        Self { tracee_name: name, ..self }
    }
}

/// One way to make an event's call: a number in an ABI.
#[derive(Clone, Copy, Debug)]
pub struct Syscall {
    /// The ABI.
    pub abi: Abi,
    /// The number, without the x32 bit.
    pub nr: u32,
    /// The kernel's name for the number under that ABI.
    pub name: &'static str,
    /// For a multiplexed call (`socketcall`), the number of the operation: its
    /// arguments then lie in user memory.
    pub multiplexed: Option<u32>,
}

impl Syscall {
    const fn new(abi: Abi, nr: u32, name: &'static str) -> Self {
        Self { abi, nr, name, multiplexed: None }
    }

    const fn socketcall(abi: Abi, nr: u32, call: u32) -> Self {
        Self { abi, nr, name: "socketcall", multiplexed: Some(call) }
    }

    /// The kernel function that takes the call's registers, as prefix and name
    /// (`__SYSCALL_DEFINEx` in arch/x86/include/asm/syscall_wrapper.h and arm64's);
    /// none for x32, whose functions kernels no longer have.
    pub const fn entry_function(&self) -> Option<(&'static str, &'static str)> {
        match self.abi {
            Abi::X86_64 => Some(("__x64_sys_", self.name)),
            Abi::I386 => Some(("__ia32_compat_sys_", self.name)),
            Abi::X32 => None,
            Abi::Arm64 => Some(("__arm64_sys_", self.name)),
            Abi::Arm => Some(("__arm64_compat_sys_", self.name)),
        }
    }

    /// The number as the kernel's entry code sees it.
    pub const fn raw_nr(&self) -> u32 {
        match self.abi {
            Abi::X32 => self.nr | crate::abi::X32_SYSCALL_BIT,
            _ => self.nr,
        }
    }
}

/// One event.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// The stable id.
    pub id: EventId,
    /// The name that `--event` and the JSON use.
    pub name: &'static str,
    /// One line for lists and documentation.
    pub summary: &'static str,
    /// The arguments, in the order of the C declaration; at most six.
    pub args: &'static [Arg],
    /// Every way to make the call.
    pub syscalls: &'static [Syscall],
}

impl Event {
    /// The calls that kernels of an architecture know.
    pub fn syscalls_on<'a>(&'a self, arch: &'a str) -> impl Iterator<Item = &'a Syscall> {
        self.syscalls.iter().filter(move |syscall| syscall.abi.on(arch))
    }

    /// Whether the timeout has two 32-bit fields.
    pub fn has_time32(&self) -> bool {
        self.args.iter().any(|arg| arg.kind == Kind::Timespec32)
    }

    /// The kernel's name for a number (x32 bit included), where this event has it.
    pub fn syscall(&self, abi: Abi, raw_nr: u32) -> Option<&'static Syscall> {
        self.syscalls.iter().find(|syscall| syscall.abi == abi && syscall.raw_nr() == raw_nr)
    }
}

/// Every event, by ascending id.
pub const EVENTS: &[Event] = &[recv::RECVMMSG, recv::RECVMMSG_TIME32];

/// The event of that id.
pub fn by_id(id: EventId) -> Option<&'static Event> {
    EVENTS.iter().find(|event| event.id == id)
}

/// The event of that name.
pub fn by_name(name: &str) -> Option<&'static Event> {
    EVENTS.iter().find(|event| event.name == name)
}

const _: () = check(EVENTS);

/// The table's invariants, held at compile time.
const fn check(events: &[Event]) {
    let mut i = 0;
    while i < events.len() {
        let event = &events[i];
        assert!(i == 0 || events[i - 1].id.0 < event.id.0, "event ids must ascend");
        assert!(event.id.0 != 0, "event id 0 means none");
        assert!(event.args.len() <= crate::record::MAX_ARGS, "a syscall has at most six arguments");
        assert!(!event.syscalls.is_empty(), "an event needs a syscall");
        let mut a = 0;
        while a < event.args.len() {
            let tags = event.args[a].tags;
            assert!(!tags.contains(Tags::TOCTOU) || tags.contains(Tags::U), "TOCTOU implies U");
            assert!(!(tags.contains(Tags::K) && tags.contains(Tags::U)), "K excludes U");
            a += 1;
        }
        let mut s = 0;
        while s < event.syscalls.len() {
            let syscall = &event.syscalls[s];
            assert!(
                syscall.nr & crate::abi::X32_SYSCALL_BIT == 0,
                "numbers go without the x32 bit"
            );
            s += 1;
        }
        i += 1;
    }
}
