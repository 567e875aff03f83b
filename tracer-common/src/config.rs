//! What the daemon tells the kernel programs before they are loaded, as
//! read-only globals: the verifier knows the values and removes what they switch
//! off.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    check::{Check, MAX_CHECKS},
    copies::Copies,
    detail::Detail,
    record::{Call, MAX_SOCKET, OwnIds, SectionHeader, max_len},
};

/// Most (ABI, number) pairs that can be traced at once.
pub const MAX_RULES: usize = 8;

/// One (ABI, number) pair to trace.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Rule {
    /// The number as the kernel's entry code sees it.
    pub nr: u32,
    /// For a multiplexed call the operation (its first argument), else 0.
    pub call: u32,
    /// A [`crate::registry::EventId`].
    pub event: u16,
    /// A [`crate::abi::Abi`].
    pub abi: u8,
    /// Bits of [`rule`].
    pub flags: u8,
    /// 0.
    pub reserved: u32,
}

/// Bits of [`Rule::flags`].
pub mod rule {
    /// The kernel marks the task as being in a compat call.
    pub const COMPAT_TASK: u8 = 1 << 0;
    /// User structures have 32-bit pointers.
    pub const COMPAT_LAYOUT: u8 = 1 << 1;
    /// The timeout has two 32-bit fields.
    pub const TIME32: u8 = 1 << 2;
    /// The arguments lie in user memory (`socketcall`).
    pub const MULTIPLEXED: u8 = 1 << 3;
}

/// Bits of [`Config::filters`].
pub mod filter {
    /// Only thread groups that `PIDS` includes.
    pub const PID_INCLUDE: u32 = 1 << 0;
    /// Not the thread groups that `PIDS` excludes.
    pub const PID_EXCLUDE: u32 = 1 << 1;
    /// Only threads that `TIDS` includes.
    pub const TID_INCLUDE: u32 = 1 << 2;
    /// Not the threads that `TIDS` excludes.
    pub const TID_EXCLUDE: u32 = 1 << 3;
    /// Only users that `UIDS` includes.
    pub const UID_INCLUDE: u32 = 1 << 4;
    /// Not the users that `UIDS` excludes.
    pub const UID_EXCLUDE: u32 = 1 << 5;
    /// Only names that `COMMS` includes.
    pub const COMM_INCLUDE: u32 = 1 << 6;
    /// Not the names that `COMMS` excludes.
    pub const COMM_EXCLUDE: u32 = 1 << 7;
    /// Only cgroups that `CGROUPS` includes, and those below them.
    pub const CGROUP_INCLUDE: u32 = 1 << 8;
    /// Not the cgroups that `CGROUPS` excludes, nor those below them.
    pub const CGROUP_EXCLUDE: u32 = 1 << 9;
    /// Children of included thread groups are included too.
    pub const FOLLOW: u32 = 1 << 10;
}

/// Values in the filter maps.
pub mod verdict {
    /// The key is included.
    pub const INCLUDE: u32 = 1;
    /// The key is excluded.
    pub const EXCLUDE: u32 = 2;
}

/// Byte offsets of register values in `struct pt_regs`, from the kernel's BTF.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Registers {
    /// The syscall number (`orig_ax`, `syscallno`).
    pub nr: u32,
    /// The instruction pointer.
    pub ip: u32,
    /// The stack pointer.
    pub sp: u32,
    /// The code segment, by which code of 64 bits is told from code of 32; not looked at
    /// where `code64` is 0.
    pub cs: u32,
    /// Its value in code of 64 bits (`__USER_CS`, arch/x86/include/asm/segment.h).
    pub code64: u32,
    /// In the registers of a function (kprobe): its return value.
    pub function_ret: u32,
    /// Likewise its first argument.
    pub function_first: u32,
    /// Likewise its second argument.
    pub function_second: u32,
    /// Likewise its third argument.
    pub function_third: u32,
    /// Likewise its fourth argument.
    pub function_fourth: u32,
    /// Likewise its fifth argument.
    pub function_fifth: u32,
    /// The arguments of a native call.
    pub native: [u32; 6],
    /// The arguments of a compat call.
    pub compat: [u32; 6],
}

