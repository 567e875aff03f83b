//! The filters that the kernel decides: before anything is copied.

use core::ptr::write_volatile;

use aya_ebpf::{
    bindings::BPF_ANY,
    helpers::generated,
    maps::{Array, HashMap},
};
use tracer_common::{
    config::{filter, verdict},
    hint,
};

use crate::{
    abi::Matched,
    capture::count,
    checks,
    config::config,
    log,
    maps::{
        CGROUPS, COMM_HINTS, COMMS, LEFT_OUT, LeftOut, OVERFLOWS, PID_HINTS, PIDS, THREAD_COUNT,
        TIDS, UIDS,
    },
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

/// Whether there may be a verdict where that element stands for the key.
#[inline(always)]
fn may_have(hints: &Array<u64>, element: u32) -> bool {
    hints.get(element).copied() != Some(0)
}

/// A thread group's verdict.
#[inline(always)]
fn verdict_of_pid(pid: u32) -> u32 {
    if may_have(&PID_HINTS, hint::of_pid(pid)) { verdict_of(&PIDS, &pid) } else { 0 }
}

/// A name's verdict.
#[inline(always)]
fn verdict_of_comm(comm: &Comm) -> u32 {
    let element = hint::of_comm(comm.words());
    if may_have(&COMM_HINTS, element) { verdict_of(&COMMS, comm.bytes()) } else { 0 }
}

/// Whether one kind of filter lets the call pass.
#[inline(always)]
fn passes(include: u32, exclude: u32, verdict: impl FnOnce() -> u32) -> bool {
    let filters = config!(filters);
    if filters & (include | exclude) == 0 {
        return true;
    }
    match verdict() {
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
    if !passes(filter::PID_INCLUDE, filter::PID_EXCLUDE, || verdict_of_pid(pid))
        || !passes(filter::TID_INCLUDE, filter::TID_EXCLUDE, || verdict_of(&TIDS, &tid))
    {
        return None;
    }
    if config!(filters) & (filter::UID_INCLUDE | filter::UID_EXCLUDE) != 0 {
        let (uid, _) = current.uid_gid();
        if !passes(filter::UID_INCLUDE, filter::UID_EXCLUDE, || verdict_of(&UIDS, &uid)) {
            return None;
        }
    }
    if !cgroup_passes() || !checks::registers(regs, matched) {
        return None;
    }
    let comm = current.comm();
    let passes = passes(filter::COMM_INCLUDE, filter::COMM_EXCLUDE, || verdict_of_comm(&comm));
    passes.then_some(comm)
}

/// Whether a call can be left out when it begins.
#[inline(always)]
fn leaves_out() -> bool {
    config!(filters) != 0 || config!(entry_count) != 0
}

/// Remembers that the filters left out a call of a thread that begins.
#[inline(always)]
pub fn remember(tid: u32) {
    let Some(last) = LEFT_OUT.get_ptr_mut(0) else { return };
    // SAFETY: this CPU's own integers.
    unsafe {
        if (*last).tid != tid.into() {
            *last = LeftOut { tid: tid.into(), absent: u64::MAX };
        }
    }
}

/// What is remembered of a thread whose call ends, if the filters left out the last one that
/// began here. None where there is no saying: what a CPU remembers may be about an earlier
/// call of the thread, and then it is this one's that is not remembered only if there was no
/// room for it, or the kernel left the program out.
#[inline(always)]
pub fn remembered(tid: u32) -> Option<*mut LeftOut> {
    if config!(preemptible) != 0 || !leaves_out() {
        return None;
    }
    let last = LEFT_OUT.get_ptr_mut(0)?;
    // SAFETY: this CPU's own integers.
    let same = unsafe { (*last).tid } == tid.into();
    (same && THREAD_COUNT.get(OVERFLOWS).copied() == Some(0)).then_some(last)
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
    if verdict_of_pid(parent) != verdict::INCLUDE {
        return;
    }
    let pid: u32 = probe(child, config!(offsets.task_tgid));
    if pid == parent {
        return;
    }
    if let Some(hint) = PID_HINTS.get_ptr_mut(hint::of_pid(pid)) {
        // SAFETY: an aligned integer in a map, which only ever becomes 1.
        unsafe { write_volatile(hint, 1) };
    }
    if PIDS.insert(pid, verdict::INCLUDE, BPF_ANY.into()).is_err() {
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
