//! The message-receiving calls.

use super::{Arg, Event, EventId, Kind, Syscall};
use crate::abi::Abi;

/// `recvmmsg` with a 64-bit timeout (`net/socket.c`, `SYSCALL_DEFINE5(recvmmsg)`).
pub const RECVMMSG: Event = Event {
    id: EventId(1),
    name: "recvmmsg",
    summary: "receive several messages on a socket in one call, 64-bit timeout",
    args: &[
        Arg::register("sockfd", Kind::Fd, "int"),
        Arg::pointer("msgvec", Kind::Mmsghdrs, "struct mmsghdr *"),
        Arg::register("vlen", Kind::Count, "unsigned int"),
        Arg::register("flags", Kind::MsgFlags, "unsigned int"),
        Arg::pointer("timeout", Kind::Timespec64, "struct __kernel_timespec *").optional(),
    ],
    syscalls: &[
        Syscall::new(Abi::X86_64, 299, "recvmmsg"),
        Syscall::new(Abi::I386, 417, "recvmmsg_time64"),
        Syscall::new(Abi::X32, 537, "recvmmsg"),
        Syscall::new(Abi::Arm64, 243, "recvmmsg"),
        Syscall::new(Abi::Arm, 417, "recvmmsg_time64"),
    ],
};

/// `recvmmsg` of 32-bit callers with a 32-bit timeout
/// (`net/socket.c`, `SYSCALL_DEFINE5(recvmmsg_time32)`).
pub const RECVMMSG_TIME32: Event = Event {
    id: EventId(2),
    name: "recvmmsg_time32",
    summary: "receive several messages on a socket in one call, 32-bit timeout",
    args: &[
        Arg::register("sockfd", Kind::Fd, "int").tracee("fd"),
        Arg::pointer("msgvec", Kind::Mmsghdrs, "struct mmsghdr *").tracee("mmsg"),
        Arg::register("vlen", Kind::Count, "unsigned int"),
        Arg::register("flags", Kind::MsgFlags, "unsigned int"),
        Arg::pointer("timeout", Kind::Timespec32, "struct old_timespec32 *").optional(),
    ],
    syscalls: &[
        Syscall::new(Abi::I386, 337, "recvmmsg_time32"),
        Syscall::socketcall(Abi::I386, 102, 19),
        Syscall::new(Abi::Arm, 365, "recvmmsg_time32"),
    ],
};