/// Byte offsets of fields in kernel structures, from the kernel's BTF.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Offsets {
    /// `task_struct.thread_info.status` (x86) or `.flags` (arm64).
    pub task_compat: u32,
    /// `task_struct.group_leader`
    pub task_group_leader: u32,
    /// `task_struct.real_parent`
    pub task_real_parent: u32,
    /// `task_struct.tgid`
    pub task_tgid: u32,
    /// `task_struct.start_boottime` (`real_start_time` before 5.5)
    pub task_start_boottime: u32,
    /// `task_struct.nsproxy`
    pub task_nsproxy: u32,
    /// `task_struct.thread_pid`
    pub task_thread_pid: u32,
    /// `task_struct.self_exec_id`
    pub task_self_exec_id: u32,
    /// `task_struct.signal`
    pub task_signal: u32,
    /// `signal_struct.live.counter`
    pub signal_live: u32,
    /// `nsproxy.mnt_ns`
    pub nsproxy_mnt_ns: u32,
    /// `nsproxy.net_ns`
    pub nsproxy_net_ns: u32,
    /// `mnt_namespace.ns.inum`
    pub mnt_ns_inum: u32,
    /// `net.ns.inum`
    pub net_ns_inum: u32,
    /// `task_struct.pid`
    pub task_pid: u32,
    /// `task_struct.comm`
    pub task_comm: u32,
    /// `task_struct.cred`
    pub task_cred: u32,
    /// `cred.uid`
    pub cred_uid: u32,
    /// `cred.gid`
    pub cred_gid: u32,
    /// `task_struct.cgroups`
    pub task_cgroups: u32,
    /// `css_set.dfl_cgrp`
    pub css_set_default: u32,
    /// `cgroup.kn`
    pub cgroup_node: u32,
    /// `kernfs_node.id`
    pub node_id: u32,
    /// `pid.level`
    pub pid_level: u32,
    /// `pid.numbers`
    pub pid_numbers: u32,
    /// `sizeof(struct upid)`
    pub upid_size: u32,
    /// `upid.ns`
    pub upid_ns: u32,
    /// `upid.nr`
    pub upid_nr: u32,
    /// `pid_namespace.ns.inum`
    pub pid_ns_inum: u32,
    /// `k_sigaction.sa.sa_handler`
    pub sigaction_handler: u32,
    /// `k_sigaction.sa.sa_flags`
    pub sigaction_flags: u32,
    /// `task_struct.mm`
    pub task_mm: u32,
    /// `mm_struct.exe_file`
    pub mm_exe_file: u32,
    /// `file.f_path.mnt`
    pub file_mnt: u32,
    /// `file.f_path.dentry`
    pub file_dentry: u32,
    /// `dentry.d_parent`
    pub dentry_parent: u32,
    /// `dentry.d_name.name`
    pub dentry_name: u32,
    /// `dentry.d_hash.pprev`
    pub dentry_pprev: u32,
    /// `vfsmount.mnt_root`
    pub vfsmount_root: u32,
    /// `mount.mnt`
    pub mount_mnt: u32,
    /// `mount.mnt_parent`
    pub mount_parent: u32,
    /// `mount.mnt_mountpoint`
    pub mount_mountpoint: u32,
    /// `task_struct.files`
    pub task_files: u32,
    /// `files_struct.fdt`
    pub files_fdt: u32,
    /// `fdtable.max_fds`
    pub fdt_max: u32,
    /// `fdtable.fd`
    pub fdt_fd: u32,
    /// `file.private_data`
    pub file_private: u32,
    /// `file.f_flags`
    pub file_flags: u32,
    /// `socket.type`
    pub socket_type: u32,
    /// `socket.file`
    pub socket_file: u32,
    /// `socket.sk`
    pub socket_sk: u32,
    /// From the socket to its inode's number: `socket_alloc.vfs_inode` and
    /// `inode.i_ino`.
    pub socket_ino: u32,
    /// Bytes of `struct sock` that are looked at; 0 where its layout is not known, and
    /// then nothing of the socket is captured.
    pub sock_size: u32,
    /// `sock_common.skc_family`
    pub sock_family: u32,
    /// `sock_common.skc_num`
    pub sock_num: u32,
    /// `sock_common.skc_dport`
    pub sock_dport: u32,
    /// `sock_common.skc_rcv_saddr`
    pub sock_saddr: u32,
    /// `sock_common.skc_daddr`
    pub sock_daddr: u32,
    /// `sock_common.skc_v6_rcv_saddr`
    pub sock_saddr6: u32,
    /// `sock_common.skc_v6_daddr`
    pub sock_daddr6: u32,
    /// `sock_common.skc_net`
    pub sock_net: u32,
    /// `sock_common.skc_cookie`
    pub sock_cookie: u32,
    /// `sock.sk_protocol`
    pub sock_protocol: u32,
    /// `sock.sk_rcvbuf`
    pub sock_rcvbuf: u32,
    /// `sock.sk_backlog.rmem_alloc`
    pub sock_rmem: u32,
    /// `sock.sk_rcvtimeo`
    pub sock_rcvtimeo: u32,
    /// `sock.sk_err`
    pub sock_err: u32,
    /// `unix_sock.addr`
    pub unix_addr: u32,
    /// `unix_sock.peer`
    pub unix_peer: u32,
    /// `unix_address.len`
    pub unix_len: u32,
    /// `unix_address.name`, past its family.
    pub unix_name: u32,
    /// `netlink_sock.portid`
    pub netlink_portid: u32,
    /// `netlink_sock.dst_portid`
    pub netlink_dst: u32,
    /// Nanoseconds of a tick of the kernel's clock (1 / HZ); 0 where it is not known.
    pub tick_ns: u32,
    /// `sock.sk_socket`
    pub sock_socket: u32,
    /// `msghdr.msg_control_user`
    pub msg_control: u32,
    /// `msghdr.msg_controllen`
    pub msg_controllen: u32,
    /// `msghdr.msg_iter.iter_type` (`type` before 5.14)
    pub iter_type: u32,
    /// `msghdr.msg_iter.count`
    pub iter_count: u32,
    /// `msghdr.msg_iter.__iov` (`iov` before 6.4), which is the list of iovecs, or the
    /// only buffer itself
    pub iter_iov: u32,
    /// `msghdr.msg_iter.nr_segs`
    pub iter_segs: u32,
}

