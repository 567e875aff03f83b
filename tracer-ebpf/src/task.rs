//! The current task: what identifies the caller.

use aya_ebpf::helpers::{
    bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_current_uid_gid, generated,
};
use tracer_common::record::{COMM_LEN, SectionHeader, SectionKind, Status, Task, unknown};

use crate::{
    config::config,
    mem::{load, probe},
};

/// A pointer into kernel structures, read directly where the verifier knows its
/// type and by helper elsewhere.
#[derive(Clone, Copy)]
pub struct Kernel(*const u8);

impl Kernel {
    #[inline(always)]
    pub fn new(pointer: *const u8) -> Self {
        Self(pointer)
    }

    #[inline(always)]
    pub fn u32(self, offset: u32) -> u32 {
        if config!(task_direct) != 0 { load(self.0, offset) } else { probe(self.0, offset) }
    }

    #[inline(always)]
    pub fn u64(self, offset: u32) -> u64 {
        if config!(task_direct) != 0 { load(self.0, offset) } else { probe(self.0, offset) }
    }

    #[inline(always)]
    pub fn pointer(self, offset: u32) -> Self {
        if config!(task_direct) != 0 {
            Self(load(self.0, offset))
        } else {
            Self(probe::<u64>(self.0, offset) as *const u8)
        }
    }
}

/// The current task.
#[derive(Clone, Copy)]
pub struct Current(Kernel);

impl Current {
    #[inline(always)]
    pub fn get() -> Self {
        // SAFETY: helpers without preconditions; the second exists where the
        // daemon says so.
        let task = unsafe {
            if config!(task_direct) != 0 {
                generated::bpf_get_current_task_btf() as *const u8
            } else {
                generated::bpf_get_current_task() as *const u8
            }
        };
        Self(Kernel::new(task))
    }

    /// Whether the call came through the 32-bit entry.
    #[inline(always)]
    pub fn compat(self) -> bool {
        let word = self.0.u32(config!(offsets.task_compat));
        u64::from(word) & config!(compat_mask) != 0
    }

    /// Whether no thread of the group is left.
    #[inline(always)]
    pub fn group_dead(self) -> bool {
        self.0.pointer(config!(offsets.task_signal)).u32(config!(offsets.signal_live)) == 0
    }

    /// The table of descriptors (`struct fdtable`).
    #[inline(always)]
    pub fn descriptors(self) -> Kernel {
        self.0.pointer(config!(offsets.task_files)).pointer(config!(offsets.files_fdt))
    }

    /// The file that the process executes; 0 where it has none.
    #[inline(always)]
    pub fn exe_file(self) -> *const u8 {
        self.0.pointer(config!(offsets.task_mm)).pointer(config!(offsets.mm_exe_file)).0
    }

    /// CLOCK_BOOTTIME when the thread group's leader started, ns.
    #[inline(always)]
    fn start_boottime(self) -> u64 {
        self.0.pointer(config!(offsets.task_group_leader)).u64(config!(offsets.task_start_boottime))
    }

    /// `task_active_pid_ns()`: `thread_pid->numbers[level].ns`.
    #[inline(always)]
    fn pid_ns(self) -> u32 {
        let pid: *const u8 = self.0.pointer(config!(offsets.task_thread_pid)).0;
        // `level` is a variable, and a typed pointer takes constant offsets only.
        let level: u32 = probe(pid, config!(offsets.pid_level));
        let upid = config!(offsets.pid_numbers) + level * config!(offsets.upid_size);
        let ns: u64 = probe(pid, upid + config!(offsets.upid_ns));
        probe(ns as *const u8, config!(offsets.pid_ns_inum))
    }
}

/// Whether this kernel offers a way to read a field of [`Task`].
#[inline(always)]
pub fn known(field: u32) -> bool {
    config!(task_unknown) & field == 0
}

/// Thread group id and thread id of the caller.
#[inline(always)]
pub fn ids() -> (u32, u32) {
    let both = bpf_get_current_pid_tgid();
    ((both >> 32) as u32, both as u32)
}

/// What never changes while a thread lives.
///
/// # Safety
/// `section` and `task` are writable.
#[inline(always)]
pub unsafe fn describe_once(section: *mut SectionHeader, task: *mut Task) {
    let current = Current::get();
    let (pid, tid) = ids();
    // SAFETY: the caller vouches for both.
    unsafe {
        (*section).kind = SectionKind::Task as u16;
        (*section).status = Status::Read as u8;
        (*section).version = 1;
        (*section).len = size_of::<Task>() as u32;
        (*section).full = size_of::<Task>() as u32;
        (*section).count = 1;
        (*task).pid = pid;
        (*task).tid = tid;
        (*task).unknown = config!(task_unknown);
        if known(unknown::START) {
            (*task).start_boottime_ns = current.start_boottime();
        }
        if known(unknown::PID_NS) {
            (*task).pid_ns = current.pid_ns();
        }
    }
}

/// What may change from call to call, with the name that the filters looked at;
/// and whether the thread has executed another program since its last call.
///
/// # Safety
/// `task` is writable.
#[inline(always)]
pub unsafe fn describe_call(task: *mut Task, comm: &[u8; COMM_LEN]) -> bool {
    let current = Current::get();
    let uid_gid = bpf_get_current_uid_gid();
    // SAFETY: the caller vouches for `task`; the helper has no preconditions.
    unsafe {
        if known(unknown::PPID) {
            let parent = current.0.pointer(config!(offsets.task_real_parent));
            (*task).ppid = parent.u32(config!(offsets.task_tgid));
        }
        (*task).uid = uid_gid as u32;
        (*task).gid = (uid_gid >> 32) as u32;
        (*task).cgroup_id = generated::bpf_get_current_cgroup_id();
        let before = (*task).exec_id;
        if known(unknown::EXEC_ID) {
            (*task).exec_id = current.0.u32(config!(offsets.task_self_exec_id));
        }
        if known(unknown::MNT_NS) {
            let nsproxy = current.0.pointer(config!(offsets.task_nsproxy));
            let mnt = nsproxy.pointer(config!(offsets.nsproxy_mnt_ns));
            (*task).mnt_ns = mnt.u32(config!(offsets.mnt_ns_inum));
        }
        if known(unknown::NET_NS) {
            let nsproxy = current.0.pointer(config!(offsets.task_nsproxy));
            let net = nsproxy.pointer(config!(offsets.nsproxy_net_ns));
            (*task).net_ns = net.u32(config!(offsets.net_ns_inum));
        }
        (*task).comm = *comm;
        (*task).exec_id != before
    }
}

/// The caller's name.
#[inline(always)]
pub fn comm() -> [u8; COMM_LEN] {
    bpf_get_current_comm().unwrap_or_default()
}
