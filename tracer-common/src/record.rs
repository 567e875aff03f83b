//! The records that the kernel programs write into the ring buffer.
//!
//! One traced call is one record: a [`Call`] of fixed size, then sections, each
//! a [`SectionHeader`] and its body, padded to 8 bytes. All integers are
//! little-endian. There is no enum, bool or Option on the wire: integers, then
//! `TryFrom`.
//!
//! ```text
//! Call { header, task section, requested-timeout section, remaining-timeout section }
//! [ entry mmsghdr section ]   the array as it was at entry, first `count` elements
//! [ exit mmsghdr section ]    the array as it was at exit
//! [ names section ]           a NameHeader and the bytes for each message
//! [ iovs, control and payload sections ]   with `--detail full`, see `detail`
//! [ kernel headers and lengths sections ]  likewise, see `copies`
//! [ ids section ]             the caller's ids in its own pid namespace, see [`OwnIds`]
//! [ socket section ]          a Socket and its names
//! ```
//!
//! # Room to grow
//! A reader takes the fixed part by its version ([`VERSION`]) and skips sections
//! whose kind it does not know, by their length; it refuses a section of a known
//! kind whose version it does not know. A change of the fixed part raises [`VERSION`].

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{copies::Copies, detail::Detail};

/// The version of [`RecordHeader`] and [`Call`].
pub const VERSION: u16 = 1;
/// Most arguments that a syscall has.
pub const MAX_ARGS: usize = 6;
/// Bytes of a task's name with its NUL (`TASK_COMM_LEN`).
pub const COMM_LEN: usize = 16;
/// Most bytes of a socket address (`sizeof(struct sockaddr_storage)`).
pub const MAX_NAME: usize = 128;
/// Most bytes of an executable's path, NULs included.
pub const MAX_EXE: usize = 1024;
/// Most bytes of one component of a path, with its NUL (`NAME_MAX` + 1).
pub const MAX_COMPONENT: usize = 256;
/// Most messages of one call that a record can hold.
pub const MAX_MESSAGES: u32 = 1024;
/// Most messages of one call on a kernel without `bpf_loop` (before 5.17).
pub const MAX_MESSAGES_UNROLLED: u32 = 64;

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum RecordKind {
    /// A finished call.
    Call = 1,
    /// A program image that is about to make its first call: a [`Call`] of which
    /// the task alone means something, and the path of its executable. A call's
    /// end would be too late, since a thread that dies in it has let go of its
    /// memory by then.
    Image = 2,
}

/// Bits of [`RecordHeader::flags`].
pub mod flags {
    /// The call's entry was not seen: entry time, requested timeout and entry
    /// values of the message headers are unknown.
    pub const NO_ENTRY: u32 = 1 << 0;
    /// The entry was not seen although the tracer was attached by then: there was
    /// no room to remember the call. Comes with [`NO_ENTRY`].
    pub const NO_ROOM: u32 = 1 << 1;
    /// The call was interrupted and restarted by the kernel at least once.
    pub const RESTARTED: u32 = 1 << 2;
    /// The thread ended without the call returning; `ret` means nothing.
    pub const NO_RETURN: u32 = 1 << 3;
    /// The arguments were read from user memory (`socketcall`).
    pub const ARGS_FROM_USER: u32 = 1 << 4;
    /// The arguments lie in user memory that could not be read.
    pub const ARGS_FAULTED: u32 = 1 << 5;
    /// The record holds no messages because they were not asked for.
    pub const NO_MESSAGES: u32 = 1 << 6;
    /// The executable's file has been removed.
    pub const EXE_DELETED: u32 = 1 << 7;
    /// The call's return was not seen; comes with [`NO_RETURN`].
    pub const RETURN_MISSED: u32 = 1 << 8;
    /// The timeouts are the kernel's own copy: two 64-bit fields in every ABI.
    pub const TIMEOUT_FROM_KERNEL: u32 = 1 << 9;
    /// The entry was not seen although the tracer was attached by then: the kernel
    /// left the program out. Comes with [`NO_ENTRY`].
    pub const ENTRY_MISSED: u32 = 1 << 10;
    /// A compat call by 64-bit code (`int $0x80`).
    pub const CALLER_64BIT: u32 = 1 << 11;
    /// The caller lives in the initial pid namespace: its own ids are the task's. Where
    /// neither this is set nor an [`super::OwnIds`] is there, they are not known.
    pub const INITIAL_PID_NS: u32 = 1 << 12;
}