/// The kinds of `struct iov_iter` that a list of iovecs becomes (include/linux/uio.h).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct IterKinds {
    /// The bits of the word at [`Offsets::iter_type`] that tell which it is.
    pub mask: u32,
    /// `ITER_IOVEC`: the list.
    pub iovec: u32,
    /// `ITER_UBUF`, from 6.0: its only buffer. `u32::MAX` before.
    pub ubuf: u32,
}

/// What the programs call instead of `bpf_rdonly_cast`, a function of the kernel's whose
/// number is another one in each: no helper has this number.
pub const RDONLY_CAST: u32 = 0x00ca_5700;

/// Ids of structures in the kernel's BTF, for `bpf_rdonly_cast`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Types {
    /// `struct file`
    pub file: u32,
    /// `struct socket_alloc`, which opens with its `struct socket`.
    pub socket: u32,
    /// `struct sock`
    pub sock: u32,
    /// `struct net`
    pub net: u32,
    /// `struct netlink_sock`
    pub netlink: u32,
    /// `struct unix_sock`
    pub unix: u32,
    /// `struct list_head`: whatever begins with a pointer.
    pub pointer: u32,
    /// `struct task_struct`
    pub task: u32,
}

/// Most of `struct sock` that can be looked at, bytes.
pub const MAX_SOCK: usize = 1024;

