//! Where the running kernel keeps what the programs read: offsets from its BTF,
//! and, where it has none, what is fixed by its interfaces.

use tracer_common::{
    config::{IterKinds, MAX_SOCK, Offsets, Registers, Types},
    copies::Copies,
    record::unknown,
};

use super::{
    btf::Btf,
    error::SourceError,
    features::{Kernel, arch},
};

/// Everything about the kernel's layout that the programs are told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layout {
    /// Register offsets.
    pub registers: Registers,
    /// Structure offsets.
    pub offsets: Offsets,
    /// Mask of the compat bit in the word at [`Offsets::task_compat`].
    pub compat_mask: u64,
    /// Fields of the task that can't be reached: bits of [`unknown`].
    pub task_unknown: u32,
    /// Kinds of `struct iov_iter`.
    pub iter: IterKinds,
    /// The kernel's own copies that can be reached.
    pub copies: Copies,
    /// Whether the caller's name, ids and cgroup can be read from the task.
    pub task_plain: bool,
    /// What addresses can be taken for, where the kernel has `bpf_rdonly_cast`.
    pub casts: Option<Casts>,
}

/// A function of the kernel's that programs may call, and structures for it.
#[derive(Clone, Copy, Debug)]
pub struct Casts {
    /// The function's id in the kernel's BTF.
    pub function: u32,
    /// The structures'.
    pub types: Types,
}

/// `__USER_CS` (arch/x86/include/asm/segment.h): code of 64 bits.
const USER_CS: u32 = 0x33;
/// `TS_COMPAT` (arch/x86/include/asm/thread_info.h).
const TS_COMPAT: u64 = 2;
/// `_TIF_32BIT` (arch/arm64/include/asm/thread_info.h).
const TIF_32BIT: u64 = 1 << 22;

/// The layout of the running kernel.
///
/// # Errors
/// [`SourceError::Architecture`] on a machine without a known register layout.
pub fn resolve(btf: Option<&Btf>, kernel: &Kernel) -> Result<Layout, SourceError> {
    let mut layout = match (arch(), btf) {
        ("x86_64", Some(btf)) => x86_from_btf(btf).unwrap_or_else(|| x86_fixed(kernel)),
        ("x86_64", None) => x86_fixed(kernel),
        ("aarch64", Some(btf)) => arm64_from_btf(btf).unwrap_or_else(arm64_fixed),
        ("aarch64", None) => arm64_fixed(),
        (other, _) => return Err(SourceError::Architecture(other)),
    };
    task(btf, &mut layout);
    if let Some(btf) = btf {
        copies(btf, &mut layout);
        layout.task_plain = task_plain(btf, &mut layout.offsets).is_some();
        layout.casts = casts(btf);
    }
    Ok(layout)
}

fn x86_from_btf(btf: &Btf) -> Option<Layout> {
    let reg = |name: &str| btf.offset(&format!("pt_regs.{name}")).ok();
    let registers = Registers {
        nr: reg("orig_ax")?,
        ip: reg("ip")?,
        sp: reg("sp")?,
        cs: reg("cs")?,
        code64: USER_CS,
        function_ret: reg("ax")?,
        function_first: reg("di")?,
        function_second: reg("si")?,
        function_third: reg("dx")?,
        function_fourth: reg("cx")?,
        function_fifth: reg("r8")?,
        native: [reg("di")?, reg("si")?, reg("dx")?, reg("r10")?, reg("r8")?, reg("r9")?],
        compat: [reg("bx")?, reg("cx")?, reg("dx")?, reg("si")?, reg("di")?, reg("bp")?],
    };
    let task_compat = btf.offset("task_struct.thread_info.status").ok()?;
    Some(Layout {
        registers,
        offsets: Offsets { task_compat, ..Offsets::default() },
        compat_mask: TS_COMPAT,
        ..Layout::default()
    })
}