/// The kinds of sections. Append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum SectionKind {
    /// [`Task`].
    Task = 1,
    /// The timeout as it was at entry: 16 raw bytes, see [`Timeout`].
    TimeoutRequested = 2,
    /// The timeout as the kernel left it: 16 raw bytes, see [`Timeout`].
    TimeoutRemaining = 3,
    /// Raw `struct mmsghdr` elements as they were at entry.
    EntryHeaders = 4,
    /// Raw `struct mmsghdr` elements as they were at exit.
    ExitHeaders = 5,
    /// Source addresses: for each message a [`NameHeader`] and its bytes.
    Names = 6,
    /// The path of the executable: its components, last one first, each with a
    /// NUL. In [`RecordKind::Image`].
    Exe = 7,
    /// [`Socket`], and the bytes of the names of an AF_UNIX one. Absent where there is
    /// no such descriptor, and not captured where another file has taken its place.
    Socket = 8,
    /// [`OwnIds`], unless [`flags::INITIAL_PID_NS`] says it all.
    OwnIds = 9,
    /// The kernel's own copies of headers, see [`crate::copies`].
    KernelHeaders = 10,
    /// The lengths of the messages that the kernel received, see [`crate::copies`].
    KernelLengths = 11,
    /// The iovecs of each message, see [`crate::detail`].
    Iovs = 16,
    /// The control messages of each message, see [`crate::detail`].
    Control = 17,
    /// The payload of each message, see [`crate::detail`].
    Payload = 18,
}

/// How the reading of something went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// There was nothing to read: a NULL pointer, or memory that the kernel did not write.
    Absent = 0,
    /// All of it was read.
    Read = 1,
    /// A part was read; `full` says how long the whole was.
    Partial = 2,
    /// Nothing could be read: the memory faulted.
    Faulted = 3,
    /// It was not tried.
    NotCaptured = 4,
}

/// A number on the wire that is no value of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown(
    /// The number.
    pub u64,
);

impl TryFrom<u8> for Status {
    type Error = Unknown;

    fn try_from(raw: u8) -> Result<Self, Unknown> {
        [Self::Absent, Self::Read, Self::Partial, Self::Faulted, Self::NotCaptured]
            .into_iter()
            .find(|status| *status as u8 == raw)
            .ok_or(Unknown(raw.into()))
    }
}

impl TryFrom<u16> for RecordKind {
    type Error = Unknown;

    fn try_from(raw: u16) -> Result<Self, Unknown> {
        [Self::Call, Self::Image]
            .into_iter()
            .find(|kind| *kind as u16 == raw)
            .ok_or(Unknown(raw.into()))
    }
}

impl TryFrom<u16> for SectionKind {
    type Error = Unknown;

    fn try_from(raw: u16) -> Result<Self, Unknown> {
        [
            Self::Task,
            Self::TimeoutRequested,
            Self::TimeoutRemaining,
            Self::EntryHeaders,
            Self::ExitHeaders,
            Self::Names,
            Self::Exe,
            Self::Socket,
            Self::OwnIds,
            Self::KernelHeaders,
            Self::KernelLengths,
            Self::Iovs,
            Self::Control,
            Self::Payload,
        ]
        .into_iter()
        .find(|kind| *kind as u16 == raw)
        .ok_or(Unknown(raw.into()))
    }
}

/// The start of every record.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct RecordHeader {
    /// [`VERSION`].
    pub version: u16,
    /// A [`RecordKind`].
    pub kind: u16,
    /// Bytes of the whole record, this header included.
    pub len: u32,
    /// A [`crate::registry::EventId`].
    pub event: u16,
    /// A [`crate::abi::Abi`].
    pub abi: u8,
    /// 0.
    pub reserved: u8,
    /// Bits of [`flags`].
    pub flags: u32,
    /// The CPU that wrote the record.
    pub cpu: u32,
    /// The syscall number as the kernel's entry code saw it.
    pub nr: u32,
    /// CLOCK_MONOTONIC at entry, ns; 0 with [`flags::NO_ENTRY`].
    pub entry_ns: u64,
    /// CLOCK_MONOTONIC at exit, ns.
    pub exit_ns: u64,
    /// The return value: a count, or a negative errno.
    pub ret: i64,
    /// The arguments, zero-extended from the ABI's width.
    pub args: [u64; MAX_ARGS],
}