/// The read-only global `CONFIG` of the kernel programs.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Config {
    /// What to trace; the first `rule_count` are used.
    pub rules: [Rule; MAX_RULES],
    /// Number of rules.
    pub rule_count: u32,
    /// Bits of [`filter`].
    pub filters: u32,
    /// Most messages to keep of one call; 0 keeps none.
    pub messages: u32,
    /// Threads remembered between calls, a power of two; past three quarters of it a
    /// thread is forgotten when its call ends.
    pub max_threads: u32,
    /// Unread bytes in the ring from which on the reader is woken.
    pub wake_mark: u64,
    /// The bits of a CPU's number that tell its ring.
    pub ring_mask: u64,
    /// log2 of the bytes after which it is woken again.
    pub wake_shift: u32,
    /// 1 where `bpf_get_current_task_btf` exists (5.11): fields of the task are
    /// then loaded directly.
    pub task_direct: u32,
    /// Bits of [`crate::record::unknown`].
    pub task_unknown: u32,
    /// 1 where programs can be preempted (fentry): counters are then added to
    /// atomically.
    pub preemptible: u32,
    /// Where in a thread's entry the space lies to put a record together; 0 for
    /// the CPU's own.
    pub scratch_at: u32,
    /// 1 where `bpf_task_pt_regs` exists (5.15): tracepoints then take the registers
    /// from there.
    pub task_pt_regs: u32,
    /// 1 where `bpf_rdonly_cast` exists (6.2) and fields of the task are loaded directly:
    /// those of the socket then are too.
    pub casts: u32,
    /// 1 where the caller's name, ids and cgroup are among the fields of the task that are
    /// known.
    pub task_plain: u32,
    /// What to cast to.
    pub types: Types,
    /// Most iovecs to keep of one message; 0 keeps neither them nor control messages
    /// nor payload.
    pub iovs: u32,
    /// Most bytes of control messages to keep of one message.
    pub control: u32,
    /// Most bytes of payload to keep of one message; 0 keeps none.
    pub payload: u32,
    /// [`Detail::room`] of all that.
    pub detail_room: u32,
    /// Number of `entry_checks`.
    pub entry_count: u32,
    /// Number of `exit_checks`.
    pub exit_count: u32,
    /// What a call's arguments must be.
    pub entry_checks: [Check; MAX_CHECKS],
    /// What a call's return value must be, or the arguments beside it.
    pub exit_checks: [Check; MAX_CHECKS],
    /// Where in a thread's entry the kernel's own copies of headers lie; 0 where they
    /// are not kept.
    pub kernel_headers_at: u32,
    /// Likewise the lengths of the messages received.
    pub kernel_lengths_at: u32,
    /// [`Copies::room`] of both.
    pub copies_room: u32,
    /// Kinds of `struct iov_iter`.
    pub iter: IterKinds,
    /// Mask of the compat bit in the word at [`Offsets::task_compat`].
    pub compat_mask: u64,
    /// Register offsets.
    pub registers: Registers,
    /// Structure offsets.
    pub offsets: Offsets,
}

/// Bytes of what is remembered of a thread, before the mmsghdr array.
pub const THREAD_HEAD: usize = 120 + size_of::<Call>();
/// Bytes of what may follow a call without messages in its record, which is put together
/// where the mmsghdr array was: the caller's own ids and the socket.
pub const TAIL: usize =
    2 * size_of::<SectionHeader>() + size_of::<OwnIds>() + MAX_SOCKET.next_multiple_of(8);
/// Bytes of a CPU's scratch space before the record.
pub const SCRATCH_HEAD: usize = 120;

/// Bytes of a thread's entry before the kernel's copies, when up to `messages` messages
/// are kept.
pub const fn copies_at(messages: u32) -> usize {
    THREAD_HEAD + messages as usize * 64
}

/// Size of a value of the map `THREADS` when up to `messages` messages are kept, and the
/// kernel's `copies`.
pub const fn thread_size(messages: u32, copies: &Copies) -> usize {
    let size = copies_at(messages) + copies.memory(messages);
    if size < THREAD_HEAD + TAIL { THREAD_HEAD + TAIL } else { size }
}

/// Size of a value of the map `SCRATCH` when up to `messages` messages are kept, `detail`
/// of each, and the kernel's `copies`.
pub const fn scratch_size(messages: u32, detail: &Detail, copies: &Copies) -> usize {
    SCRATCH_HEAD + max_len(messages, detail, copies)
}