/// `struct pt_regs` is user-visible (arch/x86/include/uapi/asm/ptrace.h), and
/// `thread_info` opens the task: flags, syscall_work (from 5.11), status.
fn x86_fixed(kernel: &Kernel) -> Layout {
    let task_compat = if kernel.at_least(5, 11) { 16 } else { 8 };
    Layout {
        registers: Registers {
            nr: 120,
            ip: 128,
            sp: 152,
            cs: 136,
            code64: USER_CS,
            function_ret: 80,
            function_first: 112,
            function_second: 104,
            function_third: 96,
            function_fourth: 88,
            function_fifth: 72,
            native: [112, 104, 96, 56, 72, 64],
            compat: [40, 88, 96, 104, 112, 32],
        },
        offsets: Offsets { task_compat, ..Offsets::default() },
        compat_mask: TS_COMPAT,
        ..Layout::default()
    }
}

fn arm64_from_btf(btf: &Btf) -> Option<Layout> {
    let regs = btf.offset("pt_regs.regs").ok()?;
    let first = btf.offset("pt_regs.orig_x0").ok()?;
    let args = [first, regs + 8, regs + 16, regs + 24, regs + 32, regs + 40];
    let registers = Registers {
        nr: btf.offset("pt_regs.syscallno").ok()?,
        ip: btf.offset("pt_regs.pc").ok()?,
        sp: btf.offset("pt_regs.sp").ok()?,
        cs: 0,
        code64: 0,
        function_ret: regs,
        function_first: regs,
        function_second: regs + 8,
        function_third: regs + 16,
        function_fourth: regs + 24,
        function_fifth: regs + 32,
        native: args,
        compat: args,
    };
    let task_compat = btf.offset("task_struct.thread_info.flags").ok()?;
    Some(Layout {
        registers,
        offsets: Offsets { task_compat, ..Offsets::default() },
        compat_mask: TIF_32BIT,
        ..Layout::default()
    })
}

/// arch/arm64/include/asm/ptrace.h since 4.15: regs, sp, pc, pstate, orig_x0,
/// syscallno; `thread_info.flags` opens the task.
fn arm64_fixed() -> Layout {
    let args = [272, 8, 16, 24, 32, 40];
    Layout {
        registers: Registers {
            nr: 280,
            ip: 256,
            sp: 248,
            cs: 0,
            code64: 0,
            function_ret: 0,
            function_first: 0,
            function_second: 8,
            function_third: 16,
            function_fourth: 24,
            function_fifth: 32,
            native: args,
            compat: args,
        },
        offsets: Offsets::default(),
        compat_mask: TIF_32BIT,
        ..Layout::default()
    }
}

