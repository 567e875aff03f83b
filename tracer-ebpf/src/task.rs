//! The current task: what identifies the caller.

use aya_ebpf::helpers::{
    bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_current_uid_gid, generated,
};
use tracer_common::record::{
    COMM_LEN, Call, OwnIds, SectionHeader, SectionKind, Status, Task, flags, unknown,
};

use crate::{
    config::config,
    emit::limit,
    maps::Thread,
    mem::{Object, load, opaque, probe},
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
pub struct Current {
    /// To read fields.
    task: Kernel,
    /// To follow pointers. From Linux 6.4 on the verifier looks through the names of all
    /// the kernel's types at each pointer that is followed from an address which it trusts,
    /// and takes a millisecond or two to do it; a cast one it does not trust.
    walk: Kernel,
}

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
        let walk = Object::new(task as u64, config!(types.task)).typed();
        Self { task: Kernel::new(task), walk: Kernel::new(walk) }
    }

    /// Thread group id and thread id.
    #[inline(always)]
    pub fn ids(self) -> (u32, u32) {
        if config!(task_plain) == 0 {
            return ids();
        }
        (self.task.u32(config!(offsets.task_tgid)), self.task.u32(config!(offsets.task_pid)))
    }

    /// Whether the call came through the 32-bit entry.
    #[inline(always)]
    pub fn compat(self) -> bool {
        let word = self.task.u32(config!(offsets.task_compat));
        u64::from(word) & config!(compat_mask) != 0
    }

    /// Whether no thread of the group is left.
    #[inline(always)]
    pub fn group_dead(self) -> bool {
        self.walk.pointer(config!(offsets.task_signal)).u32(config!(offsets.signal_live)) == 0
    }

    /// The table of descriptors (`struct fdtable`).
    #[inline(always)]
    pub fn descriptors(self) -> Kernel {
        self.walk.pointer(config!(offsets.task_files)).pointer(config!(offsets.files_fdt))
    }

    /// The file that the process executes; 0 where it has none.
    #[inline(always)]
    pub fn exe_file(self) -> *const u8 {
        self.walk.pointer(config!(offsets.task_mm)).pointer(config!(offsets.mm_exe_file)).0
    }

    /// CLOCK_BOOTTIME when the thread group's leader started, ns.
    #[inline(always)]
    fn start_boottime(self) -> u64 {
        self.walk
            .pointer(config!(offsets.task_group_leader))
            .u64(config!(offsets.task_start_boottime))
    }

    /// Real uid and gid in the initial user namespace. The kernel keeps them as such
    /// (include/linux/uidgid.h).
    #[inline(always)]
    pub fn uid_gid(self) -> (u32, u32) {
        if config!(task_plain) == 0 {
            let both = bpf_get_current_uid_gid();
            return (both as u32, (both >> 32) as u32);
        }
        let cred = self.walk.pointer(config!(offsets.task_cred));
        (cred.u32(config!(offsets.cred_uid)), cred.u32(config!(offsets.cred_gid)))
    }

    /// Id of the cgroup in the default hierarchy.
    #[inline(always)]
    fn cgroup_id(self) -> u64 {
        if config!(task_plain) == 0 {
            // SAFETY: a helper without preconditions.
            return unsafe { generated::bpf_get_current_cgroup_id() };
        }
        let set = self.walk.pointer(config!(offsets.task_cgroups));
        let cgroup = set.pointer(config!(offsets.css_set_default));
        cgroup.pointer(config!(offsets.cgroup_node)).u64(config!(offsets.node_id))
    }

    /// The thread's name.
    #[inline(always)]
    pub fn comm(self) -> Comm {
        if config!(task_plain) == 0 {
            return Comm::of(bpf_get_current_comm().unwrap_or_default());
        }
        let at = config!(offsets.task_comm);
        let (start, rest) = until_nul(self.task.u64(at));
        Comm([start, until_nul(self.task.u64(at + 8)).0 & rest])
    }

    /// The thread's ids, one for each pid namespace (`struct pid`).
    #[inline(always)]
    fn thread_pid(self) -> *const u8 {
        self.walk.pointer(config!(offsets.task_thread_pid)).0
    }

    /// Likewise the leader's, which are the thread group's.
    #[inline(always)]
    fn leader_pid(self) -> *const u8 {
        let leader = self.walk.pointer(config!(offsets.task_group_leader));
        leader.pointer(config!(offsets.task_thread_pid)).0
    }
}