/// The start of a section. The body follows, padded with bytes of no meaning to
/// a multiple of 8.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SectionHeader {
    /// A [`SectionKind`].
    pub kind: u16,
    /// A [`Status`].
    pub status: u8,
    /// The version of the section's layout, from 1.
    pub version: u8,
    /// Bytes of the body, without padding.
    pub len: u32,
    /// Bytes that the body would have had if all had been read.
    pub full: u32,
    /// Elements in the body, where it is a list.
    pub count: u32,
}

/// The calling task.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Task {
    /// Thread group id in the initial pid namespace.
    pub pid: u32,
    /// Thread id in the initial pid namespace.
    pub tid: u32,
    /// Thread group id of the real parent.
    pub ppid: u32,
    /// Real uid in the initial user namespace.
    pub uid: u32,
    /// Real gid in the initial user namespace.
    pub gid: u32,
    /// Bits of [`unknown`]: fields that this kernel offers no way to read.
    pub unknown: u32,
    /// CLOCK_BOOTTIME when the thread group's leader started, ns.
    pub start_boottime_ns: u64,
    /// Id of the cgroup in the default (v2) hierarchy.
    pub cgroup_id: u64,
    /// Inode number of the pid namespace.
    pub pid_ns: u32,
    /// Inode number of the mount namespace.
    pub mnt_ns: u32,
    /// Inode number of the network namespace.
    pub net_ns: u32,
    /// How many programs the thread has executed (`self_exec_id`): with pid and
    /// start it tells one program image from another.
    pub exec_id: u32,
    /// The thread's name, NUL-padded; bytes of the caller's choice.
    pub comm: [u8; COMM_LEN],
}

/// Bits of [`Task::unknown`].
pub mod unknown {
    /// [`super::Task::ppid`]
    pub const PPID: u32 = 1 << 0;
    /// [`super::Task::start_boottime_ns`]
    pub const START: u32 = 1 << 1;
    /// [`super::Task::pid_ns`], and [`super::OwnIds`].
    pub const PID_NS: u32 = 1 << 2;
    /// [`super::Task::mnt_ns`]
    pub const MNT_NS: u32 = 1 << 3;
    /// [`super::Task::net_ns`]
    pub const NET_NS: u32 = 1 << 4;
    /// [`super::Task::exec_id`]
    pub const EXEC_ID: u32 = 1 << 5;
    /// The path of the executable.
    pub const EXE: u32 = 1 << 6;
    /// The socket.
    pub const SOCKET: u32 = 1 << 7;
}

/// The caller's ids as its own pid namespace, the innermost one, numbers them.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct OwnIds {
    /// Thread group id.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
}

/// A timeout as it lies in user memory: two 64-bit fields, or two 32-bit fields
/// and 8 bytes of no meaning.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Timeout {
    /// The bytes.
    pub raw: [u8; 16],
}

/// The fixed part of a call's record.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Call {
    /// The record's start.
    pub header: RecordHeader,
    /// Of [`SectionKind::Task`].
    pub task_section: SectionHeader,
    /// The calling task.
    pub task: Task,
    /// Of [`SectionKind::TimeoutRequested`].
    pub requested_section: SectionHeader,
    /// The timeout at entry.
    pub requested: Timeout,
    /// Of [`SectionKind::TimeoutRemaining`].
    pub remaining_section: SectionHeader,
    /// The timeout at exit.
    pub remaining: Timeout,
}

/// Most bytes of an AF_UNIX socket's name (`sun_path`, unix(7)).
pub const MAX_UNIX_NAME: usize = 112;

