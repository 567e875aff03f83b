//! The read-only configuration, field by field: the verifier knows the values,
//! so that what they switch off costs nothing.

use aya_ebpf::Global;
use tracer_common::{
    check::{Check, MAX_CHECKS},
    config::{Config, IterKinds, MAX_RULES, Offsets, Registers, Rule, Types},
};

const UNUSED: Check = Check { mask: 0, low: 0, span: 0, field: 0, bits: 0 };

#[unsafe(no_mangle)]
static CONFIG: Global<Config> = Global::new(Config {
    rules: [Rule { nr: 0, call: 0, event: 0, abi: 0, flags: 0, reserved: 0 }; MAX_RULES],
    rule_count: 0,
    filters: 0,
    messages: 0,
    max_threads: 0,
    wake_mark: 0,
    ring_mask: 0,
    wake_shift: 0,
    task_direct: 0,
    task_unknown: 0,
    preemptible: 0,
    scratch_at: 0,
    task_pt_regs: 0,
    casts: 0,
    task_plain: 0,
    types: Types { file: 0, socket: 0, sock: 0, net: 0, netlink: 0, unix: 0, pointer: 0, task: 0 },
    iovs: 0,
    control: 0,
    payload: 0,
    detail_room: 0,
    entry_count: 0,
    exit_count: 0,
    entry_checks: [UNUSED; MAX_CHECKS],
    exit_checks: [UNUSED; MAX_CHECKS],
    kernel_headers_at: 0,
    kernel_lengths_at: 0,
    copies_room: 0,
    iter: IterKinds { mask: 0, iovec: 0, ubuf: 0 },
    compat_mask: 0,
    registers: Registers {
        nr: 0,
        ip: 0,
        sp: 0,
        cs: 0,
        code64: 0,
        function_ret: 0,
        function_first: 0,
        function_second: 0,
        function_third: 0,
        function_fourth: 0,
        function_fifth: 0,
        native: [0; 6],
        compat: [0; 6],
    },
    offsets: Offsets {
        task_compat: 0,
        task_group_leader: 0,
        task_real_parent: 0,
        task_tgid: 0,
        task_start_boottime: 0,
        task_nsproxy: 0,
        task_thread_pid: 0,
        task_self_exec_id: 0,
        task_signal: 0,
        signal_live: 0,
        nsproxy_mnt_ns: 0,
        nsproxy_net_ns: 0,
        mnt_ns_inum: 0,
        net_ns_inum: 0,
        task_pid: 0,
        task_comm: 0,
        task_cred: 0,
        cred_uid: 0,
        cred_gid: 0,
        task_cgroups: 0,
        css_set_default: 0,
        cgroup_node: 0,
        node_id: 0,
        pid_level: 0,
        pid_numbers: 0,
        upid_size: 0,
        upid_ns: 0,
        upid_nr: 0,
        pid_ns_inum: 0,
        sigaction_handler: 0,
        sigaction_flags: 0,
        task_mm: 0,
        mm_exe_file: 0,
        file_mnt: 0,
        file_dentry: 0,
        dentry_parent: 0,
        dentry_name: 0,
        dentry_pprev: 0,
        vfsmount_root: 0,
        mount_mnt: 0,
        mount_parent: 0,
        mount_mountpoint: 0,
        task_files: 0,
        files_fdt: 0,
        fdt_max: 0,
        fdt_fd: 0,
        file_private: 0,
        file_flags: 0,
        socket_type: 0,
        socket_file: 0,
        socket_sk: 0,
        socket_ino: 0,
        sock_size: 0,
        sock_family: 0,
        sock_num: 0,
        sock_dport: 0,
        sock_saddr: 0,
        sock_daddr: 0,
        sock_saddr6: 0,
        sock_daddr6: 0,
        sock_net: 0,
        sock_cookie: 0,
        sock_protocol: 0,
        sock_rcvbuf: 0,
        sock_rmem: 0,
        sock_rcvtimeo: 0,
        sock_err: 0,
        unix_addr: 0,
        unix_peer: 0,
        unix_len: 0,
        unix_name: 0,
        netlink_portid: 0,
        netlink_dst: 0,
        tick_ns: 0,
        sock_socket: 0,
        msg_control: 0,
        msg_controllen: 0,
        iter_type: 0,
        iter_count: 0,
        iter_iov: 0,
        iter_segs: 0,
    },
});

/// The configuration's address, for [`config!`] alone.
#[inline(always)]
pub fn base() -> *const Config {
    core::ptr::addr_of!(CONFIG).cast()
}

/// Reads one field of the configuration. Volatile, since the compiler must not
/// take the zeros of the object file for the truth.
macro_rules! config {
    ($($field:tt)+) => {{
        #[allow(unused_unsafe, reason = "some uses are in unsafe blocks")]
        // SAFETY: `base` points at a live static, and the field lies in it.
        let value = unsafe {
            core::ptr::read_volatile(core::ptr::addr_of!((*$crate::config::base()).$($field)+))
        };
        value
    }};
}
pub(crate) use config;