/// The innermost of the namespaces that a `struct pid` has a number in, and how far in
/// it lies.
#[inline(always)]
fn innermost(pid: *const u8) -> (u32, u32) {
    // `level` is a variable, and a typed pointer takes constant offsets only.
    let level: u32 = probe(pid, config!(offsets.pid_level));
    (config!(offsets.pid_numbers) + level * config!(offsets.upid_size), level)
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

/// What never changes while a thread runs one program.
///
/// # Safety
/// `thread` is the current thread's.
#[inline(never)]
pub unsafe fn describe_once(thread: *mut Thread) {
    let current = Current::get();
    let (pid, tid) = ids();
    // SAFETY: the caller vouches for `thread`.
    unsafe {
        let section = &raw mut (*thread).call.task_section;
        let task = &raw mut (*thread).call.task;
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
        (*thread).own_ids_status = Status::NotCaptured as u32;
        if known(unknown::PID_NS) {
            // `task_active_pid_ns()`: `thread_pid->numbers[level].ns`
            let pid = current.thread_pid();
            let (upid, level) = innermost(pid);
            let ns: u64 = probe(pid, upid + config!(offsets.upid_ns));
            (*task).pid_ns = probe(ns as *const u8, config!(offsets.pid_ns_inum));
            if level == 0 {
                (*thread).own_ids_status = Status::Absent as u32;
            } else {
                (*thread).own_ids.tid = probe(pid, upid + config!(offsets.upid_nr));
                let pid = current.leader_pid();
                let (upid, _) = innermost(pid);
                (*thread).own_ids.pid = probe(pid, upid + config!(offsets.upid_nr));
                (*thread).own_ids_status = Status::Read as u32;
            }
        }
    }
}

/// What may change from call to call, with the name that the filters looked at. Notices
/// where the thread has executed another program since its last call, or is another one.
///
/// # Safety
/// `thread` is the current thread's.
#[inline(always)]
pub unsafe fn describe_call(thread: *mut Thread, current: Current, comm: Comm) {
    // SAFETY: the caller vouches for `thread`.
    unsafe {
        let task = &raw mut (*thread).call.task;
        // A thread other than the leader that calls execve() takes over the leader's id,
        // and leaves its entry behind under the old one. That may come back in the same
        // process, or in another one that has the same id.
        let exec_id = (*task).exec_id;
        if known(unknown::EXEC_ID) {
            (*task).exec_id = current.task.u32(config!(offsets.task_self_exec_id));
        }
        let another =
            known(unknown::START) && (*task).start_boottime_ns != current.start_boottime();
        if (*task).exec_id != exec_id || another {
            (*thread).fresh = 1;
            describe_once(thread);
        }
        if known(unknown::PPID) {
            let parent = current.walk.pointer(config!(offsets.task_real_parent));
            (*task).ppid = parent.u32(config!(offsets.task_tgid));
        }
        ((*task).uid, (*task).gid) = current.uid_gid();
        (*task).cgroup_id = current.cgroup_id();
        if known(unknown::MNT_NS) || known(unknown::NET_NS) {
            let nsproxy = current.walk.pointer(config!(offsets.task_nsproxy));
            if known(unknown::MNT_NS) {
                let mnt = nsproxy.pointer(config!(offsets.nsproxy_mnt_ns));
                (*task).mnt_ns = mnt.u32(config!(offsets.mnt_ns_inum));
            }
            if known(unknown::NET_NS) {
                let net = nsproxy.pointer(config!(offsets.nsproxy_net_ns));
                (*task).net_ns = net.u32(config!(offsets.net_ns_inum));
            }
        }
        (&raw mut (*task).comm).cast::<Comm>().write(comm);
    }
}

/// Says in a record what the caller's ids in its own pid namespace are: by a flag, or by
/// a section `at` bytes from the record's start. The section's length.
///
/// # Safety
/// `thread` is the current thread's, and `record` has room at `at`.
#[inline(always)]
pub unsafe fn append_own_ids(record: *mut u8, thread: *mut Thread, at: u64) -> u64 {
    // SAFETY: the caller vouches for both.
    unsafe {
        let status = (*thread).own_ids_status;
        if status == Status::Absent as u32 {
            (*record.cast::<Call>()).header.flags |= flags::INITIAL_PID_NS;
            return 0;
        }
        if status != Status::Read as u32 {
            return 0;
        }
        // Right before it is used: what older verifiers knew of it is lost once it has been
        // put on the stack.
        let at = opaque(at);
        if at > limit() {
            return 0;
        }
        let header = record.add(at as usize).cast::<SectionHeader>();
        (*header).kind = SectionKind::OwnIds as u16;
        (*header).status = Status::Read as u8;
        (*header).version = 1;
        (*header).len = size_of::<OwnIds>() as u32;
        (*header).full = size_of::<OwnIds>() as u32;
        (*header).count = 1;
        let ids = record.add(at as usize + size_of::<SectionHeader>()).cast::<OwnIds>();
        (*ids).pid = (*thread).own_ids.pid;
        (*ids).tid = (*thread).own_ids.tid;
        (size_of::<SectionHeader>() + size_of::<OwnIds>()) as u64
    }
}

/// A thread's name, NUL-padded. In words, since a BPF program copies bytes one by one.
#[derive(Clone, Copy)]
pub struct Comm([u64; 2]);

const _: () = assert!(size_of::<Comm>() == COMM_LEN);
const _: () = assert!(core::mem::offset_of!(Call, task) % 8 == 0);
const _: () = assert!(core::mem::offset_of!(Task, comm) % 8 == 0);

impl Comm {
    #[inline(always)]
    fn of(bytes: [u8; COMM_LEN]) -> Self {
        // SAFETY: any bytes are integers, and of the same number.
        Self(unsafe { core::mem::transmute::<[u8; COMM_LEN], [u64; 2]>(bytes) })
    }

    /// Its words.
    #[inline(always)]
    pub fn words(&self) -> [u64; 2] {
        self.0
    }

    /// As a key of filters.
    #[inline(always)]
    pub fn bytes(&self) -> &[u8; COMM_LEN] {
        // SAFETY: as above, and bytes have no alignment.
        unsafe { &*(&raw const self.0).cast() }
    }
}

/// Eight bytes of a name, with zeros for all that follows a NUL: what lies there is what
/// other names have left; and a mask for the bytes that follow them, without a branch that
/// the verifier would go both ways on.
#[inline(always)]
fn until_nul(word: u64) -> (u64, u64) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // The highest bit of each byte that is 0, and perhaps of some that follow one.
    let zeros = word.wrapping_sub(ONES) & !word & (ONES << 7);
    let first = zeros & zeros.wrapping_neg();
    // All bits below the first such byte's; all where there is none, and then alone the
    // highest.
    let below = (first >> 7).wrapping_sub(1);
    (word & below, (below.cast_signed() >> 63).cast_unsigned())
}