/// The offsets that no interface fixes: without BTF, or where the kernel was
/// built without the structure, the field is marked as unknown.
fn task(btf: Option<&Btf>, layout: &mut Layout) {
    let find = |path: &str| btf.and_then(|btf| btf.offset(path).ok());
    let offsets = &mut layout.offsets;
    let mut unknown_fields = 0;
    let mut set = |field: u32, fields: &mut [(&mut u32, Option<u32>)]| {
        if fields.iter().any(|(_, found)| found.is_none()) {
            unknown_fields |= field;
        }
        for (slot, found) in fields {
            **slot = found.unwrap_or(0);
        }
    };
    set(
        unknown::PPID,
        &mut [
            (&mut offsets.task_real_parent, find("task_struct.real_parent")),
            (&mut offsets.task_tgid, find("task_struct.tgid")),
        ],
    );
    set(
        unknown::START,
        &mut [
            (&mut offsets.task_group_leader, find("task_struct.group_leader")),
            (
                &mut offsets.task_start_boottime,
                find("task_struct.start_boottime").or(find("task_struct.real_start_time")),
            ),
        ],
    );
    let mut leader = 0;
    set(
        unknown::PID_NS,
        &mut [
            (&mut offsets.task_thread_pid, find("task_struct.thread_pid")),
            (&mut offsets.pid_level, find("pid.level")),
            (&mut offsets.pid_numbers, find("pid.numbers")),
            (&mut offsets.upid_size, btf.and_then(|btf| btf.size("upid").ok())),
            (&mut offsets.upid_ns, find("upid.ns")),
            (&mut offsets.upid_nr, find("upid.nr")),
            (&mut leader, find("task_struct.group_leader")),
            (&mut offsets.pid_ns_inum, find("pid_namespace.ns.inum")),
        ],
    );
    set(
        unknown::MNT_NS,
        &mut [
            (&mut offsets.task_nsproxy, find("task_struct.nsproxy")),
            (&mut offsets.nsproxy_mnt_ns, find("nsproxy.mnt_ns")),
            (&mut offsets.mnt_ns_inum, find("mnt_namespace.ns.inum")),
        ],
    );
    set(
        unknown::NET_NS,
        &mut [
            (&mut offsets.task_nsproxy, find("task_struct.nsproxy")),
            (&mut offsets.nsproxy_net_ns, find("nsproxy.net_ns")),
            (&mut offsets.net_ns_inum, find("net.ns.inum")),
        ],
    );
    set(
        unknown::EXEC_ID,
        &mut [(&mut offsets.task_self_exec_id, find("task_struct.self_exec_id"))],
    );
    set(
        unknown::EXE,
        &mut [
            (&mut offsets.task_mm, find("task_struct.mm")),
            (&mut offsets.mm_exe_file, find("mm_struct.exe_file")),
            (&mut offsets.file_mnt, find("file.f_path.mnt")),
            (&mut offsets.file_dentry, find("file.f_path.dentry")),
            (&mut offsets.dentry_parent, find("dentry.d_parent")),
            (&mut offsets.dentry_name, find("dentry.d_name.name")),
            (&mut offsets.dentry_pprev, find("dentry.d_hash.pprev")),
            (&mut offsets.vfsmount_root, find("vfsmount.mnt_root")),
            (&mut offsets.mount_mnt, find("mount.mnt")),
            (&mut offsets.mount_parent, find("mount.mnt_parent")),
            (&mut offsets.mount_mountpoint, find("mount.mnt_mountpoint")),
        ],
    );
    socket(btf, offsets);
    if offsets.sock_size == 0 {
        unknown_fields |= unknown::SOCKET;
    }
    layout.task_unknown = unknown_fields;
    offsets.task_signal = find("task_struct.signal").unwrap_or(0);
    offsets.signal_live = find("signal_struct.live").unwrap_or(0);
    // `struct sigaction` opens with the handler and the flags on both machines
    // (include/linux/signal_types.h).
    offsets.sigaction_handler = find("k_sigaction.sa.sa_handler").unwrap_or(0);
    offsets.sigaction_flags = find("k_sigaction.sa.sa_flags").unwrap_or(8);
}

/// Where the caller's name, ids and cgroup lie, which there are helpers for too.
fn task_plain(btf: &Btf, offsets: &mut Offsets) -> Option<()> {
    let find = |path: &str| btf.offset(path).ok();
    offsets.task_pid = find("task_struct.pid")?;
    offsets.task_comm = find("task_struct.comm")?;
    offsets.task_cred = find("task_struct.cred")?;
    offsets.cred_uid = find("cred.uid")?;
    offsets.cred_gid = find("cred.gid")?;
    offsets.task_cgroups = find("task_struct.cgroups")?;
    offsets.css_set_default = find("css_set.dfl_cgrp")?;
    offsets.cgroup_node = find("cgroup.kn")?;
    offsets.node_id = find("kernfs_node.id")?;
    Some(())
}

/// What the programs can cast to, from Linux 6.2.
fn casts(btf: &Btf) -> Option<Casts> {
    let id = |name: &str| btf.structure(name).ok();
    let types = Types {
        file: id("file")?,
        socket: id("socket_alloc")?,
        sock: id("sock")?,
        net: id("net")?,
        netlink: id("netlink_sock")?,
        unix: id("unix_sock")?,
        pointer: id("list_head")?,
        task: id("task_struct")?,
    };
    Some(Casts { function: btf.function("bpf_rdonly_cast").ok()?, types })
}

/// Where the socket lies; without all of it nothing of the socket is captured.
fn socket(btf: Option<&Btf>, offsets: &mut Offsets) {
    let size = btf.and_then(|btf| known_socket(btf, offsets));
    offsets.sock_size = size.unwrap_or(0).min(u32::try_from(MAX_SOCK).unwrap_or(u32::MAX));
    offsets.tick_ns = tick_ns().unwrap_or(0);
}

/// Where the kernel's own copies of headers and lengths lie.
fn copies(btf: &Btf, layout: &mut Layout) {
    layout.copies.headers = message_header(btf, layout).is_some();
    let socket = btf.offset("sock.sk_socket").ok().filter(|_| layout.offsets.sock_size != 0);
    layout.offsets.sock_socket = socket.unwrap_or(0);
    layout.copies.lengths = socket.is_some() && btf.has_tracepoint("sock_recv_length");
}