/// The socket that the first argument stands for, as it was when the call ended. The
/// names of an AF_UNIX socket follow: `local_len` bytes, then `peer_len`, each padded
/// to 8.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Socket {
    /// Inode number, as in /proc/PID/fd.
    pub inode: u64,
    /// Cookie; 0 where it has none.
    pub cookie: u64,
    /// SO_RCVTIMEO in ns; `i64::MAX` for none, negative where it is not known.
    pub rcvtimeo: i64,
    /// Address, the first 4 bytes for IPv4; for AF_NETLINK the port id.
    pub local: [u8; 16],
    /// The peer's.
    pub peer: [u8; 16],
    /// Inode number of the network namespace.
    pub netns: u32,
    /// SO_RCVBUF, bytes.
    pub rcvbuf: u32,
    /// Bytes that its receive queue takes (`sk_rmem_alloc`).
    pub rmem: u32,
    /// The pending error (`sk_err`), an errno; 0 for none.
    pub error: u32,
    /// Address family.
    pub family: u16,
    /// SOCK_…
    pub kind: u16,
    /// Protocol of the family.
    pub protocol: u16,
    /// Port, in host byte order.
    pub local_port: u16,
    /// The peer's.
    pub peer_port: u16,
    /// Bytes of the name that follows.
    pub local_len: u16,
    /// Bytes of the peer's.
    pub peer_len: u16,
    /// Bits of [`socket`].
    pub flags: u16,
}

/// Bits of [`Socket::flags`].
pub mod socket {
    /// The descriptor is open, but no socket: nothing else means anything.
    pub const NONE: u16 = 1 << 0;
    /// O_NONBLOCK is set.
    pub const NONBLOCK: u16 = 1 << 1;
}

/// Bytes of the longest section of a [`Socket`].
pub const MAX_SOCKET: usize = size_of::<Socket>() + 2 * MAX_UNIX_NAME;

/// The start of one message's source address.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct NameHeader {
    /// A [`Status`].
    pub status: u8,
    /// 0.
    pub reserved: u8,
    /// Bytes that follow, without padding to 8.
    pub len: u16,
    /// The length that the kernel reported.
    pub full: u32,
}

/// `len` rounded up to the alignment of sections.
pub const fn padded(len: usize) -> usize {
    len.next_multiple_of(8)
}

/// Bytes of the longest record with up to `messages` messages, `detail` of each, and the
/// kernel's `copies`.
pub const fn max_len(messages: u32, detail: &Detail, copies: &Copies) -> usize {
    size_of::<Call>()
        // Headers at entry and at exit, names, and the number of messages received.
        + 4 * size_of::<SectionHeader>()
        + messages as usize * (2 * 64 + size_of::<NameHeader>() + MAX_NAME)
        + detail.room(messages)
        + copies.room(messages)
        + size_of::<SectionHeader>()
        + MAX_EXE
        + MAX_COMPONENT
}

/// A native `struct mmsghdr` (include/linux/socket.h).
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Mmsghdr {
    /// Address of the buffer for the source address; 0 for none.
    pub name: u64,
    /// Size of that buffer; the address's length at exit.
    pub namelen: u32,
    /// Padding.
    pub pad0: u32,
    /// Address of the iovec array.
    pub iov: u64,
    /// Its number of elements.
    pub iovlen: u64,
    /// Address of the buffer for control messages; 0 for none.
    pub control: u64,
    /// Size of that buffer; the bytes written at exit.
    pub controllen: u64,
    /// `MSG_*` flags of the message, at exit.
    pub flags: u32,
    /// Padding.
    pub pad1: u32,
    /// Bytes received (`msg_len`), at exit.
    pub len: u32,
    /// Padding.
    pub pad2: u32,
}

/// A `struct compat_mmsghdr` (include/net/compat.h): the same with 32-bit fields.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct CompatMmsghdr {
    /// See [`Mmsghdr`].
    pub name: u32,
    /// See [`Mmsghdr`].
    pub namelen: u32,
    /// See [`Mmsghdr`].
    pub iov: u32,
    /// See [`Mmsghdr`].
    pub iovlen: u32,
    /// See [`Mmsghdr`].
    pub control: u32,
    /// See [`Mmsghdr`].
    pub controllen: u32,
    /// See [`Mmsghdr`].
    pub flags: u32,
    /// See [`Mmsghdr`].
    pub len: u32,
}

const _: () = assert!(size_of::<Mmsghdr>() == crate::abi::Abi::X86_64.mmsghdr_size());
const _: () = assert!(size_of::<CompatMmsghdr>() == crate::abi::Abi::I386.mmsghdr_size());

impl From<CompatMmsghdr> for Mmsghdr {
    fn from(compat: CompatMmsghdr) -> Self {
        Self {
            name: compat.name.into(),
            namelen: compat.namelen,
            iov: compat.iov.into(),
            iovlen: compat.iovlen.into(),
            control: compat.control.into(),
            controllen: compat.controllen.into(),
            flags: compat.flags,
            len: compat.len,
            ..Self::default()
        }
    }
}
