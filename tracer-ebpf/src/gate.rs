//! The filters that the kernel decides: before anything is copied.

use aya_ebpf::{bindings::BPF_ANY, helpers::generated, maps::HashMap};
use tracer_common::config::{filter, verdict};

use crate::{
    abi::Matched,
    capture::count,
    checks,
    config::config,
    log,
    maps::{CGROUPS, COMMS, LEFT_OUT, OVERFLOWS, PIDS, THREAD_COUNT, TIDS, UIDS},
    mem::probe,
    regs::Regs,
    task::{self, Comm, Current},
};

/// Deepest cgroup level that the filters look at.
const MAX_CGROUP_LEVEL: i32 = 32;

#[inline(always)]
fn verdict_of<K>(map: &HashMap<K, u32>, key: &K) -> u32 {
    // SAFETY: values are plain integers that only the daemon and `follow_child` write.
    unsafe { map.get(key) }.copied().unwrap_or(0)
}

/// Whether one kind of filter lets the call pass.
#[inline(always)]
fn passes<K>(map: &HashMap<K, u32>, key: &K, include: u32, exclude: u32) -> bool {
    let filters = config!(filters);
    if filters & (include | exclude) == 0 {
        return true;
    }
    match verdict_of(map, key) {
        verdict::INCLUDE => true,
        verdict::EXCLUDE => false,
        _ => filters & include == 0,
    }
}

/// Whether the filters let a call of the current thread pass; with the thread's name,
/// which the record then shows.
#[inline(always)]
pub fn open<R: Regs>(regs: R, matched: Matched, current: Current) -> Option<Comm> {
    let (pid, tid) = current.ids();
    if !passes(&PIDS, &pid, filter::PID_INCLUDE, filter::PID_EXCLUDE)
        || !passes(&TIDS, &tid, filter::TID_INCLUDE, filter::TID_EXCLUDE)
    {
        return None;
    }
    if config!(filters) & (filter::UID_INCLUDE | filter::UID_EXCLUDE) != 0 {
        let (uid, _) = current.uid_gid();
        if !passes(&UIDS, &uid, filter::UID_INCLUDE, filter::UID_EXCLUDE) {
            return None;
        }
    }
    if !cgroup_passes() || !checks::registers(regs, matched) {
        return None;
    }
    let comm = current.comm();
    passes(&COMMS, comm.bytes(), filter::COMM_INCLUDE, filter::COMM_EXCLUDE).then_some(comm)
}

/// Remembers that the filters left out a call of a thread that begins.
#[inline(always)]
pub fn remember(tid: u32) {
    if let Some(last) = LEFT_OUT.get_ptr_mut(0) {
        // SAFETY: this CPU's own integer.
        unsafe { *last = tid };
    }
}

/// Whether the call of a thread without an entry was left out when it began. False where
/// there is no saying: what a CPU remembers may be about an earlier call of the thread,
/// and then it is this one's that is not remembered only if there was no room for it, or
/// the kernel left the program out.
#[inline(always)]
pub fn remembered(tid: u32) -> bool {
    config!(preemptible) == 0
        && LEFT_OUT.get(0).copied() == Some(tid)
        && THREAD_COUNT.get(OVERFLOWS).copied() == Some(0)
}

/// Whether the cgroup filters let the call pass: a filter holds for a cgroup and
/// all below it, and the nearest one decides.
#[inline(always)]
fn cgroup_passes() -> bool {
    let filters = config!(filters);
    if filters & (filter::CGROUP_INCLUDE | filter::CGROUP_EXCLUDE) == 0 {
        return true;
    }
    let mut nearest = 0;
    for level in 0..MAX_CGROUP_LEVEL {
        // SAFETY: a helper without preconditions; 0 below the task's own level.
        let id = unsafe { generated::bpf_get_current_ancestor_cgroup_id(level) };
        if id == 0 {
            break;
        }
        let found = verdict_of(&CGROUPS, &id);
        if found != 0 {
            nearest = found;
        }
    }
    match nearest {
        verdict::INCLUDE => true,
        verdict::EXCLUDE => false,
        _ => filters & filter::CGROUP_INCLUDE == 0,
    }
}

/// A new task's thread group is included if its parent's is.
#[inline(always)]
pub fn follow_child(child: *const u8) {
    if config!(filters) & filter::FOLLOW == 0 {
        return;
    }
    let (parent, _) = task::ids();
    if verdict_of(&PIDS, &parent) != verdict::INCLUDE {
        return;
    }
    let pid: u32 = probe(child, config!(offsets.task_tgid));
    if pid != parent && PIDS.insert(pid, verdict::INCLUDE, BPF_ANY.into()).is_err() {
        // SAFETY: a field of a live object.
        count(|stats| unsafe { [&raw mut (*stats).follow_no_room] });
        log::not_followed(pid);
    }
}

/// Forgets a followed thread group that has ended, since its id will be used again.
#[inline(always)]
pub fn forget(pid: u32) {
    if config!(filters) & filter::FOLLOW != 0 {
        let _ = PIDS.remove(pid);
    }
}