/// Fills in the offsets of a `struct msghdr`.
fn message_header(btf: &Btf, layout: &mut Layout) -> Option<()> {
    let find = |path: &str| btf.offset(path).ok();
    let kind = |name: &str| btf.enumerator("iter_type", name).ok();
    let offsets = &mut layout.offsets;
    offsets.msg_control = find("msghdr.msg_control")?;
    offsets.msg_controllen = find("msghdr.msg_controllen")?;
    let iter = find("msghdr.msg_iter")?;
    // Before 5.14 the kind is a word that shares its lowest bit with the direction.
    let (kind_at, mask) = match find("iov_iter.iter_type") {
        Some(at) => (at, 0xff),
        None => (find("iov_iter.type")?, !1),
    };
    offsets.iter_type = iter + kind_at;
    offsets.iter_count = iter + find("iov_iter.count")?;
    offsets.iter_iov = iter + find("iov_iter.__iov").or_else(|| find("iov_iter.iov"))?;
    offsets.iter_segs = iter + find("iov_iter.nr_segs")?;
    let ubuf = kind("ITER_UBUF").unwrap_or(u32::MAX);
    layout.iter = IterKinds { mask, iovec: kind("ITER_IOVEC")?, ubuf };
    Some(())
}

/// How long a tick of the kernel's clock is. The kernel keeps SO_RCVTIMEO in ticks, so
/// the shortest timeout reads back as one (net/core/sock.c, sock_set_timeout).
fn tick_ns() -> Option<u32> {
    let socket = std::os::unix::net::UnixDatagram::unbound().ok()?;
    socket.set_read_timeout(Some(std::time::Duration::from_micros(1))).ok()?;
    let tick = socket.read_timeout().ok()??.as_micros();
    // Rounded down to microseconds: 3333 of 300 Hz.
    let hz = (1_000_000 + tick / 2).checked_div(tick)?;
    u32::try_from(1_000_000_000u128.checked_div(hz)?).ok()
}

/// Fills in the offsets, and returns the size of `struct sock`.
fn known_socket(btf: &Btf, offsets: &mut Offsets) -> Option<u32> {
    let find = |path: &str| btf.offset(path).ok();
    let common = |field: &str| find(&format!("sock.__sk_common.{field}"));
    offsets.task_files = find("task_struct.files")?;
    offsets.files_fdt = find("files_struct.fdt")?;
    offsets.fdt_max = find("fdtable.max_fds")?;
    offsets.fdt_fd = find("fdtable.fd")?;
    offsets.file_private = find("file.private_data")?;
    offsets.file_flags = find("file.f_flags")?;
    offsets.socket_type = find("socket.type")?;
    offsets.socket_file = find("socket.file")?;
    offsets.socket_sk = find("socket.sk")?;
    offsets.socket_ino = find("socket_alloc.vfs_inode")? + find("inode.i_ino")?;
    offsets.sock_family = common("skc_family")?;
    offsets.sock_num = common("skc_num")?;
    offsets.sock_dport = common("skc_dport")?;
    offsets.sock_saddr = common("skc_rcv_saddr")?;
    offsets.sock_daddr = common("skc_daddr")?;
    offsets.sock_saddr6 = common("skc_v6_rcv_saddr")?;
    offsets.sock_daddr6 = common("skc_v6_daddr")?;
    offsets.sock_net = common("skc_net")?;
    offsets.sock_cookie = common("skc_cookie")?;
    offsets.sock_protocol = find("sock.sk_protocol")?;
    offsets.sock_rcvbuf = find("sock.sk_rcvbuf")?;
    offsets.sock_rmem = find("sock.sk_backlog.rmem_alloc")?;
    offsets.sock_rcvtimeo = find("sock.sk_rcvtimeo")?;
    offsets.sock_err = find("sock.sk_err")?;
    offsets.unix_addr = find("unix_sock.addr")?;
    offsets.unix_peer = find("unix_sock.peer")?;
    offsets.unix_len = find("unix_address.len")?;
    offsets.unix_name = find("unix_address.name")? + 2;
    offsets.netlink_portid = find("netlink_sock.portid")?;
    offsets.netlink_dst = find("netlink_sock.dst_portid")?;
    btf.size("sock").ok()
}
